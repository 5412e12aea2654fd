"""What a broker's journal keeps: all that was acknowledged, whatever the moment at which everything stops."""

from broker_rig import Files, Raw, Rig, connect_packet, subscribe_packet
from emulated_rig import raises
from emulation.packets import PUBACK, PUBCOMP, PUBREC, PUBREL, ack_packet, field, packet, publish_packet, two


def image(files):
    """The files as they are now, for a broker that starts anew."""
    return Files(files.names)


def state(broker):
    """All that must survive."""
    sessions = {}
    for client_id, session in broker.sessions.items():
        if not session.clean:
            store = session.store
            messages = [
                (packet_id, store.heads[packet_id] & 7, store.messages[packet_id]) for packet_id in store.publishes
            ]
            sessions[client_id] = (
                dict(session.subscriptions),
                messages,
                list(store.pubrels),
                sorted(session.received_ids()),
                store.size,
            )
    return sessions, dict(broker.retained_messages), broker.retained_bytes


def filled(files):
    rig = Rig(files=files)
    one, two_, clean = rig.raw(b"one", False), rig.raw(b"two", False), rig.raw(b"clean", True)
    one.say(subscribe_packet(1, (b"a/#", 2), (b"b", 1), (b"gone", 0)), packet(0xA2, two(2) + field(b"gone")))
    two_.say(subscribe_packet(1, (b"a/+", 1)))
    clean.say(subscribe_packet(1, (b"#", 2)))
    publisher = rig.raw(b"publisher", False)
    for number in range(6):
        publisher.say(
            publish_packet(b"a/%d" % number, b"%d" % number, 1 + number % 2, number == 4, packet_id=number + 1)
        )
    publisher.say(publish_packet(b"kept", b"old", 1, True, packet_id=20), publish_packet(b"kept", b"new", 0, True))
    publisher.say(publish_packet(b"cleared", b"x", 0, True), publish_packet(b"cleared", b"", 0, True))
    publisher.say(ack_packet(PUBREL, 2))
    found = [(head, body) for head, body in one.take() if head & 0xF0 == 0x30]
    ids = [body[5] << 8 | body[6] for _, body in found]
    one.say(ack_packet(PUBACK, ids[0]), ack_packet(PUBREC, ids[1]), ack_packet(PUBREC, ids[3]))
    one.say(ack_packet(PUBCOMP, ids[1]))
    rig.advance(0.5)
    return rig


def test_everything_is_there_again():
    files = Files()
    rig = filled(files)
    before = state(rig.broker)
    assert len(before[0]) == 3 and before[0][b"one"][2] and before[0][b"publisher"][3] == [4, 6]
    again = Rig(files=image(files))
    assert state(again.broker) == before
    assert again.broker.journal.report == ""
    # A second start, from a snapshot alone
    third = Rig(files=image(again.broker.journal._files))
    assert state(third.broker) == before
    # The receivers of a message share it again.
    stores = [third.broker.sessions[name].store for name in (b"one", b"two")]
    payloads = [[payload for _, payload in store.messages.values() if payload == b"5"] for store in stores]
    assert payloads[0][0] is payloads[1][0]
    # What may have been sent goes out with DUP, behind the PUBRELs, and each once.
    one = Raw(again)
    one.say(connect_packet(b"one", False))
    got = one.take()
    assert got[0] == (0x20, b"\x01\x00") and got[1][0] == 0x62
    assert all(head & 8 for head, _ in got[2:]) and len(got) == 2 + len(before[0][b"one"][1])


def test_ended_sessions_are_gone():
    files = Files()
    rig = filled(files)
    rig.raw(b"one", True).hang_up()
    rig.broker.limits["expiry_s"] = 1
    for link in list(rig.broker.links):
        rig.broker.end(link, "test")
    rig.advance(3)
    assert state(Rig(files=image(files)).broker)[0] == {}


