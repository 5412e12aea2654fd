"""The broker with its journal, killed at random moments: nothing is lost, and nothing doubled at QoS 2."""

import os
import random
import signal
import subprocess
import sys
import threading
import time

from emulation.ports import free_port
from runtime_scripts import until
from umq.project import ROOT
from umqtt_full.robust import MQTTClient

_KILLS = 200 if os.environ.get("NIGHTLY") else 8


class _Broker:
    def __init__(self, journal):
        self.port = free_port()
        self._journal = journal
        self._process = None

    def start(self):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "umq", "broker", f"--port={self.port}", f"--journal={self._journal}", "--plain"],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
        )

    def kill(self):
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()


def _client(name, broker):
    client = MQTTClient(name, "127.0.0.1", broker.port, inflight=8, keepalive=10, timeout_ms=4000)
    client.DEBUG = False
    client.DELAY = 0.02
    return client


def test_killed_at_random_moments(tmp_path):
    """[MQTT-4.1.0-1]"""
    broker = _Broker(tmp_path / "journal")
    broker.start()
    got = []
    ends = threading.Event()
    subscribed = threading.Event()
    failed = []

    def subscribe():
        try:
            client = _client("subscriber", broker)
            client.on_message = lambda m: got.append((m.qos, int(m.text)))
            while not ends.is_set():
                try:
                    client.connect(clean_session=False)
                    client.subscribe("kill/#", 2)
                    break
                except OSError:
                    time.sleep(0.1)
            subscribed.set()
            while not ends.is_set():
                client.poll(50)
        except Exception as e:  # the test tells of it
            failed.append(e)

    sent = []
    may_send = threading.Event()

    def publish():
        try:
            client = _client("publisher", broker)
            while True:
                try:
                    client.connect(clean_session=False)
                    break
                except OSError:
                    time.sleep(0.1)
            number = 0
            while may_send.is_set() or client.session.unfinished():
                if may_send.is_set():
                    client.publish("kill/t", b"%d" % number, qos=1 + number % 2)
                    sent.append((1 + number % 2, number))
                    number += 1
                else:
                    client.poll(50)
        except Exception as e:
            failed.append(e)

    subscriber = threading.Thread(target=subscribe, daemon=True)
    publisher = threading.Thread(target=publish, daemon=True)
    try:
        subscriber.start()
        assert subscribed.wait(30) and not failed
        may_send.set()
        publisher.start()
        chance = random.Random(7)
        for _ in range(_KILLS):
            enough = len(sent) + chance.randrange(2, 40)
            until(lambda enough=enough: len(sent) >= enough or failed, "messages")
            time.sleep(chance.random() * 0.02)
            broker.kill()
            broker.start()
        may_send.clear()
        publisher.join(60)
        deadline = time.monotonic() + 60
        while set(got) < set(sent) and time.monotonic() < deadline and not failed:
            time.sleep(0.05)
        time.sleep(0.5)
    finally:
        may_send.clear()
        ends.set()
        subscriber.join(30)
        broker.kill()
    assert not failed, failed
    numbers = [number for _, number in got]
    at_qos_2 = [number for qos, number in got if qos == 2]
    doubled = [number for number in set(at_qos_2) if at_qos_2.count(number) > 1]
    lost = sorted({number for _, number in sent} - set(numbers))
    print(f"{_KILLS} kills, {len(sent)} messages, {len(lost)} lost, {len(doubled)} doubled at QoS 2")
    assert (lost, doubled) == ([], [])
