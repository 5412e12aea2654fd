"""Random and mutated packets from many clients: the broker goes on, and no other client notices."""

import random

from broker_rig import Raw, Rig, connect_packet, subscribe_packet
from effort import EVERYTHING
from emulation.packets import PUBACK, PUBCOMP, PUBREC, PUBREL, ack_packet, publish_packet

_ROUNDS = 20000 if EVERYTHING else 400


def _below(most):
    return random.getrandbits(16) % most


def _good():
    """A packet as a client may send it."""
    topic = b"noise/%d" % _below(5)
    qos = _below(3)
    packet_id = _below(6) + 1
    return (
        lambda: publish_packet(topic, bytes(_below(60)), qos, _below(2), packet_id=packet_id),
        lambda: subscribe_packet(packet_id, (topic, qos), (b"noise/#", _below(3))),
        lambda: b"\xa2" + bytes((4 + len(topic),)) + bytes((0, packet_id, 0, len(topic))) + topic,
        lambda: ack_packet((PUBACK, PUBREC, PUBREL, PUBCOMP)[_below(4)], packet_id),
        lambda: b"\xc0\x00",
        lambda: b"\xe0\x00",
        lambda: connect_packet(b"c%d" % _below(6), _below(2), _below(5), (b"noise/will", b"w", qos, _below(2))),
    )[_below(7)]()


def _bad():
    """The same with bytes changed, lost or added."""
    data = bytearray(_good())
    for _ in range(_below(3)):
        place = _below(len(data))
        what = _below(3)
        if what == 0:
            data[place] = _below(256)
        elif what == 1:
            data = data[:place] + data[place + 1 :]
        else:
            data = data[:place] + bytes((_below(256),)) + data[place:]
        data = data or bytearray(1)
    return bytes(data)


def test_noise():
    random.seed(1)
    rig = Rig(clients=20, sessions=30, queue=10, max_packet=200, output=600, retained=10, connecting=5, received=8)
    other = rig.raw(b"other")
    other.say(subscribe_packet(1, (b"other", 1)))
    other.take()
    noisy = []
    ended = 0
    for number in range(_ROUNDS):
        if len(noisy) < 8:
            raw = Raw(rig)
            raw.room = _below(2000) if _below(4) == 0 else None
            if _below(3):
                raw.say(connect_packet(b"c%d" % _below(6), _below(2)))
            noisy.append(raw)
        raw = noisy[_below(len(noisy))]
        raw.say(b"".join([_bad() if _below(4) == 0 else _good() for _ in range(_below(6))]))
        raw.take_bytes()
        if raw.is_closed or _below(20) == 0:
            raw.hang_up()
            noisy.remove(raw)
            ended += 1
        if number % 50 == 0:
            rig.advance(0.5)
            rig.broker.publish(b"other", b"%d" % number, qos=1)
            found = other.take()
            assert len(found) == 1 and found[0][1][9:] == b"%d" % number, (number, found)
            other.say(ack_packet(PUBACK, found[0][1][7] << 8 | found[0][1][8]))
    assert ended > _ROUNDS // 50
    assert not rig.told("error")
    for raw in noisy:
        raw.hang_up()
    # What is left is what the limits allow, and only the client that kept to the rules is connected.
    broker = rig.broker
    assert [link.client_id for link in broker.links] == [b"other"]
    assert len(broker.sessions) <= 7
    for session in broker.sessions.values():
        store = session.store
        assert session.unfinished() == len(store.packet_ids) <= 10
        assert len(store.messages) == len(store.heads) == len(store.publishes)
        assert store.size == sum([len(topic) + len(payload) for topic, payload in store.messages.values()])
    for client_id in list(broker.sessions):
        if client_id != b"other":
            rig.raw(client_id, True).hang_up()
    assert list(broker.sessions) == [b"other"]
    rig.broker.publish(b"other", b"end", qos=1)
    assert len(other.take()) == 1
