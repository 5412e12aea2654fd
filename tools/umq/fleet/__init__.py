"""Makes an image for each node of a CSV file, and writes the images to the boards."""
