"""Runs at power-up on a board, and starts the node; on a computer: `micropython main.py [CONFIG.json]`.

So short because a board compiles its main.py at each start, and has no other way to run it. To have a program of your
own started instead, put that into its place.
"""

import sys

import start

start.run(sys.argv[1] if len(sys.argv) > 1 else "config.json")
