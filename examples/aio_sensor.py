"""asyncio: publish a reading every second. What is read without a link is kept in a journal, also over a reset."""

import asyncio
import sys
import time

from umqtt_full import Full
from umqtt_full.aio import MQTTClient
from umqtt_full.journal import Journal

SERVER = sys.argv[1] if len(sys.argv) > 1 else "192.168.1.10"
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 1883
SECONDS = float(sys.argv[3]) if len(sys.argv) > 3 else 1


def celsius():
    return 20 + time.time() % 60 / 10  # in place of a thermometer


async def read(client):
    while True:
        reading = "%.1f" % celsius()
        try:
            client.publish_nowait("examples/celsius", reading, qos=1)
            print("kept", reading)
        except Full:
            print("the journal is full; lost", reading)
        await asyncio.sleep(SECONDS)


async def tell(client):
    while True:
        await client.connected()
        print("connected")
        error = await client.disconnected()
        print("no link:", error)


async def main():
    client = MQTTClient("aio-sensor", SERVER, PORT, clean_session=False, store=Journal("aio-sensor"))
    client.start()  # in the background: readings begin without a link
    await asyncio.gather(read(client), tell(client))


asyncio.run(main())
