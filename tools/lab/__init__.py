"""What sets up, drives, tests and measures the library on this computer. `make` is its usual way in."""
