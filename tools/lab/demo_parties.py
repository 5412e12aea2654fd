"""The two clients of the demo's broker: the node, a process of MicroPython, and the watcher, which commands it."""

import collections
import contextlib
import json
import os
import queue
import signal
import subprocess
import threading

from umq import micropython
from umq.project import LIB

TOPIC = "nodes/demo"
SLICE_MS = 20  # how long to wait for the network before the node's lines are read again
_KINDS = ("status", "birth", "telemetry", "summary", "answer")


class Node:
    """The firmware as a process of MicroPython's unix port, and what it prints."""

    def __init__(self, firmware, config_path):
        environment = dict(os.environ, MICROPYPATH=f".frozen:{LIB}")
        self.words = []  # every line it printed
        self._lines = queue.SimpleQueue()
        self._process = subprocess.Popen(
            micropython.command() + [str(firmware / "main.py"), str(config_path)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # a Ctrl-C reaches the demo alone, which then stops the node
        )
        self.process_id = self._process.pid
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def _read(self):
        with self._process.stdout as lines:
            for line in lines:
                self._lines.put(line.rstrip())

    def new_words(self):
        """The lines printed since the last call."""
        lines = []
        with contextlib.suppress(queue.Empty):
            while True:
                lines.append(self._lines.get_nowait())
        self.words += lines
        return lines

    def has_ended(self):
        return self._process.poll() is not None

    def interrupt(self):
        """Ctrl-C: the node says goodbye. Returns its exit status, or None if it did not end."""
        self._process.send_signal(signal.SIGINT)
        try:
            return self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return None

    def kill(self):
        """SIGKILL: the node says nothing."""
        self._process.kill()
        self._process.wait()
        self._reader.join(timeout=5)


class Watcher:
    """A client of the same broker that receives all messages of the node, and sends it commands."""

    def __init__(self, port, screen):
        from umqtt_full import MQTTClient

        self._screen = screen
        self.messages = collections.defaultdict(list)  # last level of the topic -> payloads
        self.commands = []
        self._is_connected = True
        self._client = MQTTClient("demo-watcher", "127.0.0.1", port, keepalive=10, max_packet=2048, inflight=16)
        self._client.on_message = self._got
        # A persistent session, so that no message of QoS 1 or 2 is missed while the broker is away.
        self._client.connect(clean_session=False)
        self._client.subscribe([(f"{TOPIC}/{kind}", 2) for kind in _KINDS])

    def _got(self, message):
        kind = bytes(message.topic_name).decode().rpartition("/")[2]
        payload = bytes(message.payload).decode()
        self.messages[kind].append(payload)
        flags = f"QoS {message.qos}" + (", again" if message.dup else "") + (", retained" if message.retain else "")
        self._screen.say("got", f"{kind:9} {flags:8} {payload}")

    def poll(self):
        """Serve the network for a moment; connect again if the link is lost."""
        try:
            if not self._is_connected:
                self._client.reconnect(timeout_ms=1_000)
                self._is_connected = True
                self._screen.say("demo", "the watcher is connected again")
            self._client.poll(SLICE_MS)
        except OSError:
            self._is_connected = False
            self._client.transport.wait(SLICE_MS)

    def command(self, text):
        """Send a command at QoS 2; the watcher's store keeps it while the broker is away."""
        self._screen.say("we", f"command   QoS 2    {text}")
        self.commands.append(text)
        self._client.publish(f"{TOPIC}/command", text, qos=2, wait=False)

    def numbers(self, kind):
        return [json.loads(payload)["n"] for payload in self.messages[kind]]

    def answers(self):
        """How many answers came to each command."""
        return collections.Counter(json.loads(payload)["command"] for payload in self.messages["answer"])

    def close(self):
        with contextlib.suppress(OSError):
            self._client.disconnect()
