# Prints how many microseconds a wake takes, and how many `count` messages, which are published under heap_lock().

import gc
import time

import micropython

from umqtt_full import MQTTClient

TOPIC = b"budget/twenty/bytes/x"
PAYLOAD = b"x" * 64


def wake(host, port, qos):
    begun = time.ticks_us()
    client = MQTTClient(b"wake", host, port, keepalive=30)
    client.connect()
    client.publish(TOPIC, PAYLOAD, False, qos)
    client.disconnect()
    return time.ticks_diff(time.ticks_us(), begun)


def publish(host, port, qos, count):
    client = MQTTClient(b"stays", host, port, keepalive=30)
    client.connect()
    client.publish(TOPIC, PAYLOAD, False, qos)
    gc.collect()
    micropython.heap_lock()
    begun = time.ticks_us()
    try:
        for _ in range(count):
            client.publish(TOPIC, PAYLOAD, False, qos)
    finally:
        took = time.ticks_diff(time.ticks_us(), begun)
        micropython.heap_unlock()
    client.disconnect()
    return took


def main(host, port, qos, count):
    wake(host, port, qos)  # the first one imports more
    print(wake(host, port, qos), publish(host, port, qos, count))
