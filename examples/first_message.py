"""Say hello to a broker. At QoS 1 publish() returns when the broker has acknowledged the message.

On a board: change SERVER, then `umq run examples/first_message.py`.
On a computer: `PYTHONPATH=lib python examples/first_message.py 127.0.0.1`.
"""

import sys

from umqtt_full import MQTTClient

SERVER = sys.argv[1] if len(sys.argv) > 1 else "192.168.1.10"  # the broker's name or address
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 1883

client = MQTTClient("first-message", SERVER, PORT)
client.connect()
packet_id = client.publish("examples/hello", "from a board", qos=1)
print("the broker has acknowledged packet", packet_id)
client.disconnect()
