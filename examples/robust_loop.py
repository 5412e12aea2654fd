"""Keep publishing while brokers restart and links break: umqtt_full.robust connects again by itself.

It waits between two attempts, at random, up to 1, 2, 4 ... 64 s. The attempt itself has the client's timeout_ms.
"""

import sys
import time

from umqtt_full.robust import MQTTClient

SERVER = sys.argv[1] if len(sys.argv) > 1 else "192.168.1.10"
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 1883


def connected(session_present):
    print("connected,", "session resumed" if session_present else "new session")


client = MQTTClient("robust-loop", SERVER, PORT, keepalive=30)
client.on_connect = connected
client.on_disconnect = lambda error: print("link lost:", error)
client.connect(clean_session=False)  # the first connect() is yours: it raises if it fails
number = 0
while True:
    number += 1
    client.publish("examples/count", str(number), qos=1)  # returns when the broker has it, however long that takes
    print("published", number)
    client.poll()
    time.sleep(0.2)
