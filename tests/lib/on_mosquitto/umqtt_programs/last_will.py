# A subclass whose last will says that it is offline, and whose every connect says that it is online. Written for
# umqtt.robust.

import sys
import time

from umqtt.robust import MQTTClient

PORT, NAME = int(sys.argv[1]), sys.argv[2]


class MyClient(MQTTClient):
    def delay(self, i):
        time.sleep(0.01 * i)

    def connect(self, clean_session=True):
        self.set_last_will(NAME + "/status", b"offline", retain=True)
        session = super().connect(clean_session)
        self.publish(NAME + "/status", b"online", retain=True)
        return session


c = MyClient(NAME + "-mortal", "localhost", PORT, keepalive=5)
c.connect()
print("ready")
while True:
    c.wait_msg()
