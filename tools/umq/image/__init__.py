"""Makes one file that turns a board into a node."""
