# Heap that a message costs with the asyncio client, in bytes, on MicroPython, through a broker:
#
#   micropython heap_aio.py WHAT PORT
#
# WHAT is publish-0 ... publish-2, callback-0 ... callback-2 and iterator-0 ... iterator-2 (messages that come in), or
# stream: a byte that asyncio's own StreamReader waits for and reads, the least that a wait for a socket costs. Prints:
# bytes that one costs until they are collected, over COUNT of them.

# The stubs do not know MicroPython's own streams:
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false

import asyncio
import gc
import sys

from heap_message import PAYLOADS, TOPICS, Publisher

from umqtt_full.aio import MQTTClient

COUNT = 200

received = 0


def count(message):
    global received
    received += 1


async def measure(one):
    for _ in range(COUNT // 10):
        await one()
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    for _ in range(COUNT):
        await one()
    print((gc.mem_alloc() - before) // COUNT)
    gc.enable()


async def messages(what, port):
    kind, qos = what.split("-")
    qos = int(qos)
    async with MQTTClient(b"budget", "127.0.0.1", port, keepalive=60) as client:
        if kind == "publish":
            await measure(lambda: client.publish(TOPICS[0], PAYLOADS[0], False, qos))
            return
        publisher = Publisher(port, qos)
        if kind == "callback":
            await client.subscribe(b"budget/#", qos, count)

            async def one():
                expected = received + 1
                publisher.publish(0)
                while received < expected:
                    await asyncio.sleep_ms(0)

            await measure(one)
            return
        async with client.subscribe(b"budget/#", qos) as iterator:

            async def one():
                publisher.publish(0)
                await iterator.get()

            await measure(one)


async def main(what, port):
    if what == "stream":
        # The broker answers each PINGREQ.
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x10\x0c\0\4MQTT\4\2\0\0\0\0")
        buf = bytearray(4)
        await reader.readinto(buf)

        async def one():
            reader.s.write(b"\xc0\0")
            await reader.readinto(buf)

        await measure(one)
    else:
        await messages(what, port)


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
