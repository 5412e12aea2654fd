"""Payloads larger than memory, to the broker: what is sent, what is promised, and what a bad source does."""

import io
import os
from errno import EIO

from emulated_rig import raises, took
from emulation.clock import error
from emulation.link import Plan, Seeded
from emulation.packets import PUBACK, PUBLISH, PUBREC
from streaming import Folder, Inbox, Source, StreamRig, payload, write_file
from umqtt_full import Full, LinkLost, MQTTException
from umqtt_full.stream import StreamError, Streams

_SIZES = (0, 1, 15, 16, 17, 63, 64, 127, 128, 1000, 16384)


def _connected(**options):
    rig = StreamRig(**options)
    rig.client.connect(False)
    return rig


def _taken(rig):
    return [one[1] for one in rig.broker.taken]


def test_every_size_at_every_qos():
    rig = _connected()
    for n in _SIZES:
        for qos in (0, 1, 2):
            data = payload(n, qos)
            source = Source(data)
            packet_id = rig.streams.publish(b"out", source, n, qos=qos)
            assert (packet_id is None) == (qos == 0)
            assert rig.broker.taken[-1] == (b"out", data, qos, False)
            assert source.opened == source.closed == (n > 0)
            assert not rig.client.session.unfinished()
    rig.check()


def test_a_source_may_be_a_path_a_callable_or_at_qos_0_a_readable():
    data = payload(500)
    with Folder() as folder:
        path = write_file(folder + "/data", data)
        rig = _connected()
        for qos in (0, 1, 2):
            rig.streams.publish("out", path, qos=qos, retain=True)
            rig.streams.publish("out", lambda: io.BytesIO(data), 500, qos=qos)
        rig.streams.publish("out", io.BytesIO(data), 500)
        assert rig.broker.taken[0] == (b"out", data, 0, True)
        assert _taken(rig) == [data] * 7
        rig.check()


def test_only_length_bytes_of_a_longer_source_are_sent():
    data = payload(500)
    with Folder() as folder:
        path = write_file(folder + "/data", data)
        rig = _connected()
        for qos in (0, 1, 2):
            rig.streams.publish("out", path, 333, qos=qos)
            rig.streams.publish("out", Source(data, piece=10), 333, qos=qos)
        assert _taken(rig) == [data[:333]] * 6


def test_a_source_that_gives_little_at_a_time():
    data = payload(300)
    rig = _connected()
    rig.streams.publish("out", Source(data, piece=1), 300, qos=1)
    assert _taken(rig) == [data]


def test_writes_in_pieces_and_that_would_block():
    for seed in range(20):
        plan = Plan(reads=Seeded(seed, 5), writes=Seeded(seed + 1, 30))
        rig = _connected(link={"plans": [plan]})
        for qos in (0, 1, 2):
            rig.streams.publish("out", Source(payload(700, qos)), 700, qos=qos)
        assert _taken(rig) == [payload(700, qos) for qos in (0, 1, 2)]
        rig.check()


def test_in_the_order_of_their_promises_with_ordinary_messages():
    rig = _connected(inflight=3)
    rig.broker.ignore(PUBLISH, 3)  # so that all go out again, and in this order
    c = rig.client
    wanted = []
    for i in range(3):
        data = payload(200, i) if i != 1 else b"small"
        if i != 1:
            rig.streams.publish("out", Source(data), len(data), qos=1, wait=False)
        else:
            c.publish("out", data, qos=1, wait=False)
        wanted.append(data)
    raises(Full, rig.streams.publish, "out", Source(b"x"), 1, qos=1, timeout_ms=10)
    rig.pump(10)
    assert not rig.broker.taken
    c.reconnect()
    assert c.flush()
    assert _taken(rig) == wanted
    rig.check()


def test_promised_while_not_connected():
    rig = StreamRig()
    data = payload(200)
    packet_id = rig.streams.publish("out", Source(data), 200, qos=2, wait=False)
    assert rig.client.pending(packet_id)
    failed = raises(LinkLost, rig.streams.publish, "out", Source(data), 200)
    assert "connect() first" in str(failed)
    rig.client.connect(False)
    assert rig.client.flush()
    assert _taken(rig) == [data]


def test_sent_again_from_its_first_byte_with_dup():
    """[MQTT-4.4.0-1] [MQTT-3.3.1-1]"""
    rig = _connected()
    data = payload(200)
    source = Source(data)
    for qos, ack in ((1, PUBACK), (2, PUBREC)):
        rig.broker.cut(ack)
        raises(LinkLost, rig.streams.publish, "out", source, 200, qos=qos)
        rig.client.reconnect()
        assert rig.client.flush()
        heads = [head for head, _ in rig.broker.heard if head & 0xF0 == PUBLISH]
        assert heads[-2:] == [PUBLISH | qos << 1, PUBLISH | qos << 1 | 8]
    assert source.opened == source.closed == 4
    assert _taken(rig) == [data] * 3  # at QoS 1 twice
    rig.check()


