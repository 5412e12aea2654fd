"""An image for each node of a CSV file, and onto their boards."""
