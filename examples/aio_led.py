"""asyncio: blink the LED, at a pace that messages set, and keep the pace retained on another topic.

The LED blinks on, evenly, while the client connects, loses the link and connects again.

Try it: `mosquitto_pub -h HOST -q 2 -t examples/blink/command -m 100`
"""

import asyncio
import sys

from umqtt_full.aio import MQTTClient

try:
    from machine import Pin

    led = Pin("LED", Pin.OUT)  # an ESP32 names its pins by number: Pin(2, Pin.OUT)
except ImportError:
    led = None

SERVER = sys.argv[1] if len(sys.argv) > 1 else "192.168.1.10"
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 1883

pace_ms = 500


async def blink():
    on = False
    while True:
        on = not on
        if led:
            led.value(on)
        await asyncio.sleep(pace_ms / 1000)


async def obey(client):
    global pace_ms
    async with client.subscribe("examples/blink/command", qos=2) as commands:
        print("waiting for commands")
        async for command in commands:  # the end of a turn acknowledges its message
            try:
                pace_ms = max(20, min(int(command.text), 5000))
            except ValueError:
                print("unknown command:", bytes(command.payload))
                continue
            print("the pace is", pace_ms, "ms")
            await client.publish("examples/blink/pace", pace_ms, retain=True, qos=1)


async def main():
    asyncio.create_task(blink())
    async with MQTTClient("aio-led", SERVER, PORT, keepalive=30, clean_session=False) as client:
        await obey(client)


asyncio.run(main())
