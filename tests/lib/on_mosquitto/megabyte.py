# A payload far larger than the heap, through a real broker, on CPython or on MicroPython:
#
#   megabyte.py LIBRARY PORT NAME out|in QOS FILE JOURNAL
#
# out: publishes FILE to NAME. in: takes one message of NAME, at QoS 2 by way of a file beside FILE. LIBRARY is where
# umqtt_full lies, JOURNAL the path of a journal, or "-". Says "ready" when it is subscribed, then SHA-256 of what came.

import sys

sys.path.insert(0, sys.argv[1])

import gc  # noqa: E402
import hashlib  # noqa: E402
from binascii import hexlify  # noqa: E402

from umqtt_full import MQTTClient  # noqa: E402
from umqtt_full.stream import ABORTED, MORE, Streams  # noqa: E402

_, _, port, name, way, qos, path, journal = sys.argv
store = None
if journal != "-":
    from umqtt_full.journal import Journal

    store = Journal(journal, slots=4, size=256)
client = MQTTClient(
    name + way, "127.0.0.1", int(port), keepalive=60, max_packet=256, chunk=512, received=64, store=store
)
streams = Streams(client, 512)
digest = hashlib.sha256()
done = False


def take(part):
    global done
    if part.state == ABORTED:
        raise ValueError("aborted")
    if part.state == MORE:
        digest.update(part.payload)
        return
    if part.file:
        buf = bytearray(512)
        with open(part.file, "rb") as file:
            n = file.readinto(buf)
            while n:
                digest.update(buf if n == len(buf) else buf[:n])
                n = file.readinto(buf)
    done = True


client.connect(False)
gc.collect()
if way == "out":
    streams.publish(name, path, qos=int(qos))
    print("> sent")
else:
    streams.subscribe(name, take, int(qos), path.rsplit("/", 1)[0] if qos == "2" else None)
    print("> ready")
    while not done:
        client.wait_msg()
    client.flush()
    print("> " + hexlify(digest.digest()).decode())
client.unsubscribe(name)  # with its answer the broker has all that was said
client.disconnect()
