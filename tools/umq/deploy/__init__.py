"""Puts library, node and configuration onto a board that runs MicroPython."""
