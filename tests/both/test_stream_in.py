"""Payloads larger than memory, from the broker: parts, their end, acknowledgements, and what a handler may do."""

import os

from emulated_rig import raises
from emulation.link import Plan, Seeded
from emulation.packets import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, packet, publish_packet, two
from streaming import Folder, Inbox, StreamRig, files_in, payload, write_file
from umqtt_full import LinkLost, ProtocolError, TimedOut
from umqtt_full.stream import ABORTED, COMPLETE, MORE, StreamError

_SIZES = (0, 1, 15, 16, 17, 55, 56, 57, 58, 63, 64, 127, 128, 1000, 16384)


def _subscribed(qos=2, folder=None, inbox=None, **options):
    rig = StreamRig(**options)
    if inbox:
        rig.inbox = inbox
    rig.streams.subscribe("in/+", rig.inbox, qos, folder)
    rig.client.connect(False)
    rig.pump(1)
    return rig


def _answers(rig):
    return [head for head, _ in rig.broker.heard if PUBACK <= head <= PUBCOMP | 15]


def test_every_size_at_every_qos():
    rig = _subscribed()
    rig.client.on_message = None
    for n in _SIZES:
        for qos in (0, 1, 2):
            data = payload(n, qos)
            rig.broker.heard.clear()
            rig.broker.publish(b"in/x", data, qos)
            rig.pump(1)
            assert rig.inbox.messages.pop()[:5] == (b"in/x", data, qos, False, False)
            assert not rig.inbox.messages
            assert _answers(rig) == [[], [PUBACK], [PUBREC, PUBCOMP]][qos]
    assert rig.inbox.largest <= 64 + 16
    rig.check()


def test_parts_of_a_small_message():
    rig = _subscribed(inbox=[].append)
    told = []
    rig.client.unsubscribe("in/+")
    rig.streams.subscribe("in/+", lambda p: told.append((p.state, bytes(p.payload), p.offset, p.total, p.file)), 1)
    rig.broker.publish(b"in/x", b"small", 1)
    rig.broker.publish(b"in/x", b"", 1, True)
    rig.pump(1)
    assert told == [(MORE, b"small", 0, 5, None), (COMPLETE, b"", 5, 5, None), (COMPLETE, b"", 0, 0, None)]
    rig.check()


def test_retained_and_dup_are_told():
    rig = StreamRig()
    rig.broker.publish(b"in/x", payload(500), 1, True)
    rig.streams.subscribe("in/+", rig.inbox, 1)
    rig.client.connect(False)
    rig.broker.cut_on(PUBACK)
    raises(LinkLost, rig.pump, 10)
    rig.client.reconnect()
    rig.pump(10)
    assert [one[3:5] for one in rig.inbox.messages] == [(True, False), (True, True)]
    rig.check()


def test_pieces_of_any_size():
    for seed in range(30):
        plan = Plan(reads=Seeded(seed, 1 + seed), writes=Seeded(seed + 1, 5))
        rig = _subscribed(link={"plans": [plan], "tls": seed % 2 == 0})
        wanted = []
        for qos in (2, 0, 1):
            wanted.append(payload(700, qos))
            rig.broker.publish(b"in/x", wanted[-1], qos)
            wanted.append(b"small")
            rig.broker.publish(b"in/y", wanted[-1], qos)
        rig.pump(10)
        assert rig.inbox.payloads() == wanted
        rig.check()


def test_ordinary_messages_around_it():
    """A message behind or before a large one has its own topic's callbacks, and acknowledgements keep their order."""
    rig = _subscribed()
    rig.client.subscribe([("small", 2), ("other", 1)])
    rig.broker.heard.clear()
    for topic, data, qos in (
        (b"small", b"1", 1),
        (b"in/x", payload(300), 1),
        (b"other", b"2", 1),
        (b"small", b"3", 2),
        (b"in/x", payload(301), 2),
        (b"small", b"4", 2),
        (b"in/x", payload(302), 0),
        (b"in/x", b"5", 1),
        (b"small", b"6", 1),
    ):
        rig.broker.publish(topic, data, qos)
    rig.pump(10)
    assert rig.payloads() == [b"1", b"2", b"3", b"4", b"6"]
    assert rig.inbox.payloads() == [payload(300), payload(301), payload(302), b"5"]
    ids = [body for head, body in rig.broker.heard if head in (PUBACK, PUBREC)]
    assert ids == sorted(ids) and len(ids) == 8
    rig.check()


