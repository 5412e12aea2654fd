"""A broker that runs as a process of its own, started and stopped at will. A context manager."""

import abc
import subprocess

_STOP_SECONDS = 15


class BrokerProcess(abc.ABC):
    """A subclass starts `_process`, and says in which file its output goes."""

    def __init__(self, log):
        self._log = log
        self._process = None

    @abc.abstractmethod
    def start(self):
        """Start it, and return when it listens."""

    def stop(self):
        """End it in good order (SIGTERM), so that it saves its sessions, and wait until it has ended."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout=_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self):
        """End it at once (SIGKILL), as a loss of power would."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        self._process = None

    def log(self):
        """All that it has said so far, over all its runs."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_exception):
        self.stop()
