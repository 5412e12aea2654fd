"""The beginning of a script that has a node `n` on a pretended client, and time that passes when it says so."""

SCRIPT = """
import time
now = 0
time_passes = 100
class Time:
    @staticmethod
    def ticks_ms():
        return now % (1 << 30)
    @staticmethod
    def ticks_diff(a, b):
        return ((a - b + (1 << 29)) % (1 << 30)) - (1 << 29)
    @staticmethod
    def ticks_add(a, b):
        return (a + b) % (1 << 30)
import node
node.time = Time

class Client:
    room = 1 << 30
    connected = True
    published = []
    def is_connected(self):
        return self.connected
    def set_last_will(self, *will):
        self.will = will
    def publish(self, topic, msg, retain=False, qos=0, *, wait=True, timeout_ms=None):
        if qos:
            if self.room == 0:
                raise node.Full(0, "no room")
            self.room -= 1
            assert wait is False
        self.published.append((str(topic, "utf-8"), str(msg, "utf-8"), retain, qos))

class Past:
    boot = 7
    by_watchdog = False
    fault = ""
    def keep(self, error):
        lines.append("kept: %s" % type(error).__name__)

class Settings:
    client_id = "n"
    topic = "t"
    interval_ms = 1000
    summary_every = 2

class Message:
    def __init__(self, payload, dup=False):
        self.payload = payload
        self.dup = dup

import board, controls, sensors
values = iter(range(200, 1 << 30))
client = Client()
lines = []
led = board.Led(None)
def make(sources=None, commands=None, past=Past()):
    global n
    commands = commands or {"led": controls.Switch(led.set, led.is_lit)}
    sources = sources or [sensors.Sensor("temperature_c", lambda: next(values), "°C", 1)]
    states = {name: c.state for name, c in commands.items() if hasattr(c, "state")}
    readings = sensors.Readings(sources, states, lambda words, error: lines.append(words))
    n = node.Node(Settings, client, readings, commands, past, lambda: None, lambda: None, lines.append)
    n._read_at = 0
    return n
make()
def pass_seconds(seconds):
    global now
    for _ in range(seconds * 10):
        now += 100
        client.on_wait()
        n._publish_waiting()
def show():
    for entry in client.published:
        print(entry[0], entry[3], entry[1])
    client.published.clear()
"""
