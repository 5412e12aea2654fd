"""asyncio: publish from an interrupt. A button's handler posts into an Outbox, and the client publishes.

A handler must not allocate memory, and must not meet the client in the middle of a call: an Outbox is made for that. On
a computer, which has no button, a task presses it.
"""

import asyncio
import sys

from umqtt_full.aio import MQTTClient
from umqtt_full.outbox import Outbox

try:
    from machine import Pin
except ImportError:
    Pin = None

SERVER = sys.argv[1] if len(sys.argv) > 1 else "192.168.1.10"
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 1883

client = MQTTClient("aio-button", SERVER, PORT, keepalive=30)
outbox = Outbox(client)


def pressed(pin):
    outbox.post(b"examples/button", b"pressed", qos=1)


async def press():
    for _ in range(3):
        pressed(None)
        await asyncio.sleep(0.3)


async def main():
    async with client:
        print("connected")
        if Pin:
            button = Pin(14, Pin.IN, Pin.PULL_UP)
            button.irq(pressed, Pin.IRQ_FALLING)
            while True:
                await asyncio.sleep(60)
        else:
            await press()
            print("all are sent:", await client.flush(5000))


asyncio.run(main())
