# Have nothing to do but wait for messages, for ever. Written for umqtt.simple.

import sys

from umqtt.simple import MQTTClient

PORT, NAME = int(sys.argv[1]), sys.argv[2]
state = 0


def sub_cb(topic, msg):
    global state
    if msg == b"on":
        state = 1
    elif msg == b"off":
        state = 0
    elif msg == b"toggle":
        state = 1 - state
    print(state)


def main(server="localhost"):
    c = MQTTClient(NAME + "-led", server, PORT)
    c.set_callback(sub_cb)
    c.connect()
    c.subscribe(NAME.encode() + b"/led", 1)
    print("ready")
    try:
        while 1:
            c.wait_msg()
    finally:
        c.disconnect()


if __name__ == "__main__":
    main()
