"""MicroPython onto boards: firmware found or downloaded, checked, written, verified."""
