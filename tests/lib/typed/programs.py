"""What users write, and what their editor says to it: an error on each line that ends with "wrong", on no other."""

import socket
import ssl
import time
from typing import assert_type

import umqtt_full
from umqtt_full import Full, LinkLost, MQTTClient, MQTTException, ProtocolError, RamStore, TimedOut, Transport
from umqtt_full.codec import Message
from umqtt_full.journal import Journal
from umqtt_full.robust import MQTTClient as RobustClient
from umqtt_full.rtc import RtcJournal
from umqtt_full.stream import ABORTED, COMPLETE, MORE, Part, StreamError, Streams
from umqtt_full.topics import matches

# The client

client = MQTTClient("greenhouse", "broker.local", keepalive=30)
MQTTClient(b"", "192.168.1.10", 8883, "user", b"password", 60, True, {"cert_reqs": 0})
MQTTClient("id", "host", ssl=ssl.create_default_context(), ssl_params={"server_hostname": "broker"})
MQTTClient("id", "host", timeout_ms=5000, max_packet=256, inflight=8, received=32, chunk=128)
MQTTClient("id")  # wrong
MQTTClient("id", 1883)  # wrong
MQTTClient("id", "host", "1883")  # wrong
MQTTClient("id", "host", ssl="yes")  # wrong
MQTTClient("id", "host", time_out=5)  # wrong
MQTTClient("id", "host", 0, None, None, 0, None, {}, 5000)  # wrong

assert_type(client.connect(), bool)
client.connect(False, timeout=0.5)
client.connect(clean_session=False, timeout_ms=500)
client.connect("no")  # wrong
client.server = "other.local"
client.server = None  # wrong
assert_type(client.reconnect(), bool)
assert_type(client.is_connected(), bool)
assert_type(client.due_ms(), int | None)
assert_type(client.counts.dropped + client.counts.maybe_doubled + client.counts.stray_acks, int)
client.disconnect()
client.close()
client.conect()  # wrong

# Out

assert_type(client.publish("greenhouse/temperature", "21.5"), None)
assert_type(client.publish(b"greenhouse/temperature", bytearray(2), True, 1), int)
assert_type(client.publish("greenhouse/temperature", memoryview(b"21.5"), qos=2, wait=False), int)
assert client.pending(client.publish("topic", "message", qos=1))
assert_type(client.flush(1000), bool)
client.publish("topic")  # wrong
client.publish("topic", [21.5])  # wrong
client.publish("topic", None)  # wrong
client.publish("topic", "message", qos=3)  # wrong
client.publish("topic", "message", qos="1")  # wrong
client.publish("topic", "message", retained=True)  # wrong
client.pending(client.publish("topic", "message"))  # wrong
client.set_last_will("greenhouse/status", "offline", retain=True, qos=1)
client.set_last_will(None)
client.set_last_will("greenhouse/status", "offline", qos=-1)  # wrong

# In


def told(message: Message):
    assert_type(message.topic_name, bytearray)
    assert_type(message.payload, bytearray)
    assert_type(message.dup, bool)
    print(bytes(message.payload), message.qos, message.retain, message.packet_id)
    print(message.topics)  # wrong


def told_nothing():
    pass


def told_as_by_simple(topic, msg):
    print(topic, msg)


assert_type(client.subscribe("greenhouse/#"), int | None)
assert_type(client.subscribe(b"greenhouse/valve", 2, told), int | None)
assert_type(client.subscribe(["one", ("two", 2), b"three"], 1), list[int | None])
filters = ["one", "two"]
client.subscribe(filters, callback=told)
client.subscribe("greenhouse/valve", 2, lambda message: client.publish("answer", message.payload))
client.subscribe("greenhouse/valve", 5)  # wrong
client.subscribe("greenhouse/valve", told)  # wrong
client.subscribe("greenhouse/valve", 2, told_nothing)  # wrong
client.subscribe("greenhouse/valve", 2, told_as_by_simple)  # wrong
client.subscribe("greenhouse/valve", 2, lambda message: message.body)  # wrong
client.subscribe(5)  # wrong
client.unsubscribe(filters)
client.unsubscribe("greenhouse/valve", wait=False)
client.unsubscribe(("one", "two"))  # wrong

