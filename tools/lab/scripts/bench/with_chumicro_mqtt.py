# chumicro-mqtt: publish() puts a packet into a queue, and each handle() reads once and writes one packet. Where it has
# nothing to do it waits for its socket, as under its own runner; called in an endless loop it would win a little time
# and keep the processor busy.

import select

from chumicro_mqtt import MQTTClient
from chumicro_sockets.sockets_factory import fixed_connector_factory
from chumicro_timing import ticks_ms
from measure import CLIENT_ID, HOST

_BLOCK = 100
_IO_READ = 1

_poller = select.poll()
_counted = 0


def _count(topic, payload):
    global _counted
    _counted += 1


def _client(run, clean_session):
    client = MQTTClient(
        transport_factory=fixed_connector_factory(HOST, run.port),
        client_id=CLIENT_ID.decode(),
        clean_session=clean_session,
    )
    client.on_message = _count
    return client


def _turn(client):
    now = ticks_ms()
    if client.state == "connected" and client.io_interest(now) == _IO_READ:
        for _ in _poller.ipoll(1000):
            pass
    client.handle(now)
    if client.last_error:
        raise client.last_error


def _connect(client):
    client.connect()
    while client.state != "connected":
        _turn(client)
    _poller.register(client.io_socket.sock, select.POLLIN)


def publish(run):
    client = _client(run, True)
    _connect(client)
    topic = run.topic.decode()
    if run.qos:
        run.begin()
        _window(run, client, 1)
        return
    done = 0
    run.begin()
    while run.more(done):
        for _ in range(_BLOCK):
            client.publish(topic, run.payload)
            _turn(client)
        done += _BLOCK
    granted = []
    client.subscribe("bench/end", on_subscribe=lambda *_: granted.append(True))
    while not granted:  # SUBACK comes when the broker has read all before it
        _turn(client)
    run.end(done)


def publish_window(run):
    client = _client(run, True)
    _connect(client)
    run.begin()
    _window(run, client, run.window)


def _window(run, client, window):
    topic = run.topic.decode()
    sent = 0
    while run.more(sent):
        client.publish(topic, run.payload, qos=1, on_publish=_count)
        sent += 1
        _turn(client)
        while sent - _counted >= window:
            _turn(client)
    while _counted < sent:
        _turn(client)
    run.end(sent)


def receive(run):
    client = _client(run, False)
    run.begin()
    _connect(client)
    while run.more(_counted):
        _turn(client)
    run.end(_counted)