def test_over_max_packet_for_an_ordinary_subscription():
    """[a clear error] as without Streams; one that overlaps sees what is small."""
    rig = _subscribed()
    rig.client.subscribe([("big", 1), ("in/#", 1)], callback=rig.note)
    rig.broker.publish(b"in/x", payload(500), 1)
    rig.broker.publish(b"in/x", b"small", 1)
    rig.pump(10)
    assert rig.inbox.payloads() == [payload(500), b"small"] and rig.payloads() == [b"small"]
    rig.broker.publish(b"big", payload(500), 1)
    told = []
    rig.client.on_skip = lambda *what: told.append(what)
    rig.pump(10)
    assert told[0][:2] == (b"big", 500) and "max_packet=64" in told[0][2] and rig.client.is_connected()
    assert rig.inbox.aborted == 0


def test_two_handlers_for_one_message():
    rig = _subscribed()
    other = Inbox()
    rig.streams.subscribe("in/#", other, 1)
    rig.pump()
    rig.broker.publish(b"in/x", payload(500), 2)
    rig.pump(10)
    assert rig.inbox.payloads() == other.payloads() == [payload(500)]
    rig.client.unsubscribe("in/#")
    rig.broker.publish(b"in/x", payload(501), 2)
    rig.pump(10)
    assert len(rig.inbox.messages) == 2 and len(other.messages) == 1
    rig.check()


def test_calls_that_wait_for_a_message():
    rig = _subscribed()
    rig.broker.publish(b"in/x", payload(500), 1)
    rig.broker.publish(b"in/x", b"small", 1)
    c = rig.client
    assert c.wait_msg(1000) == PUBLISH and rig.inbox.payloads() == [payload(500)]
    assert c.check_msg() == PUBLISH and len(rig.inbox.messages) == 2
    assert c.check_msg() is None
    # poll() comes back after a piece: it is not held for as long as the broker sends.
    rig.broker.publish(b"in/x", payload(500), 1)
    assert c.poll() and len(rig.inbox.messages) == 2 and 1 < rig.inbox.parts
    rig.pump(1)
    assert len(rig.inbox.messages) == 3
    rig.check()


def test_a_link_that_goes_in_the_middle_is_told():
    for qos in (0, 1, 2):
        rig = _subscribed()
        rig.t.wire.plan = Plan(cut_in=rig.t.wire.count_in + 200)
        rig.broker.publish(b"in/x", payload(500), qos)
        raises(LinkLost, rig.pump, 10)
        assert rig.inbox.aborted == 1 and not rig.inbox.messages
        rig.client.reconnect()
        rig.pump(10)
        assert rig.inbox.payloads() == ([payload(500)] if qos else [])
        rig.check()


def test_a_link_that_is_closed_in_the_middle_is_told():
    rig = _subscribed()
    rig.broker.publish(b"in/x", payload(500), 1)
    rig.client.poll()
    assert rig.inbox.parts
    rig.client.close()
    assert rig.inbox.aborted == 1
    rig.client.reconnect()
    rig.pump(10)
    assert rig.inbox.payloads() == [payload(500)] and rig.inbox.messages[0][4]


def test_silence_in_the_middle_is_noticed():
    rig = _subscribed(keepalive=10, timeout_ms=3000)
    rig.t.wire.plan = Plan(mute_in=rig.t.wire.arrived() + 200)
    rig.broker.publish(b"in/x", payload(500), 1)
    rig.pump()
    raises(TimedOut, rig.pump, 15000)
    assert rig.inbox.aborted == 1


