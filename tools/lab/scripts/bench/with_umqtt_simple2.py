# umqtt.simple2: publish() at QoS 1 does not wait; check_msg() takes the acknowledgements and tells a callback.

from measure import CLIENT_ID, HOST
from umqtt.simple2 import MQTTClient

_BLOCK = 100
_DELIVERED = 1

_counted = 0


def _count(topic, payload, retained, duplicate):
    global _counted
    _counted += 1


def _count_delivered(packet_id, status):
    global _counted
    if status == _DELIVERED:
        _counted += 1


def publish(run):
    client = MQTTClient(CLIENT_ID, HOST, run.port)
    client.connect()
    topic = run.topic
    payload = run.payload
    done = 0
    run.begin()
    if run.qos == 0:
        while run.more(done):
            for _ in range(_BLOCK):
                client.publish(topic, payload)
            done += _BLOCK
        client.last_cpacket = None
        client.ping()
        while client.last_cpacket is None:  # until PINGRESP
            client.check_msg()
    else:
        _window(run, client, 1)
        return
    run.end(done)


def publish_window(run):
    client = MQTTClient(CLIENT_ID, HOST, run.port)
    client.connect()
    run.begin()
    _window(run, client, run.window)


def _window(run, client, window):
    client.set_callback_status(_count_delivered)
    sent = 0
    while run.more(sent):
        client.publish(run.topic, run.payload, False, 1)
        sent += 1
        while sent - _counted >= window:
            client.check_msg()
    while _counted < sent:
        client.check_msg()
    run.end(sent)


def receive(run):
    client = MQTTClient(CLIENT_ID, HOST, run.port)
    client.set_callback(_count)
    run.begin()
    client.connect(False)
    while run.more(_counted):
        client.check_msg()
    run.end(_counted)
