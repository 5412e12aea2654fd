"""paho-mqtt as the other end: a client whose authors are not ours."""

import threading

from paho.mqtt import client as paho

from runtime_scripts import PATIENCE_S


class Paho:
    """A connected client of paho-mqtt with the messages that it got, each (topic, payload, qos, retain); from the start
    on it is subscribed to a filter, if one is given, at QoS 2. To be used with `with`."""

    def __init__(self, port, topic_filter=None):
        self.messages = []
        self._subscribed = threading.Event()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self._client.max_inflight_messages_set(100)
        self._client.on_message = lambda _client, _data, m: self.messages.append((m.topic, m.payload, m.qos, m.retain))
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        if topic_filter is not None:
            self.subscribe(topic_filter)

    def subscribe(self, topic_filter, qos=2):
        self._subscribed.clear()
        self._client.subscribe(topic_filter, qos)
        assert self._subscribed.wait(PATIENCE_S)

    def publish(self, topic, payload, qos=0, retain=False):
        return self._client.publish(topic, payload, qos, retain)

    def of(self, topic):
        return [m for m in self.messages if m[0] == topic]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._client.disconnect()
        self._client.loop_stop()
