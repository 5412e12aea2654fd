"""The nodes of a broker, watched."""