def test_a_slow_message_is_no_silence():
    """PINGRESP can come only behind it."""
    rig = _subscribed(keepalive=10, timeout_ms=3000)
    data = publish_packet(b"in/x", payload(500), 1, packet_id=9)
    rig.broker.expect_answer(data)
    for at in range(0, len(data), 20):
        rig.t.wire.send(data[at : at + 20], after_ms=at * 100)
    rig.broker.delay(0xD0, 45000, 9)
    rig.pump(54000)
    assert rig.inbox.payloads() == [payload(500)] and rig.broker.pings >= 1
    rig.check()


def test_a_handler_that_raises_at_every_part():
    """As any callback that does it ends the connection; it is told ABORTED, unless it had been told COMPLETE, and the
    message comes again."""
    for qos in (0, 1, 2):
        for data in (payload(300), b"small"):
            number = 0
            while True:
                rig = _subscribed(inbox=Inbox(raises=number))
                rig.broker.publish(b"in/x", data, qos)
                try:
                    rig.pump(10)
                    break
                except ValueError as e:
                    assert rig.is_closed() and rig.lost == [e]
                inbox = rig.inbox
                last = inbox.parts - number == 1
                assert inbox.aborted == (0 if last else 1)
                if last:
                    inbox._got = None
                rig.client.reconnect()
                rig.pump(10)
                assert inbox.payloads() == ([data] if qos else [])
                assert not qos or inbox.messages[0][4]
                rig.check()
                number += 1
            assert number == (2 if data == b"small" else 1 + rig.inbox.parts - 1)


def test_a_handler_that_closes_the_link_at_every_part():
    for qos in (0, 1, 2):
        for number in range(5):
            rig = _subscribed()

            def close(part, rig=rig, number=number):
                if rig.inbox.parts == number + 1 and not part.dup:
                    rig.client.close()

            rig.inbox.on_part = close
            rig.broker.publish(b"in/x", payload(300), qos)
            raises(LinkLost, rig.pump, 10)
            assert rig.inbox.aborted == 1
            rig.client.reconnect()
            rig.pump(10)
            assert rig.inbox.payloads() == ([payload(300)] if qos else [])
            rig.check()


def test_a_handler_that_closes_the_link_at_the_end():
    for data in (payload(300), b"small"):
        rig = _subscribed()
        rig.inbox.on_part = lambda part, rig=rig: (
            rig.client.close() if part.state == COMPLETE and not part.dup else None
        )
        rig.broker.publish(b"in/x", data, 1)
        raises(LinkLost, rig.pump, 10)
        assert not rig.inbox.aborted and rig.client.flush()  # nothing is left to be said
        rig.client.reconnect()
        rig.pump(10)
        assert rig.inbox.payloads() == [data] * 2
        rig.check()


def test_a_handler_that_answers_and_subscribes():
    rig = _subscribed()

    def answer(part):
        if part.state == MORE and part.offset == 0:
            rig.client.publish("out", b"began")
            rig.client.publish("out", b"promised", qos=1)
        elif part.state == COMPLETE:
            rig.client.subscribe("new", 1)
            for _ in range(9):
                rig.client.publish("out", b"a" * 40)
        raises(RuntimeError, rig.client.poll)

    rig.inbox.on_part = answer
    rig.broker.publish(b"in/x", payload(300), 2)
    rig.pump(10)
    assert [one[1] for one in rig.broker.taken[1:]].count(b"a" * 40) == 9
    assert rig.broker.count(b"began") == rig.broker.count(b"promised") == 1
    assert rig.broker.subscribed[-1] == (b"new", 1)
    assert rig.inbox.payloads() == [payload(300)]
    rig.check()


def test_qos_2_comes_once():
    """[MQTT-4.3.3-2]: a repeated PUBLISH, before its PUBREL, is answered and swallowed."""
    rig = _subscribed()
    rig.broker.cut(PUBREL)
    rig.broker.publish(b"in/x", payload(300), 2)
    raises(LinkLost, rig.pump, 10)
    rig.client.reconnect()
    rig.pump(10)
    assert rig.inbox.payloads() == [payload(300)]
    rig.broker.drop(PUBREL, 2)
    again = publish_packet(b"in/x", payload(300), 2, False, True, 77)
    for _ in range(2):
        rig.broker.expect_answer(again)
        rig.t.wire.send(again)
        rig.pump(10)
    assert rig.inbox.payloads() == [payload(300)] * 2
    assert rig.inbox.aborted == 0


