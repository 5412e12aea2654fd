# What every board freezes beside MicroPython's own choice for it: the library, and the node with its main.py. The
# configuration, config.json, stays on the filesystem.
package("umqtt_full", base_path="../lib")
freeze("../firmware")
