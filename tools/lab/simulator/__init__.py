"""The simulator: the library, a clock, a network, a flash and a broker in one process, all from one seed.

`flash.py` and `blocks.py` are the storage, `world.py` is the node and its surroundings, `account.py` judges the result,
`exhaustive.py` tries every cut of a set of exchanges, `story.py` makes a story from a seed. The simulator runs on
CPython and, with LittleFS itself, on MicroPython. Link and broker are those of tools/emulation.
"""
