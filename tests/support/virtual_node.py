"""The node on a virtual board: its flash, and a client that notes what it publishes."""

import json

import paho.mqtt.client as paho

from umq import boards, contents, filesystem


class Watcher:
    """A client that notes what a node publishes."""

    def __init__(self, port, topic_filter="nodes/virtual/#"):
        self.heard = []
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self._client.on_message = lambda _client, _data, m: self.heard.append((m.topic, m.payload.decode()))
        self._client.connect("127.0.0.1", port)
        self._client.subscribe(topic_filter, 2)
        self._client.loop_start()

    def numbers(self):
        """The numbers of the summaries, in the order in which they came."""
        return [json.loads(payload)["n"] for topic, payload in self.heard if topic == "nodes/virtual/summary"]

    def command(self, words):
        self._client.publish("nodes/virtual/command", words, 2)

    def answers(self):
        return [json.loads(payload) for topic, payload in self.heard if topic == "nodes/virtual/answer"]

    def births(self):
        """The birth messages that were not the broker's to keep."""
        return [json.loads(payload) for topic, payload in self.heard if topic == "nodes/virtual/birth"]

    def telemetry(self):
        return [json.loads(payload) for topic, payload in self.heard if topic == "nodes/virtual/telemetry"]

    def stop(self):
        self._client.disconnect()
        self._client.loop_stop()


def flash_with_node(path, broker, others=None, **more):
    """Write an image of a flash with library, node, configuration with `more` settings, and `others`, files as
    {path: bytes}, or {path: None} to leave one out."""
    place = boards.load("VIRTUAL").filesystem
    files = contents.program() | {"config.json": json.dumps(configuration(broker, **more)).encode()} | (others or {})
    files = {path: data for path, data in files.items() if data is not None}
    path.write_bytes(filesystem.make(place, files).ljust(place.size, b"\xff"))
    return path


def configuration(broker, **more):
    """The node's configuration as a dict."""
    settings = {
        "client_id": "virtual",
        "server": "localhost",
        "port": broker.port,
        "keepalive_s": 5,
        "interval_ms": 100,
        "summary_every": 3,
        "journal": "journal",
        "led_pin": "LED",
        "wifi_ssid": "virtual",
        "wifi_passphrase": "virtual-passphrase",
    }
    return settings | more
