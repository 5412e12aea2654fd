"""Boards on serial ports: how they are found, spoken to and listened to."""
