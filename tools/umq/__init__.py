"""umqtt_full's host side: what sets up, drives, tests and measures the library from a computer."""
