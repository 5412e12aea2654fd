"""Finds out, step by step, why a board or its way to the broker does not work."""
