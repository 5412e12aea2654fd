# Runs one function of one module of this folder, on CPython or on MicroPython:
#
#   run.py MODULE FUNCTION OPTIONS    the function's one argument is a Rig made of the options, a JSON object

import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0])

import json  # noqa: E402

from rig import Rig  # noqa: E402

getattr(__import__(sys.argv[1]), sys.argv[2])(Rig(json.loads(sys.argv[3])))
