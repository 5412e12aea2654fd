"""Shows the nodes of a broker."""
