"""The makers' tools: they set up, drive, test and measure the library on this computer. `make` calls them."""
