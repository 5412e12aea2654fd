"""Each program in docs/asyncio.md runs, and prints what the text behind it says: on CPython and on MicroPython."""

import os
import re
import subprocess

import pytest

from lab import mosquitto
from lab.mosquitto import Mosquitto
from umq.project import LIB, ROOT

GUIDE = (ROOT / "docs" / "asyncio.md").read_text()
# (question, program, its output or "")
PROGRAMS = [
    (part.partition("\n")[0], *found.groups(default=""))
    for part in GUIDE.split("\n## ")
    for found in re.finditer(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", part, re.S)
]


@pytest.fixture(scope="module")
def guide_broker(need, tmp_path_factory):
    need(mosquitto.find)
    with Mosquitto(tmp_path_factory.mktemp("guide")) as running:
        yield running


def test_there_are_programs():
    assert len(PROGRAMS) >= 12


@pytest.mark.parametrize("question, program, output", PROGRAMS, ids=[one[0] for one in PROGRAMS])
def test_program(question, program, output, runtime, guide_broker, tmp_path):
    file = tmp_path / "program.py"
    file.write_text(program.replace('"192.168.1.10"', f'"127.0.0.1", {guide_broker.port}'))
    done = subprocess.run(
        [*runtime, str(file)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(LIB), "MICROPYPATH": f".frozen:{LIB}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if output:
        assert done.stdout == output, done.stdout + done.stderr
    else:
        assert re.search(r"^lost: .+\nback\n$", done.stdout), done.stdout + done.stderr
