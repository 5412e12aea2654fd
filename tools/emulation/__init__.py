"""Emulations that the tests and the lab share: links, lwIP, sockets, a broker, files, a boot ROM, firmware, proxies.

`link`, `lwip`, `sockets`, `broker` and `files` run on CPython and on MicroPython.
"""