def test_a_clean_session_forgets_it():
    rig = _connected()
    source = Source(payload(200), fail_at=50)
    raises(StreamError, rig.streams.publish, "out", source, 200, qos=1)
    raises(StreamError, lambda: (rig.client.reconnect(), rig.client.flush()))
    rig.client.connect(True)
    assert rig.client.flush() and not rig.broker.taken
    rig.check()


def test_a_source_that_fails_at_every_byte():
    """The link is closed, the error says what and where, no wrong byte has gone out, and it goes on when it can."""
    data = payload(100)
    for qos in (0, 1, 2):
        for at in range(0, 100):
            rig = _connected()
            source = Source(data, piece=7, fail_at=at)
            failed = raises(StreamError, rig.streams.publish, "out", source, 100, qos=qos)
            assert failed.errno == EIO and "source" in str(failed)
            assert rig.is_closed() and rig.lost == [failed]
            assert source.opened == source.closed == 1
            assert rig.client.session.unfinished() == (qos > 0)
            assert not rig.broker.taken
            sent = bytes(rig.t.wires[0].sent)
            begin = sent.rindex(b"\0\3out") + 5 + (2 if qos else 0)
            assert data.startswith(sent[begin:])
            source.fail_at = None
            rig.client.reconnect()
            assert rig.client.flush()
            assert _taken(rig) == ([data] if qos else [])
            rig.check()


class _Liar:
    """Has room for 16 bytes."""

    def __init__(self, n):
        self._n = n

    def readinto(self, buf):
        return self._n


def test_other_ways_to_fail():
    def unopened():
        raise error(EIO)

    for bad, words in (
        (unopened, "source"),
        (Source(payload(99)), "ended 1 byte"),
        (Source(payload(100), fail_at=20, error=KeyError("lost")), "lost"),
        (lambda: None, "source"),
        (lambda: io.BytesIO(b""), "ended 100 bytes early"),
        (lambda: _Liar(17), "returned 17"),
        (lambda: _Liar(-1), "returned -1"),
    ):
        for qos in (0, 1, 2):
            rig = _connected()
            failed = raises(StreamError, rig.streams.publish, "out", bad, 100, qos=qos)
            assert words in str(failed), failed
            assert rig.is_closed() and not rig.broker.taken
            rig.client.connect(True)
            rig.client.publish("out", b"after", qos=1)
            assert _taken(rig) == [b"after"]
            rig.check()


def test_a_file_that_is_gone_or_shorter_when_it_is_read():
    with Folder() as folder:
        path = write_file(folder + "/data", payload(200))
        for data in (None, payload(150)):
            rig = StreamRig()
            rig.streams.publish("out", path, qos=1, wait=False)
            if data is None:
                os.remove(path)
            else:
                write_file(path, data)
            failed = raises(StreamError, lambda rig=rig: (rig.client.connect(False), rig.client.flush()))
            assert path in str(failed)
            write_file(path, payload(200))
            rig.client.reconnect()
            assert rig.client.flush()
            assert _taken(rig) == [payload(200)]
            rig.check()


def test_wrong_arguments_are_told_before_anything_is_sent():
    rig = _connected()
    publish = rig.streams.publish
    with Folder() as folder:
        path = write_file(folder + "/data", payload(20))
        for arguments, words in (
            (("out", folder + "/none"), "none"),
            (("out", folder + "/none", 5), "none"),
            (("out", path, 21), "20 bytes"),
            (("out", path, -1), "length"),
            (("out", path, 1.5), "length"),
            (("out", Source(b"")), "length"),
            (("out", Source(b""), "5"), "length"),
            (("out", Source(b""), 268435455), "268435455"),
            (("t" * 60, Source(b""), 5, False, 1), "too long"),
            (("out/#", Source(b""), 5), "topic name"),
            (("out", Source(b""), 5, False, 3), "qos"),
            (("out", io.BytesIO(b"12345"), 5, False, 1), "again"),
        ):
            failed = raises(ValueError, publish, *arguments)
            assert words in str(failed), failed
        raises(TypeError, publish, "out", 5, 5)
        raises(TypeError, publish, "out", b"bytes", 5)
        raises(TypeError, publish, 5, Source(b""), 5)
    raises(ValueError, Streams, rig.client)
    raises(ValueError, Streams, StreamRig.__bases__[0]().client, 15)
    assert rig.client.is_connected() and not rig.broker.taken and not rig.client.session.unfinished()
    rig.check()


def test_the_longest_length():
    """[2.2.3] 268,435,455 bytes follow the fixed header at most."""
    rig = _connected(link={"record": False, "plans": [Plan(stop_out=60)]})
    raises(ValueError, rig.streams.publish, "out", Source(b""), 268435455 - 6, False, 1)
    rig.streams.publish("out", Source(payload(500)), 268435455 - 7, False, 1, wait=False)
    assert rig.client.session.unfinished() == 1


def test_in_a_callback():
    """At QoS 1 and 2 it is queued; at QoS 0 it would have to wait."""
    rig = _connected()
    data = payload(300)
    said = []

    def answer(m):
        said.append(raises(RuntimeError, rig.streams.publish, "out", Source(data), 300))
        for qos in (1, 2):
            said.append(rig.streams.publish("out", Source(data), 300, qos=qos))

    rig.client.subscribe("in", 1, answer)
    rig.broker.publish(b"in", b"go", 1)
    rig.pump(10)
    assert rig.client.flush() and len(said) == 3
    assert [one for one in _taken(rig) if one != b"go"] == [data] * 2
    rig.check()


