# What every board freezes beside MicroPython's own choice for it: the library, and the node. Not its main.py, for a
# frozen one would be run in place of any on the filesystem; that, and config.json, lie there.
package("umqtt_full", base_path="../lib")
freeze(
    "../firmware",
    (
        "board.py",
        "clock.py",
        "config.py",
        "line.py",
        "names.py",
        "node.py",
        "sensor.py",
        "start.py",
        "wifi.py",
        "wifi_words.py",
    ),
)
