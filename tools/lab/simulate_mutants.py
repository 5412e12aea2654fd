"""make simulate ARGS=--mutants: can the simulator find faults? Each fault of mutants/table.py is made in a copy of
the library, and the simulator looks for it with seeds and exhaustive runs. tests/mutants/RESULT.md keeps the result.
"""

import re
import runpy
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from umq.errors import UserError
from umq.project import LIB, ROOT

_FOLDER = Path(__file__).with_name("mutants")
_RESULT = ROOT / "tests" / "mutants" / "RESULT.md"
_SEEDS = 1500  # stories to try before the exhaustive runs
_TIMEOUT_S = 7200
_ROW = re.compile(r"\.{4,}")  # payloads are filled up with dots


def run(jobs):
    """Look for every mutant, `jobs` at once, and print the table; return 1 if one was not found."""
    mutants = table()
    with ThreadPoolExecutor(jobs) as pool:
        found = list(pool.map(hunt, mutants))
    lines = ["| fault | made in | found by | stories until then | what was seen |", "| --- | --- | --- | ---: | --- |"]
    for (name, file, _, _), (by, stories, words) in zip(mutants, found, strict=True):
        lines.append(f"| {name} | {file} | {by} | {stories:,} | {_ROW.sub('…', words.replace('|', '/'))[:90]} |")
    caught = sum(by != "nothing" for by, _, _ in found)
    lines += ["", f"{caught} of {len(found)} found."]
    print("\n".join(lines))
    _RESULT.write_text("# What `make simulate ARGS=--mutants` printed\n\n" + "\n".join(lines) + "\n")
    return 0 if caught == len(found) else 1


def table():
    """The mutants: (name, file, text as it is, text with the fault) each."""
    return runpy.run_path(str(_FOLDER / "table.py"))["MUTANTS"]


def make(mutant, folder):
    """Copy the library into `folder` and make the fault there; UserError if the text is not there once."""
    name, file, right, wrong = mutant
    shutil.copytree(LIB / "umqtt_full", folder / "umqtt_full", ignore=shutil.ignore_patterns("__pycache__"))
    path = folder / "umqtt_full" / file
    text = path.read_text()
    if text.count(right) != 1:
        raise UserError(
            f"mutant {name!r}: its text is {text.count(right)} times in {file}, not once: {right.strip()!r}"
        )
    path.write_text(text.replace(right, wrong))


def hunt(mutant, seeds=_SEEDS):
    """(found by, after how many stories, what was wrong); found by "nothing" if it was not found."""
    with tempfile.TemporaryDirectory(prefix="umq-mutant-") as folder:
        make(mutant, Path(folder))
        command = [sys.executable, str(_FOLDER / "hunt.py"), folder, str(seeds)]
        try:
            says = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return "hanging", 0, f"no end within {_TIMEOUT_S} s"
    last = (says.stdout.splitlines() or [""])[-1]
    if says.returncode or last.count("\t") != 2:
        words = (says.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        return "a crash", 0, words
    by, stories, words = last.split("\t")
    return by, int(stories), words
