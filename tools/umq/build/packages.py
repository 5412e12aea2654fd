"""The lists by which mip installs the packages of the library; umq.build.flavours says what is in each package.

mip knows no package of the same repository that another one needs, so each lists all that it needs. A list lies in the
folder of its files, because some of the places from which mip loads do not understand a path with ".." in it.
"""

import json
import re

from umq.build import flavours
from umq.project import LIB

_LIBRARY = LIB / "umqtt_full"


def lists():
    """{file name: text} of the lists that belong beside the sources in lib/. That of the whole library lies at the
    project's root, and its name is "../package.json"."""
    every = sorted(source.stem for source in _LIBRARY.glob("*.py") if source.stem not in flavours.FOR_CPYTHON)
    found = {f"{name}.json": _list(flavours.modules(name), ".py") for name in flavours.PACKAGES}
    return found | {"../package.json": _list(every, ".py", "lib/")}


def compiled_lists():
    """{file name: text} of the lists that belong beside the compiled library."""
    return {f"{name}.json": _list(flavours.files(name), ".mpy") for name in flavours.PACKAGES}


def version():
    """The library's version."""
    return re.search(r'^__version__ = "(.*)"', (_LIBRARY / "__init__.py").read_text(), re.M)[1]


def _list(names, suffix, folder=""):
    paths = [f"umqtt_full/{name}{suffix}" for name in names]
    urls = ",\n".join(f"    {json.dumps([path, folder + path])}" for path in paths)
    return f'{{\n  "version": {json.dumps(version())},\n  "urls": [\n{urls}\n  ]\n}}\n'
