"""The library compiled, packed, and built into firmware."""
