"""The node on MicroPython's unix port as a process, and a client that sees all that it says."""

import json
import os
import queue
import signal
import subprocess
import threading
import time

import pytest

from umq import micropython
from umq.project import ROOT
from umqtt_full import MQTTClient

SECRET = "swordfish-hunter2"
TOPIC = "home/node"
PATIENCE_S = 30  # the node's backoff may take a while


class Node:
    """The firmware as a process, and what it has printed."""

    def __init__(self, directory, arguments=("config.json",), board=None, **keys):
        directory.mkdir(exist_ok=True)
        pretended = directory / "board"
        pretended.mkdir(exist_ok=True)
        for name, source in (board or {}).items():
            (pretended / f"{name}.py").write_text(source)
        config = dict(client_id="node-1", server="127.0.0.1", topic=TOPIC, interval_ms=100, summary_every=2)
        (directory / "config.json").write_text(json.dumps(dict(config, **keys)))
        self.output = ""
        self._news = queue.SimpleQueue()
        self.process = subprocess.Popen(
            [*micropython.command(), str(ROOT / "firmware" / "main.py"), *arguments],
            cwd=directory,
            env=dict(os.environ, MICROPYPATH=f"{pretended}:.frozen:{ROOT / 'lib'}"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.output += line
            self._news.put(line)

    def until_said(self, words):
        """Wait for a line with these words; the line."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                line = self._news.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                pytest.fail(f"the node did not say {words!r} but: {self.output}")
            if words in line:
                return line.strip()

    def until_ended(self):
        """Its exit status, when it ends by itself."""
        status = self.process.wait(timeout=PATIENCE_S)
        self._reader.join()
        return status

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        return self.until_ended()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self._reader.join()


class Watcher:
    """A client that sees all the node says."""

    def __init__(self, port, **options):
        self.messages = []
        self.client = MQTTClient("watcher", "127.0.0.1", port, max_packet=16_384, received=2000, **options)
        self.client.on_message = self._got
        self.client.connect()
        self.client.subscribe(TOPIC + "/#", 2)

    def _got(self, message):
        kind = bytes(message.topic_name).decode().rpartition("/")[2]
        if kind != "command":
            self.messages.append((kind, bytes(message.payload).decode(), message.qos, bool(message.retain)))

    def of(self, kind):
        return [payload for k, payload, _, _ in self.messages if k == kind]

    def until(self, condition):
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"seen so far: {self.messages}"
            self.client.poll(50)

    def until_count(self, kind, count):
        """Wait until so many messages of this kind have come."""
        self.until(lambda: len(self.of(kind)) >= count)

    def ask(self, command):
        """Send a command at QoS 2; the answer to it."""
        before = len(self.of("answer"))
        self.client.publish(TOPIC + "/command", command, False, 2)
        self.until(lambda: len(self.of("answer")) > before)
        return json.loads(self.of("answer")[before])