def test_malformed_large_packets():
    long = 300
    for data, words in (
        (packet(0x30, two(0) + b"x" * long), "topic name empty"),
        (packet(0x30, two(400) + b"x" * long), "past the packet's end"),
        (packet(0x32, two(long) + b"x" * long), "past the packet's end"),
        (packet(0x30, two(4) + b"in/\xff" + b"x" * long), "UTF-8"),
        (packet(0x32, two(4) + b"in/x" + two(0) + b"x" * long), "packet id 0"),
        (packet(0x36, two(4) + b"in/x" + two(1) + b"x" * long), "QoS 3"),
        (packet(0x90, two(4) + b"in/x" + two(1) + b"\0" * long), "SUBACK"),
    ):
        for at in (len(data), 1, 2, 3, 4, 5, 8):
            rig = _subscribed()
            rig.t.wire.send(data[:at])
            if at < len(data):
                try:
                    rig.pump()
                    rig.t.wire.send(data[at:])
                except ProtocolError:
                    continue
            failed = raises(ProtocolError, rig.pump)
            assert words in str(failed), failed
            assert not rig.inbox.parts and rig.is_closed()


def test_a_large_packet_before_connack():
    rig = StreamRig()
    rig.streams.subscribe("in/+", rig.inbox)
    rig.broker.instead(0x20, publish_packet(b"in/x", payload(300)))
    assert "CONNACK" in str(raises(ProtocolError, rig.client.connect))


def test_the_longest_topic_name():
    rig = _subscribed()
    name = b"in/" + b"x" * (64 - 2 - 3 - 3)
    for n in (300, 20000):
        over = len(packet(0x30, b"x" * (n + 64))) - (n + 64) - 3  # a longer fixed header
        topic = name[: len(name) - over]
        rig.broker.publish(topic, payload(n), 0)
        rig.pump(10)
        assert rig.inbox.messages.pop()[:2] == (topic, payload(n))
    rig.check()


def test_on_wait_is_called_while_a_message_comes_in():
    rig = _subscribed()
    rig.client.on_wait = lambda: rig.waits.append(rig.clock.now)
    rig.inbox.on_part = lambda part: rig.clock.advance(100)
    rig.broker.publish(b"in/x", payload(1000), 1)
    rig.client.wait_msg()
    assert len(rig.waits) > 5


# Into files


def test_files_at_every_size():
    with Folder() as folder:
        rig = _subscribed(folder=folder)
        seen = []
        rig.inbox.on_part = lambda part: seen.append((part.state, part.file))
        for n in _SIZES:
            rig.broker.heard.clear()
            rig.broker.publish(b"in/x", payload(n), 2)
            rig.pump(1)
            assert rig.inbox.messages.pop()[:5] == (b"in/x", payload(n), 2, False, False)
            assert seen[-1][0] == COMPLETE and seen[-1][1].startswith(folder + "/")
            assert len(seen) == rig.inbox.parts and not files_in(folder)
            assert _answers(rig) == [PUBREC, PUBCOMP]
            seen.clear()
            rig.inbox.parts = 0
        # At QoS 0 and 1 there is no file.
        rig.broker.publish(b"in/x", payload(300), 1)
        rig.pump(1)
        assert rig.inbox.messages.pop()[:3] == (b"in/x", payload(300), 1) and seen[-1] == (COMPLETE, None)
        rig.check()


def test_a_file_is_kept_before_pubrec_and_handed_over_on_pubrel():
    with Folder() as folder:
        rig = _subscribed(folder=folder)
        rig.broker.drop(PUBREL)
        rig.broker.publish(b"in/x", payload(300), 2)
        rig.pump(10)
        assert _answers(rig) == [PUBREC] and not rig.inbox.parts and len(files_in(folder)) == 1
        rig.client.close()
        rig.client.reconnect()
        rig.pump(10)
        assert rig.inbox.payloads() == [payload(300)] and not files_in(folder)
        rig.check()


