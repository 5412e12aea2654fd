"""Switch the LED by the messages "on" and "off" on one topic, and keep its state retained on another.

A command comes at QoS 2, so each is obeyed once. On a computer, which has no LED, the program prints the state.

Try it: `mosquitto_pub -h HOST -q 2 -t examples/led/command -m on`
"""

import sys

from umqtt_full.robust import MQTTClient

try:
    from machine import Pin

    led = Pin("LED", Pin.OUT)  # an ESP32 names its pins by number: Pin(2, Pin.OUT)
except ImportError:
    led = None

SERVER = sys.argv[1] if len(sys.argv) > 1 else "192.168.1.10"
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 1883


def obey(message):
    if message.payload not in (b"on", b"off"):
        print("unknown command:", bytes(message.payload))
        return
    if led:
        led.value(message.payload == b"on")
    state = bytes(message.payload)
    print("the LED is", state.decode())
    client.publish("examples/led/state", state, retain=True)  # in a callback this returns at once


client = MQTTClient("led-by-command", SERVER, PORT, keepalive=30)
client.subscribe("examples/led/command", 2, obey)  # registered now, asked for by connect()
client.connect(clean_session=False)
print("waiting for commands")
while True:
    client.poll(1000)
