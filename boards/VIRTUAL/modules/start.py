# What the virtual board runs first. Its globals are the REPL's, and those of boot.py and main.py.
import sys

from virtual import boot

boot.run(sys.argv[1], globals())
