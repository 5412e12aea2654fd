"""A board without hardware: real MicroPython behind a port, with a flash, pins, a clock and Wi-Fi of its own."""

from umq.virtual.board import VirtualBoard

__all__ = ["VirtualBoard"]
