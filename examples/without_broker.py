"""Do the work from power-on, with a broker or without one: a heater that is never late because of the network.

Nothing in the loop waits for the network but connect(), which has a bound and is tried now and then. With wait=False a
report is dropped, and counted, while there is no link: the next one is newer anyway.
"""

import sys
import time

from umqtt_full import MQTTClient, MQTTException

try:
    import network

    online = network.WLAN().isconnected  # without a network the look-up of a name could take very long
except ImportError:
    online = None  # a computer

SERVER = sys.argv[1] if len(sys.argv) > 1 else "192.168.1.10"
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 1883
CONNECT_MS = 500  # how long an attempt may hold the loop
RETRY_S = 2

wanted = 20


def set_wanted(m):
    global wanted
    try:
        wanted = int(m.text)
    except ValueError:
        print("not a number:", m.text)


def celsius(turn):
    return 18 + turn % 5  # put your own sensor here


client = MQTTClient("without-broker", SERVER, PORT, keepalive=30, online=online)
client.subscribe("examples/heater/wanted", 1, set_wanted)  # remembered, and sent at each connect()
turn = 0
next_attempt = time.time()
while True:
    turn += 1
    heats = celsius(turn) < wanted
    print("turn", turn, "heats" if heats else "rests")
    client.publish("examples/heater", "on" if heats else "off", wait=False)
    try:
        if client.is_connected():
            client.poll(0)
        elif time.time() >= next_attempt:
            next_attempt = time.time() + RETRY_S
            client.connect(timeout_ms=CONNECT_MS)
            print("connected,", client.counts.dropped, "reports dropped")
    except (OSError, MQTTException) as error:
        print("no broker:", error)
    time.sleep(0.2)
