# Runs one function of one module of this folder, on CPython or on MicroPython:
#
#   run.py MODULE FUNCTION
#
# The first line of its input is a JSON object: the options of the Rig which is the function's one argument. (Not on the
# command line: MicroPython's unix port dies of an argument of more than 255 bytes.)

import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0])

import json  # noqa: E402

from rig import Rig  # noqa: E402

getattr(__import__(sys.argv[1]), sys.argv[2])(Rig(json.loads(sys.stdin.readline())))
