"""Wake, send one message, take the commands that wait, sleep: for a board on a battery.

The reading is on flash before the network is asked for. If there is no broker, it goes out with a later wake. The
session outlives the sleep, so that the broker keeps commands meanwhile.
"""

import sys

from umqtt_full import Full, MQTTClient, MQTTException
from umqtt_full.journal import Journal

try:
    from machine import deepsleep
except ImportError:
    deepsleep = None  # a computer: the program ends

SERVER = sys.argv[1] if len(sys.argv) > 1 else "192.168.1.10"
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 1883
SLEEP_MS = 600_000


def read_sensor():
    return 21  # put your own sensor here


def command(m):
    print("command", m.text)


journal = Journal("wake", slots=16, size=256)  # on ESP32 umqtt_full.rtc.RtcJournal spares the flash
client = MQTTClient("one-wake", SERVER, PORT, keepalive=30, max_packet=256, store=journal, timeout_ms=5000)
client.subscribe("examples/wake/command", 1, command)
try:
    client.publish("examples/wake", read_sensor(), qos=1, wait=False)
except Full:
    print("16 readings wait already")
try:
    # On a board, join the Wi-Fi first, with a bound of its own.
    client.connect(clean_session=False)
    client.flush(5000)  # the readings of earlier wakes too
    client.wait_msg(300)  # a command that is on its way still
    client.disconnect()
except (OSError, MQTTException) as error:
    print("later:", error)
    client.close()
print(client.session.unfinished(), "left for the next wake")
journal.close()
if deepsleep:
    deepsleep(SLEEP_MS)
