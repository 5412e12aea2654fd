"""README's way from an empty board to a node that `umq monitor` shows: its transcript is what the commands say.

A test adds a configuration file of its own (--config), and the port of a broker of its own; README shows neither.
Ports, seconds, readings and the number of files may be others; the list of files is cut.
"""

import re
import subprocess
import sys
import time

from terminal import Terminal
from umq.project import BUILD, ROOT

_README = ROOT / "README.md"
_MADE = BUILD / "TRANSCRIPT.txt"
_SECRET = "virtual-passphrase"
_MOST_S = 60
_DIFFERS = (
    (r"\d\d:\d\d:\d\d ", "12:00:00 "),
    (r"127\.0\.0\.1:\d+", "127.0.0.1:1883"),
    (r"\d+\.\d s\b", "2.0 s"),
    (r"\d+ of \d+ files", "24 of 24 files"),
    (r"telemetry .*", "telemetry ..."),
)


def _same(text):
    for pattern, instead in _DIFFERS:
        text = re.sub(pattern, instead, text)
    return text


def _ask(words, question, answer):
    with Terminal(*words) as terminal:
        terminal.answer(question, answer)
        assert terminal.finish() == 0
    return "\n".join(line.rstrip() for line in terminal.said.replace("\r", "").splitlines())


def _run(*words):
    done = subprocess.run(
        [sys.executable, "-m", "umq", *map(str, words)], capture_output=True, text=True, timeout=2 * _MOST_S
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.rstrip()


def _without_most_files(text):
    lines = text.splitlines()
    files = [number for number, line in enumerate(lines) if line.startswith("  ")]
    assert len(files) > 10
    lines[files[2] : files[-1]] = ["  ..."]
    return "\n".join(lines)


def test_an_empty_board_is_a_node_after_three_commands(virtual_board, broker, tmp_path):
    board, config = tmp_path / "board", tmp_path / "config.json"
    virtual_board(link=board)
    started = time.monotonic()
    first = "config --name greenhouse --server 127.0.0.1 --wifi virtual"
    said = _ask([*first.split(), "--file", config, "--set", f"port={broker.port}"], "wifi_passphrase", _SECRET)
    said = said.replace(str(config), ".../firmware/config.json").replace(f"  port             {broker.port}\n", "")
    second = "deploy --port board"
    deployed = _without_most_files(_run("deploy", "--port", board, "--config", config))
    third = "monitor --plain --until greenhouse"
    seen = _run("monitor", f"127.0.0.1:{broker.port}", "--plain", "--until", "greenhouse", "--seconds", _MOST_S)
    seconds = time.monotonic() - started
    assert seconds < _MOST_S

    played = f"$ umq {first}\n{said}\n$ umq {second}\n{deployed}\n$ umq {third}\n{seen}\n"
    assert _SECRET not in played
    _MADE.parent.mkdir(exist_ok=True)
    _MADE.write_text(f"{played}({seconds:.0f} s in all)\n")
    block = "".join("    " + line for line in played.splitlines(keepends=True))
    assert _same(block) in _same(_README.read_text()), f"README shows something else than {_MADE}"
