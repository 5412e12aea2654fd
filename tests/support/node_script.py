"""A script on MicroPython's unix port that imports the node's modules and the library."""

import os
import subprocess

from umq import micropython
from umq.project import FIRMWARE, LIB


def run(folder, text):
    """Run the script `text` in `folder`; its output as lines."""
    (folder / "script.py").write_text(text)
    done = subprocess.run(
        [*micropython.command(), "script.py"],
        cwd=folder,
        env=dict(os.environ, MICROPYPATH=f"{FIRMWARE}:{LIB}:.frozen"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()
