"""`umq broker` on loopback with a journal, as lab.mosquitto.Mosquitto is: started and stopped at will."""

import os
import subprocess
import sys
import time
from pathlib import Path

from emulation.ports import free_port
from lab.broker_process import BrokerProcess
from umq.errors import UserError

_START_SECONDS = 30


class OwnBroker(BrokerProcess):
    """A broker on 127.0.0.1 at `port` whose journal and log lie in `directory`. A context manager."""

    name = "umq broker with a journal"

    def __init__(self, directory, port=None):
        self._directory = Path(directory).resolve()
        self._directory.mkdir(parents=True, exist_ok=True)
        super().__init__(self._directory / "broker.log")
        self.port = port or free_port()

    def start(self):
        """Start it and return when it listens; UserError with its last words if it does not."""
        before = self.log().count("listening")
        words = ["broker", "--port", str(self.port), "--journal", str(self._directory / "journal"), "--plain"]
        tools = str(Path(__file__).parents[1])
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "umq", *words],
                env={**os.environ, "PYTHONPATH": tools},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C at the terminal is for the program that started it, which then stops it.
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_SECONDS
        while self.log().count("listening") == before:
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise UserError(f"the broker does not start: {self.log().strip().rpartition(chr(10))[2]}")
            time.sleep(0.02)
