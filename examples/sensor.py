"""Publish a reading each second, and lose none: neither without a network nor over a reset.

publish(wait=False) returns when the reading is on flash. It goes out as soon as there is a link, with the packet id
that it was given, so that the broker gets each reading at least once (QoS 1).
"""

import sys
import time

from umqtt_full import Full, MQTTClient
from umqtt_full.journal import Journal

try:
    import esp32

    read_celsius = esp32.mcu_temperature  # ESP32-S3 and -C3
except (ImportError, AttributeError):

    def read_celsius():
        return 21  # put your own sensor here


# On a board without a network the look-up of a name does not end: the client asks online() before it begins one.
try:
    import network

    online = network.WLAN().isconnected
except ImportError:
    online = None  # a computer

SERVER = sys.argv[1] if len(sys.argv) > 1 else "192.168.1.10"
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 1883

journal = Journal("outbox", slots=32, size=256)  # the files outbox.0 and outbox.1
if journal.report:
    print("journal:", journal.report)
client = MQTTClient("sensor", SERVER, PORT, keepalive=30, max_packet=256, store=journal, online=online)
number = 0
while True:
    number += 1
    reading = "%d: %d" % (number, read_celsius())
    try:
        client.publish("examples/celsius", reading, qos=1, wait=False)
        print("kept", reading)
    except Full:
        print("no room for", reading)  # 32 readings wait for the broker already
    next_reading = time.time() + 1
    while time.time() < next_reading:
        try:
            if not client.is_connected():
                client.reconnect(timeout_ms=5000)  # a bound: the next reading must not wait for long
                print("connected")
            client.poll(200)
        except OSError as error:
            print("no link:", error)
            time.sleep(1)
