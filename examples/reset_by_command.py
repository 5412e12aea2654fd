"""Reset on a command, once: the broker must have the acknowledgement before the board goes.

A reset within the callback would leave the command unacknowledged: the broker sends it again after each start, and the
board resets for ever. So the callback only takes a note. disconnect() then writes all that is due, and waits for it. A
retained command is not obeyed: it would come again after each start as well.
"""

import sys

from umqtt_full.robust import MQTTClient

try:
    from machine import reset
except ImportError:
    reset = sys.exit  # a computer

SERVER = sys.argv[1] if len(sys.argv) > 1 else "192.168.1.10"
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 1883

is_to_reset = False


def command(m):
    global is_to_reset
    if m.retain:
        print("a retained command is not obeyed")
    elif m.text == "reset":
        is_to_reset = True


client = MQTTClient("reset-by-command", SERVER, PORT, keepalive=30)
client.subscribe("examples/board/command", 1, command)
client.connect(clean_session=False)
print("ready")
while not is_to_reset:
    client.poll(1000)
client.disconnect()
print("reset")
reset()
