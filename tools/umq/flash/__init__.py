"""Puts MicroPython onto boards: firmware is found or downloaded, checked, written and verified."""
