"""What the tests of the tools share."""

import json
import os
import subprocess

import pytest

from umq import micropython as micropythons
from umq.project import FIRMWARE, LIB


@pytest.fixture
def start_node(micropython, tmp_path):
    """start_node(name, port) -> the process of a node of firmware/ on MicroPython."""
    processes = []

    def start(name, port):
        folder = tmp_path / name
        folder.mkdir()
        keys = dict(client_id=name, server="127.0.0.1", port=port, interval_ms=200, summary_every=2)
        (folder / "config.json").write_text(json.dumps(keys))
        processes.append(
            subprocess.Popen(
                [*micropythons.command(), str(FIRMWARE / "main.py")],
                cwd=folder,
                env=dict(os.environ, MICROPYPATH=f".frozen:{LIB}"),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        )
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()
