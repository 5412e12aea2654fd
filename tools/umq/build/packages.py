"""The packages in which mip installs the library: which module is in which, and the lists that say so to mip.

mip knows no package of the same repository that another one needs, so each lists all that it needs. A list lies in the
folder of its files, for a path with ".." in it is not understood everywhere that mip loads from.
"""

import json
import re

from umq.build import pack
from umq.project import LIB

_LIBRARY = LIB / "umqtt_full"

CLIENT = ("__init__", *pack.TOGETHER, "error_texts", "repr_texts")
# What each package has beside the client. asyncio and the broker's role get a line each when they are there.
PACKAGES = {
    "client": (),
    "robust": ("robust",),
    "secure": ("secure",),
    "journal": ("durable", "journal", "recovery", "rtc", "segments"),
    "stream": ("stream", "stream_file", "stream_in", "stream_parts"),
}


def lists():
    """{file name: text} of the lists that belong beside the sources in lib/; the whole library's, at the project's
    root, is "../package.json"."""
    every = [source.stem for source in _LIBRARY.glob("*.py") if source.stem != pack.FOR_CPYTHON]
    found = {f"{name}.json": _list([f"{module}.py" for module in CLIENT + more]) for name, more in PACKAGES.items()}
    return found | {"../package.json": _list([f"{module}.py" for module in every], "lib/")}


def compiled_lists():
    """{file name: text} of the lists that belong beside the compiled library, in which one module is the client."""
    beside = [module for module in CLIENT if module not in pack.TOGETHER]
    return {f"{name}.json": _list([f"{module}.mpy" for module in (*beside, *more)]) for name, more in PACKAGES.items()}


def version():
    """The library's version."""
    return re.search(r'^__version__ = "(.*)"', (_LIBRARY / "__init__.py").read_text(), re.M)[1]


def _list(files, folder=""):
    paths = [f"umqtt_full/{file}" for file in sorted(files)]
    urls = ",\n".join(f"    {json.dumps([path, folder + path])}" for path in paths)
    return f'{{\n  "version": {json.dumps(version())},\n  "urls": [\n{urls}\n  ]\n}}\n'
