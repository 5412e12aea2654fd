# Do one's own work, and look now and then for messages. Written for umqtt.simple.

import sys
import time

from umqtt.simple import MQTTClient, MQTTException

PORT, NAME = int(sys.argv[1]), sys.argv[2]
on = True


def sub_cb(topic, msg):
    global on
    print((topic, msg))
    if msg == b"stop":
        on = False


c = MQTTClient(NAME + "-checker", "localhost", port=PORT, user="somebody", password="secret", keepalive=30)
c.set_callback(sub_cb)
c.set_last_will(NAME + "/will", "gone", retain=False, qos=1)
try:
    c.connect()
except MQTTException as e:
    print("refused", e)
c.subscribe(NAME + "/command")
print("ready")
laps = 0
while on:
    if c.check_msg() is None and laps % 50 == 0:
        c.ping()
    laps += 1
    time.sleep(0.001)
c.disconnect()
print("left")
