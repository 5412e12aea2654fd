# Wait for messages and for something else at once, by polling the client's socket. Written for umqtt.simple.

import select
import sys

from umqtt.simple import MQTTClient

PORT, NAME = int(sys.argv[1]), sys.argv[2]

c = MQTTClient(NAME + "-poller", "localhost", PORT)
c.set_callback(print)
c.connect()
c.subscribe(NAME + "/t")
poller = select.poll()
poller.register(c.sock, select.POLLIN)
print("ready")
while True:
    poller.poll(1000)
    while c.check_msg() is not None:
        pass
