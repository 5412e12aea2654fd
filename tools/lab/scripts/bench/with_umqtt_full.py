# This library, as it is.

from measure import CLIENT_ID, HOST

from umqtt_full import MQTTClient

_BLOCK = 500


def publish(run):
    client = MQTTClient(CLIENT_ID, HOST, run.port)
    client.connect()
    topic = run.topic
    payload = run.payload
    qos = run.qos
    done = 0
    run.begin()
    if qos == 0:
        while run.more(done):
            for _ in range(_BLOCK):
                client.publish(topic, payload)
            done += _BLOCK
        client.ping()
        while not client.poll(1000):  # PINGRESP comes when the broker has read all before it
            pass
    else:
        while run.more(done):
            client.publish(topic, payload, False, qos)
            done += 1
    run.end(done)


def publish_window(run):
    client = MQTTClient(CLIENT_ID, HOST, run.port, inflight=run.window)
    client.connect()
    topic = run.topic
    payload = run.payload
    qos = run.qos
    done = 0
    # An older version waits in publish().
    wait_for_room = getattr(client, "wait_for_room", lambda: None)
    run.begin()
    while run.more(done):
        wait_for_room()
        client.publish(topic, payload, False, qos, wait=False)
        done += 1
    if not client.flush(10000):
        raise OSError("not all was acknowledged within 10 s")
    run.end(done)


_received = 0


def _count(message):
    global _received
    _received += 1


def receive(run):
    client = MQTTClient(CLIENT_ID, HOST, run.port)
    client.on_message = _count
    run.begin()
    client.connect(clean_session=False)
    while run.more(_received):
        client.poll(1000)
    if run.qos == 2:
        # A message is handed over before its exchange is complete. SUBACK comes behind the last PUBREL.
        client.subscribe(b"bench/end")
    run.end(_received)
