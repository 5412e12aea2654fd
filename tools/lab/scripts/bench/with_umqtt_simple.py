# umqtt.simple; with_umqtt_robust.py does the same with its subclass. No QoS 2, no window.

from measure import CLIENT_ID, HOST

_BLOCK = 100


def client_class():
    from umqtt.simple import MQTTClient

    return MQTTClient


def publish(run, make=client_class):
    client = make()(CLIENT_ID, HOST, run.port)
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
        client.ping()
        client.wait_msg()
    else:
        while run.more(done):
            client.publish(topic, payload, False, 1)
            done += 1
    run.end(done)


_received = 0


def _count(topic, payload):
    global _received
    _received += 1


def receive(run, make=client_class):
    client = make()(CLIENT_ID, HOST, run.port)
    client.set_callback(_count)
    run.begin()
    client.connect(False)
    while run.more(_received):
        client.wait_msg()
    run.end(_received)
