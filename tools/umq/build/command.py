"""umq build: the library compiled for boards, and its packages for mip."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from umq import boards
from umq.build import flavours, pack, packages
from umq.errors import UserError
from umq.project import BUILD, LIB


def command(
    to: Annotated[Path, typer.Option(help="The folder to write to.", show_default="build/lib")] = BUILD / "lib",
    lists: Annotated[bool, typer.Option("--lists", help="Only write the sources' lists of packages anew.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for a program.")] = False,
):
    """Compile the library for boards, the blocking client in one file, and list its packages for mip.

    The .mpy files hold bytecode and no native code: the same ones run on every board.

    Examples:

        umq build

        mpremote mip install build/lib/journal.json    (the client and its journal, compiled)

        mpremote mip install lib/journal.json          (the same, as sources)
    """
    if lists:
        for name, text in packages.lists().items():
            (LIB / name).write_text(text)
        return
    try:
        found = build(to)
    except OSError as error:
        raise UserError(f"{error.filename or to} cannot be written: {error.strerror}")
    if as_json:
        print(json.dumps(found, indent=2))
        return
    print(f"{'module':14} {'source':>8} {'.mpy':>8}   bytes")
    for one in found["modules"]:
        print(f"{one['module']:14} {one['source_bytes']:8,} {one['mpy_bytes']:8,}   {os.path.relpath(one['file'])}")
    print(f"\n{'package':14} {'modules':>8} {'.mpy':>8}   bytes")
    for one in found["packages"]:
        print(f"{one['package']:14} {one['modules']:8} {one['mpy_bytes']:8,}   {os.path.relpath(one['list'])}")
    print(f"\nbytecode, no native code: the same files for {', '.join(found['architectures'])}")


def build(directory):
    """Write umqtt_full/*.mpy and the lists of packages into `directory`; return what the tables show."""
    sizes = {}
    modules = []
    for file in pack.pack(directory):
        code = file.read_bytes()
        if pack.architecture(code):
            raise UserError(f"{file.stem} holds native code: build it for each of {', '.join(_architectures())}")
        sizes[f"umqtt_full/{file.name}"] = len(code)
        is_client = file.stem == flavours.CLIENT.file
        sources = ("__init__", *flavours.CLIENT.together) if is_client else (file.stem,)
        source_bytes = sum((LIB / "umqtt_full" / f"{source}.py").stat().st_size for source in sources)
        name = "(client)" if is_client else file.stem
        modules.append({"module": name, "source_bytes": source_bytes, "mpy_bytes": len(code), "file": str(file)})
    made = []
    for name, text in packages.compiled_lists().items():
        (directory / name).write_text(text)
        files = [path for path, _ in json.loads(text)["urls"]]
        made.append(
            {
                "package": name.removesuffix(".json"),
                "modules": len(files),
                "mpy_bytes": sum(sizes[path] for path in files),
                "list": str(directory / name),
            }
        )
    return {"modules": modules, "packages": made, "architectures": _architectures()}


def _architectures():
    found = {board.arch for board in boards.all_boards()}
    return sorted(found - {"bytecode"})
