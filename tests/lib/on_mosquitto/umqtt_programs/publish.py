# Publish a few readings, and leave. Written for umqtt.simple.

import sys

from umqtt.simple import MQTTClient

PORT, NAME = int(sys.argv[1]), sys.argv[2]


def main(server="localhost"):
    c = MQTTClient(NAME + "-publisher", server, PORT)
    c.connect()
    for i in range(3):
        c.publish(NAME.encode() + b"/reading", b"%d" % i)
    c.publish(b"%s/state" % NAME.encode(), b"kept", True)
    c.publish(NAME + "/alarm", "text", qos=1)
    c.publish(topic=NAME + "/alarm", msg="named", retain=False, qos=1)
    c.disconnect()
    print("left")


main()
