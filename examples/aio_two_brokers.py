"""asyncio: pass messages on from one broker to another one, at QoS 2, each once.

A message is acknowledged to the first broker when the second one has it. While the second one is away the first one
keeps what does not fit into the queue.
"""

import asyncio
import sys

from umqtt_full.aio import MQTTClient

SERVER = sys.argv[1] if len(sys.argv) > 1 else "192.168.1.10"
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 1883
OTHER_PORT = int(sys.argv[3]) if len(sys.argv) > 3 else 1884


async def main():
    here = MQTTClient("aio-bridge", SERVER, PORT, clean_session=False)
    there = MQTTClient("aio-bridge", SERVER, OTHER_PORT, clean_session=False)
    async with here, there:
        async with here.subscribe("examples/from-here/#", qos=2, queue=8) as messages:
            print("passing on")
            async for message in messages:
                await there.publish("there/" + message.topic, bytes(message.payload), message.retain, qos=2)
                print("passed on", message.topic)


asyncio.run(main())