def test_a_stop_at_any_byte_that_is_written():
    """What was acknowledged until then is there, QoS 2 messages once, in their order."""
    for torn in (0, 1, 2):
        files = Files()
        images = []
        rig = Rig(files=files, queue=100, received=100)
        away = rig.raw(b"away", False)
        away.say(subscribe_packet(1, (b"t", 2)))
        away.say(b"\xe0\x00")
        publisher = rig.raw(b"publisher", False)
        acked = []

        def note(name, data, torn=torn, files=files, acked=acked, images=images):
            stopped = image(files)
            stopped.names[name].extend(data[: (0, len(data) // 2, max(0, len(data) - 1))[torn]])
            images.append((stopped, len(acked)))

        files.on_write = note
        for number in range(40):
            qos = 1 + number % 2
            publisher.say(publish_packet(b"t", b"%d" % number, qos, packet_id=number + 1))
            assert publisher.take() == [(PUBACK if qos == 1 else PUBREC, two(number + 1))]
            acked.append(b"%d" % number)
        assert len(images) >= 80
        for stopped, count in images:
            again = Rig(files=stopped, queue=100, received=100)
            store = again.broker.sessions[b"away"].store
            kept = [store.messages[packet_id][1] for packet_id in store.publishes]
            assert kept in (acked[:count], acked[: count + 1]), (kept, count)
            # The publisher sends again what was not acknowledged: at QoS 2 it is not doubled.
            received = again.broker.sessions[b"publisher"].received_ids()
            assert received == [n + 1 for n in range(len(kept)) if n % 2], received


def test_the_file_stays_small():
    files = Files()
    rig = Rig(files=files)
    raw = rig.raw(b"busy", False)
    raw.say(subscribe_packet(1, (b"t", 1)))
    raw.take()
    largest = 0
    for _ in range(1500):
        raw.say(publish_packet(b"t", bytes(100), 1, packet_id=1))
        for head, body in raw.take():
            if head & 0xF0 == 0x30:
                raw.say(ack_packet(PUBACK, body[3] << 8 | body[4]))
        largest = max(largest, sum([len(content) for content in files.names.values()]))
    assert largest < 100000, largest
    assert list(files.names) == ["journal"]
    rig.advance(0.5)  # a PUBACK that came is written by the next turn, or by this
    assert state(Rig(files=image(files)).broker) == state(rig.broker)


def test_a_full_disk_acknowledges_nothing():
    """A publisher whose message cannot be kept is disconnected without its PUBACK, and the program is told."""
    files = Files()
    rig = Rig(files=files)
    away = rig.raw(b"away", False)
    away.say(subscribe_packet(1, (b"t", 1)))
    away.say(b"\xe0\x00")
    publisher = rig.raw(b"publisher", False)
    files.room = 10
    publisher.say(publish_packet(b"t", b"x", 1, packet_id=1))
    assert publisher.is_closed and publisher.take() == []
    assert "journal" in rig.told("disconnected")[-1][1]
    files.room = None
    publisher = rig.raw(b"publisher", False)
    publisher.say(publish_packet(b"t", b"x", 1, dup=True, packet_id=1))
    assert publisher.take() == [(PUBACK, b"\x00\x01")]
    assert state(Rig(files=image(files)).broker) == state(rig.broker)


def test_files_that_are_torn_or_foreign():
    files = Files()
    before = state(filled(files).broker)
    whole = bytes(files.names["journal"])
    torn = Files({"journal": whole + whole[8:20]})
    rig = Rig(files=torn)
    assert state(rig.broker) == before and "torn" in rig.broker.journal.report
    assert "journal" in str(raises(ValueError, Rig, files=Files({"journal": b"something else"})))
    assert state(Rig(files=Files({"journal": b""})).broker) == ({}, {}, 0)
    assert state(Rig(files=Files({"journal": whole[:8]})).broker) == ({}, {}, 0)


def test_a_turn_is_one_flush():
    """However many messages and receivers it has"""
    files = Files()
    rig = Rig(files=files)
    for number in range(5):
        raw = rig.raw(b"%d" % number, False)
        raw.say(subscribe_packet(1, (b"t", 1)))
    publisher = rig.raw(b"publisher")
    files.flushes = 0
    publisher.say(b"".join([publish_packet(b"t", b"%d" % n, 1, packet_id=n + 1) for n in range(20)]))
    assert len(publisher.take()) == 20
    assert files.flushes <= 2, files.flushes
