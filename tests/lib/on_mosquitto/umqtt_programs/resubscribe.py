# A subclass that subscribes again whenever the broker has lost its session, and comes back at its own pace. Written for
# umqtt.robust.

import sys
import time

from umqtt.robust import MQTTClient

PORT, NAME = int(sys.argv[1]), sys.argv[2]


class MyClient(MQTTClient):
    DELAY = 0.05

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.topics = []

    def connect(self, clean_session=True):
        if super().connect(clean_session):
            return True
        for topic in self.topics:
            self.subscribe(topic)
        return False

    def subscribe(self, topic):
        super().subscribe(topic)
        if topic not in self.topics:
            self.topics.append(topic)

    def log(self, in_reconnect, e):
        if in_reconnect and not isinstance(e, OSError):
            print("strange", repr(e))


def sub_cb(topic, msg):
    print((topic, msg))


c = MyClient(NAME + "-mine", "localhost", PORT, keepalive=60)
c.set_callback(sub_cb)
c.connect()
c.subscribe(NAME.encode() + b"/a")
c.publish(NAME.encode() + b"/a", b"message 1")
c.wait_msg()
while True:
    c.publish(NAME.encode() + b"/alive", b"", qos=1)
    c.check_msg()
    time.sleep(0.01)
