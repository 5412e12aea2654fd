"""What is plugged in, and what it says it is."""
