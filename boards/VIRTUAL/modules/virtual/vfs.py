# ruff: noqa: F403, F821
from vfs import *

del VfsPosix
