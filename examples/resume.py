"""Go on with a session after a reset: what came meanwhile is handed over, once.

One message may come again: the one whose callback was running when the reset came. It has `dup` set.
The session needs a fixed client id, clean_session=False, and a journal: a client that kept its half of the session in
memory would have forgotten after a reset which messages of QoS 2 it has handed over.
"""

import sys

from umqtt_full.journal import Journal
from umqtt_full.robust import MQTTClient

SERVER = sys.argv[1] if len(sys.argv) > 1 else "192.168.1.10"
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 1883


def order(m):
    print("order", bytes(m.payload).decode(), "(again, perhaps)" if m.dup else "")


journal = Journal("session", slots=8, size=512, received=16)
client = MQTTClient("resume", SERVER, PORT, keepalive=30, max_packet=512, store=journal)
client.subscribe("examples/orders", 2, order)
resumed = client.connect(clean_session=False)
print("session resumed" if resumed else "new session")
client.poll(1000)
print("ready")
while True:
    client.poll(1000)