client.on_message = told
client.on_message = None
client.on_message = lambda message: print(bytes(message.topic_name))
client.on_message = told_as_by_simple  # wrong
client.on_connect = lambda session_present: print("resumed" if session_present else "new")
client.on_disconnect = lambda error: print(error.args)
client.on_wait = told_nothing
client.on_wait = told  # wrong
client.set_callback(told_as_by_simple)
client.set_callback(told)  # wrong
assert_type(client.poll(1000), bool)
assert_type(client.check_msg(), int | None)
assert_type(client.wait_msg(), int | None)
client.poll("soon")  # wrong
assert matches(b"greenhouse/#", b"greenhouse/valve")

# Errors

try:
    client.connect()
except (LinkLost, TimedOut, ProtocolError) as error:
    print(error.errno)
except Full:
    pass
except MQTTException as error:
    assert_type(error.topic_filter, bytes | None)
    print(error.return_code)  # wrong
print(umqtt_full.__version__.upper(), umqtt_full.LinkLost)
print(umqtt_full.MQTTCLient)  # wrong

# umqtt.robust's client


class Patient(RobustClient):
    DELAY = 2
    DEBUG = True

    def delay(self, i):
        time.sleep(i)


patient = Patient("id", "host")
assert_type(patient.publish("topic", "message", qos=1), int)
assert_type(patient.check_msg(attempts=3), int | None)
patient.publish("topic", "message", qos=4)  # wrong

# Stores

MQTTClient("id", "host", store=RamStore(8, 512))
journal = Journal("/outbox", slots=16, durable="poll")
assert_type(journal.report, str)
MQTTClient("id", "host", store=journal)
MQTTClient("id", "host", store=RtcJournal(slots=4))
Journal("/outbox", durable="always")  # wrong
Journal()  # wrong
MQTTClient("id", "host", store="/outbox")  # wrong

# A transport of one's own


class Wire:
    def open(self, host, port, ssl, ssl_params):
        self.socket = socket.create_connection((host, port))

    def ready(self):
        return True

    def readinto(self, buf):
        return self.socket.recv_into(buf)

    def write(self, buf, offset, size):
        return self.socket.send(buf[offset : offset + size])

    def wait(self, ms, for_write=False, for_read=True):
        time.sleep(ms / 1000)

    def close(self):
        self.socket.close()

    def ticks_ms(self):
        return time.monotonic_ns() // 1_000_000 & 0x3FFFFFFF


class Torn(Wire):
    def write(self, buf):  # type: ignore
        return 0


MQTTClient("id", "host", transport=Wire())
MQTTClient("id", "host", transport=Transport(), online=lambda: True)
MQTTClient("id", "host", transport=Torn())  # wrong
MQTTClient("id", "host", transport=socket.socket())  # wrong
MQTTClient("id", "host", online=True)  # wrong

# Streams


def told_in_parts(part: Part):
    if part.state == MORE:
        print(part.offset, part.total, bytes(part.payload))
    elif part.state == COMPLETE:
        assert_type(part.file, str | None)
    else:
        assert part.state == ABORTED
    print(part.length)  # wrong


streams = Streams(client, chunk=1024)
streams.subscribe("firmware/#", told_in_parts, 2, folder="/incoming")
streams.subscribe("firmware/#", told)  # wrong
try:
    streams.publish("camera/picture", "/picture.jpg", qos=1)
    streams.publish("camera/picture", lambda: open("/picture.jpg", "rb"), 5000, qos=2)
    with open("/picture.jpg", "rb") as picture:
        streams.publish("camera/picture", picture, 5000)
except StreamError as error:
    print(error)
streams.publish("camera/picture", b"picture")  # wrong
Streams("camera")  # wrong
