# This library's client for asyncio.

import asyncio

from measure import CLIENT_ID, HOST

from umqtt_full.aio import MQTTClient

_BLOCK = 500


def publish(run):
    asyncio.run(_publish(run))


async def _publish(run):
    client = MQTTClient(CLIENT_ID, HOST, run.port)
    await client.connect()
    topic = run.topic
    payload = run.payload
    qos = run.qos
    done = 0
    run.begin()
    if qos == 0:
        while run.more(done):
            for _ in range(_BLOCK):
                await client.publish(topic, payload)
            done += _BLOCK
        # Its acknowledgement comes when the broker has read all before it.
        await client.publish(topic, payload, False, 1)
    else:
        while run.more(done):
            await client.publish(topic, payload, False, qos)
            done += 1
    run.end(done)


def publish_window(run):
    asyncio.run(_publish_window(run))


async def _publish_window(run):
    client = MQTTClient(CLIENT_ID, HOST, run.port, inflight=run.window)
    await client.connect()
    topic = run.topic
    payload = run.payload
    qos = run.qos
    done = 0
    run.begin()
    while run.more(done):
        if 0 not in client.session.packet_ids:
            await client.wait_for_room()
        client.publish_nowait(topic, payload, False, qos)
        done += 1
    if not await client.flush(10000):
        raise OSError("not all was acknowledged within 10 s")
    run.end(done)


_received = 0


def _count(message):
    global _received
    _received += 1


def receive(run):
    asyncio.run(_receive(run))


async def _receive(run):
    client = MQTTClient(CLIENT_ID, HOST, run.port)
    client.on_message = _count
    run.begin()
    await client.connect(clean_session=False)
    while run.more(_received):
        await asyncio.sleep_ms(1)
    if run.qos == 2:
        # A message is handed over before its exchange is complete. SUBACK comes behind the last PUBREL.
        await client.subscribe(b"bench/end")
    run.end(_received)
