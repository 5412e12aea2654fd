"""Let others see whether this board is there: "online" while it is, "offline" when the broker has lost it.

The broker publishes the will when the connection breaks without a goodbye, or when nothing comes for one and a half
times keepalive. Both messages are retained: whoever subscribes later sees the last one.
"""

import sys

from umqtt_full.robust import MQTTClient

SERVER = sys.argv[1] if len(sys.argv) > 1 else "192.168.1.10"
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 1883
STATUS = "examples/status"


def connected(session_present):
    client.publish(STATUS, "online", retain=True)


client = MQTTClient("state-and-will", SERVER, PORT, keepalive=10)
client.set_last_will(STATUS, "offline", retain=True, qos=1)
client.on_connect = connected  # on each connection, for the will was published when the last one broke
client.connect()
print("online")
try:
    while True:
        client.poll(1000)
except KeyboardInterrupt:
    client.publish(STATUS, "offline", retain=True, qos=1)  # after a goodbye the broker publishes no will
    client.disconnect()
