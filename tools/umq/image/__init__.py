"""One file that makes a board a node."""