def test_disconnect_says_all_before():
    rig = _connected()
    rig.streams.publish("out", Source(payload(300)), 300, qos=1, wait=False)
    rig.client.disconnect()
    assert _taken(rig) == [payload(300)]
    rig.check()


def test_a_source_must_not_use_the_client():
    rig = _connected()

    class Nosy(Source):
        def __call__(self):
            rig.client.poll()

    failed = raises(StreamError, rig.streams.publish, "out", Nosy(b""), 5, qos=1)
    assert "callback must not wait" in str(failed)


def test_a_readable_is_not_read_twice():
    """Where the client itself connects again, as robust's does, a once-only source cannot go out again."""
    from umqtt_full.robust import MQTTClient

    class Robust(MQTTClient):
        DELAY = 0

    data = payload(300)
    rig = StreamRig(maker=Robust, link={"plans": [Plan(cut_out=150)]})
    rig.client.connect(False)
    raises(MQTTException, rig.streams.publish, "out", io.BytesIO(data), 300)
    for qos in (0, 1, 2):
        rig.t.wire.plan = Plan(cut_out=rig.t.wire.count_out + 150)
        rig.streams.publish("out", Source(data), 300, qos=qos)
        assert _taken(rig)[-1] == data
    assert len(_taken(rig)) == 3
    rig.check()


def test_acknowledgements_and_pings_wait_for_the_packets_end():
    """What comes in and what is due while a stream is being written is answered behind it, and nothing times out."""
    for noisy in (False, True):
        _slowly(noisy)


def _slowly(noisy):
    rig = StreamRig(keepalive=10, timeout_ms=1000, link={"plans": [Plan(writes=[100] + [1, 0] * 400)]})
    rig.client.connect(False)
    rig.client.subscribe("in", 1, rig.note)
    t = rig.t
    write = t.write
    calls = [0]

    def slow(buf, off, n):
        calls[0] += 1
        if calls[0] % 20 == 0:
            rig.clock.advance(400)
            if noisy and calls[0] % 80 == 0:
                rig.broker.publish(b"in", b"%d" % calls[0], 1)
        return write(buf, off, n)

    t.write = slow
    # The broker sees no whole packet for longer than the keep-alive, which is no silence: but it cannot know.
    rig.broker.watch_keepalive = False
    rig.streams.publish("out", Source(payload(300)), 300, qos=1)
    rig.client.flush()
    rig.pump(100)
    assert rig.broker.count(payload(300)) == 1
    assert (len(rig.messages) > 3) == noisy and not rig.lost
    rig.check()


def test_bytes_that_move_are_waited_for_and_others_not():
    """Without timeout_ms a stream may last as long as bytes move; with it the call ends in time."""
    data = payload(600)
    plan = Plan(writes=[100] + [8, 0] * 100)
    for timeout_ms, patient in ((None, True), (5000, False)):
        rig = _connected(timeout_ms=1000, link={"plans": [plan.copy()], "restless_ms": 100})
        wait = rig.t.wait
        rig.t.wait = lambda ms, w=False, r=True, wait=wait, rig=rig: (rig.clock.advance(400), wait(0, w, r))
        ms, result = took(rig, rig.streams.publish, "out", Source(data), 600, False, 1, True, timeout_ms)
        if patient:
            assert ms > 10000 and result == 1 and _taken(rig) == [data]
        else:
            assert 4000 < ms < 7000 and isinstance(result, OSError) and "5000" in str(result)
    rig = _connected(timeout_ms=1000)
    rig.t.stop_reading(200)
    ms, result = took(rig, rig.streams.publish, "out", Source(data), 600, qos=1)
    assert ms < 2500 and isinstance(result, OSError)


def test_on_wait_is_called_while_a_stream_goes_out():
    rig = _connected()
    rig.client.on_wait = lambda: rig.waits.append(rig.clock.now)

    class Slow(Source):
        def __call__(self):
            readable = super().__call__()
            read = readable.readinto

            class Slowly:
                def readinto(self, buf):
                    rig.clock.advance(100)
                    return read(buf)

            return Slowly()

    rig.streams.publish("out", Slow(payload(1000)), 1000, qos=1)
    assert len(rig.waits) > 5
    assert max([b - a for a, b in zip(rig.waits, rig.waits[1:])]) <= 1000  # noqa: B905


def test_both_ways_at_once():
    rig = _connected(link={"plans": [Plan(reads=5, writes=[300] + [5] * 500)]})
    inbox = Inbox()
    rig.streams.subscribe("in", inbox, 2)
    rig.broker.publish(b"in", payload(900), 2)
    rig.broker.publish(b"in", payload(901), 1)
    rig.streams.publish("out", Source(payload(800)), 800, qos=2)
    rig.pump(1000)
    assert inbox.payloads() == [payload(900), payload(901)]
    assert rig.broker.count(payload(800)) == 1
    rig.check()
