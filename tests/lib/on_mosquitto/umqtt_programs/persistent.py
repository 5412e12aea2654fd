# A subscriber whose session the broker keeps: it subscribes once, and hears what was said while it was away. Written
# for umqtt.robust.

import sys

from umqtt.robust import MQTTClient

PORT, NAME = int(sys.argv[1]), sys.argv[2]


def sub_cb(topic, msg):
    print((topic, msg))


c = MQTTClient(NAME + "-persistent", "localhost", PORT)
c.DEBUG = True
c.set_callback(sub_cb)
if not c.connect(clean_session=False):
    print("new session")
    c.subscribe(NAME + "/t", 1)
print("ready")
while 1:
    c.wait_msg()
