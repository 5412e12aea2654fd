"""Subscribe to several filters, each with a callback of its own. What matches none of them goes to on_message.

A message is lent: its topic and payload are valid until the callback returns. Copy what you keep: bytes(m.payload).
"""

import sys

from umqtt_full.robust import MQTTClient

SERVER = sys.argv[1] if len(sys.argv) > 1 else "192.168.1.10"
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 1883


def temperature(m):
    room = bytes(m.topic_name).decode().split("/")[1]
    print("temperature of", room, "is", bytes(m.payload).decode())


def alarm(m):
    print("alarm:", bytes(m.payload).decode())


def other(m):
    print("other:", bytes(m.topic_name).decode())


client = MQTTClient("many-filters", SERVER, PORT, keepalive=30)
client.on_message = other
client.subscribe("rooms/+/temperature", 0, temperature)
client.subscribe("rooms/alarm/#", 2, alarm)
client.subscribe([("rooms/+/door", 1), "rooms/+/window"])  # without callback: for on_message
client.connect()
print("subscribed")
while True:
    client.poll(1000)
