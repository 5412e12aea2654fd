"""Send a file that is larger than any buffer, and receive it, piece by piece.

This program is both ends: it publishes a file and subscribes to the topic that it publishes to.
"""

import sys

from umqtt_full import MQTTClient
from umqtt_full.stream import ABORTED, COMPLETE, Streams

SERVER = sys.argv[1] if len(sys.argv) > 1 else "192.168.1.10"
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 1883
PATH = sys.argv[3] if len(sys.argv) > 3 else "picture.bin"

with open(PATH, "wb") as file:  # a camera would write this
    for line in range(200):
        file.write(b"%099d\n" % line)

received = 0
is_complete = False


def take(part):
    global received, is_complete
    if part.state == COMPLETE:
        is_complete = True
    elif part.state == ABORTED:
        print("the link was lost in the middle: the message will come again from its start")
    else:
        received = part.offset + len(part.payload)  # offset 0 begins a message, or begins it anew


client = MQTTClient("picture", SERVER, PORT)
streams = Streams(client, chunk=512)
streams.subscribe("examples/picture", take, qos=1)
client.connect()
streams.publish("examples/picture", PATH, qos=1)
while not is_complete:
    client.poll(1000)
print("sent and received", received, "bytes")
client.disconnect()
