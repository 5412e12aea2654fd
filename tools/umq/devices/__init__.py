"""Which boards are plugged in."""
