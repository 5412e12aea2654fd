"""The simulator: the library, a clock, a network, a flash and a broker in one process, all from one seed.

`flash.py` and `blocks.py` are the storage, `world.py` the node and all around it, `account.py` what must come out,
`exhaustive.py` every cut of a set of exchanges, `story.py` what a seed makes of it. It runs on CPython and, with
LittleFS itself, on MicroPython. Link and broker are those of
tools/emulation.
"""