def test_a_file_that_is_renamed_stays():
    with Folder() as folder:
        rig = _subscribed(folder=folder)
        rig.inbox = None
        rig.client.unsubscribe("in/+")
        rig.streams.subscribe("in/+", lambda part: os.rename(part.file, folder + "/mine"), 2, folder)
        rig.broker.publish(b"in/x", payload(300), 2)
        rig.pump(10)
        assert files_in(folder) == ["mine"]
        with open(folder + "/mine", "rb") as file:
            assert file.read() == payload(300)
        rig.check()


def test_a_file_whose_handler_raises_comes_again():
    with Folder() as folder:
        for n in (300, 3):
            rig = _subscribed(folder=folder, inbox=Inbox(raises=0))
            rig.broker.publish(b"in/x", payload(n), 2)
            raises(ValueError, rig.pump, 10)
            assert rig.inbox.aborted == 0 and len(files_in(folder)) == 1
            rig.client.reconnect()
            rig.pump(10)
            assert [(one[1], one[4]) for one in rig.inbox.messages] == [(payload(n), True)] and not files_in(folder)
            rig.check()


def test_a_cut_leaves_no_file_and_tells_no_handler():
    with Folder() as folder:
        rig = _subscribed(folder=folder)
        rig.t.wire.plan = Plan(cut_in=rig.t.wire.count_in + 200)
        rig.broker.publish(b"in/x", payload(500), 2)
        raises(LinkLost, rig.pump, 10)
        assert not files_in(folder) and not rig.inbox.parts
        rig.client.reconnect()
        rig.pump(10)
        assert rig.inbox.payloads() == [payload(500)]
        rig.check()


def test_a_session_that_is_no_more_releases_all():
    with Folder() as folder:
        rig = _subscribed(folder=folder)
        rig.broker.drop(PUBREL, 3)
        for i in range(3):
            rig.broker.publish(b"in/x", payload(300, i), 2)
        rig.pump(10)
        rig.client.close()
        rig.broker.forget()
        rig.client.reconnect()
        rig.pump(10)
        assert rig.inbox.payloads() == [payload(300, i) for i in range(3)] and not files_in(folder)


def test_a_clean_session_forgets_files():
    with Folder() as folder:
        rig = _subscribed(folder=folder)
        rig.broker.drop(PUBREL)
        rig.broker.publish(b"in/x", payload(300), 2)
        rig.pump(10)
        rig.client.connect(True)
        rig.pump(10)
        assert not rig.inbox.parts and not files_in(folder)


def test_leftovers_are_removed_at_the_start():
    with Folder() as folder:
        rig = _subscribed(folder=folder)
        rig.broker.publish(b"in/x", payload(300), 2)
        for _ in range(8):
            rig.client.poll()
        left = files_in(folder)
        assert len(left) == 1  # and here the power goes
        write_file(folder + "/mine.in", b"")
        rig.t.close()
        again = StreamRig()
        again.streams.subscribe("in/+", again.inbox, 2, folder)
        assert files_in(folder) == ["mine.in"]


def test_a_folder_that_is_not_there_or_full():
    rig = StreamRig()
    failed = raises(ValueError, rig.streams.subscribe, "in/+", rig.inbox, 2, "/no/such/folder")
    assert "/no/such/folder" in str(failed)
    with Folder() as folder:
        rig = _subscribed(folder=folder)

        class Full:
            """Takes half of what it is given."""

            closed = False

            def write(self, buf):
                return len(buf) // 2

            def close(self):
                Full.closed = True

        files = rig.client._protocol.inward.files
        open_file = files.open

        def full(folder):
            open_file(folder)
            files.file.close()
            files.file = Full()

        files.open = full
        rig.broker.publish(b"in/x", payload(300), 2)
        failed = raises(StreamError, rig.pump, 10)
        assert folder in str(failed) and Full.closed and not files_in(folder) and rig.is_closed()
        files.open = open_file
        rig.client.reconnect()
        rig.pump(10)
        assert rig.inbox.payloads() == [payload(300)] and not rig.inbox.aborted


def test_states_differ():
    assert len({MORE, COMPLETE, ABORTED}) == 3
