# What makes MicroPython's unix port a board. Each module here named as one of MicroPython's stands in for it.
