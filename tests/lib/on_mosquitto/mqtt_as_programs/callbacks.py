# As the second example of mqtt_as's README, with the import changed: callbacks.
import asyncio
import sys

from umqtt_full.mqtt_as import MQTTClient, config


def callback(topic, msg, retained):
    print("got", topic.decode(), msg.decode(), retained)


async def conn_han(client):
    await client.subscribe("foo_topic", 1)
    print("subscribed")


async def wifi_han(state):
    print("up" if state else "down")


async def main(client):
    await client.connect()
    print("broker", await client.broker_up(), client.isconnected())
    n = 0
    while True:
        await asyncio.sleep(0.1)
        await client.publish("result", "{}".format(n), qos=1)
        n += 1


config["server"] = "127.0.0.1"
config["port"] = int(sys.argv[1])
config["client_id"] = "callbacks"
config["subs_cb"] = callback
config["connect_coro"] = conn_han
config["wifi_coro"] = wifi_han
MQTTClient.DEBUG = True
MQTTClient.DELAY = 0.1
client = MQTTClient(config)
try:
    asyncio.run(main(client))
finally:
    client.close()
