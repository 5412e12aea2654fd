# As the first example of mqtt_as's README, with the import changed: events and the queue.
import asyncio
import sys

from umqtt_full.mqtt_as import MQTTClient, config

config["server"] = "127.0.0.1"
config["port"] = int(sys.argv[1])
config["ssid"] = "your_network_name"
config["wifi_pw"] = "your_password"
config["client_id"] = b"events"
config["queue_len"] = 1
config["clean"] = False
config["keepalive"] = 120
config["will"] = ("status", "gone", False, 0)


async def messages(client):
    async for topic, msg, retained in client.queue:
        print("got", topic.decode(), msg.decode(), retained)


async def up(client):
    while True:
        await client.up.wait()
        client.up.clear()
        print("up")
        await client.subscribe("foo_topic", 1)
        print("subscribed")


async def down(client):
    while True:
        await client.down.wait()
        client.down.clear()
        print("down")


async def main(client):
    await client.connect()
    for coroutine in (up, down, messages):
        asyncio.create_task(coroutine(client))
    n = 0
    while True:
        await asyncio.sleep(0.1)
        await client.publish("result", "{}".format(n), qos=1)
        n += 1


MQTTClient.DELAY = 0.1
client = MQTTClient(config)
try:
    asyncio.run(main(client))
finally:
    client.close()
