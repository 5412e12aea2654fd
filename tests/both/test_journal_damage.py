"""The journal against a hostile filesystem: every bit wrong, reads and writes that fail, no room, other numbers."""

from errno import EIO

from effort import sample
from emulated_rig import Rig, raises
from emulation.clock import Failure
from emulation.files import ENOSPC, Files, MemoryJournal
from test_journal import filled, rig, state
from umqtt_full import Full, LinkLost
from umqtt_full.codec import Message


def _busy(files):
    """A journal with compactions behind it, and in both files what older generations left, of the same lengths so that
    one generation's records end where another's begin -> the journal, and the body of every record ever written."""
    journal = files.journal(size=30, received=2)
    session = journal.Session(journal, 4, 3)
    bodies = []
    for i in range(40):
        session.promise(b"o", b"%03d" % i, False, 1 + i % 2)
        bodies.append(bytes(journal.packet(journal.publishes[-1])[1:10]))
        if len(journal.publishes) > 2:
            journal.free(journal.publishes, 0)
        if i % 8 == 3:
            journal.receive(_message(b"i", b"%03d" % i, i))
            bodies.append(b"\0\1i%03d" % i)
        if i % 8 == 7:
            journal.discard(journal.arrived[0])
        if i % 6 == 5:
            journal._compact()
    journal.release(0)
    session.promise(b"o", b"end", False, 2)
    bodies.append(bytes(journal.packet(journal.publishes[-1])[1:10]))
    journal.receive(_message(b"i", b"end", 70))
    bodies.append(b"\0\1iend")
    journal.sync()
    return journal, bodies


def _bodies(journal):
    """What a journal holds, but for its first bytes."""
    found = []
    for queue in (journal.publishes, journal.arrived):
        for slot in queue:
            body = bytearray(journal.lengths[slot])
            journal._read(journal._places[slot], body, len(body))
            found.append(bytes(body[1:]))
    return found


def test_every_bit_wrong_in_either_file():
    """It starts, takes nothing for a message that is none, loses nothing that lies before, and is whole afterwards."""
    files = Files()
    journal, bodies = _busy(files)
    name = "j.%d" % journal._which
    assert len(files.names[name]) > journal._end  # a stale record lies behind the end
    whole = state(journal)
    for other in files.names:
        for at in sample(len(files.names[other]), 7):
            for bit in range(8):
                hurt = files.copy()
                hurt.names[other][at] ^= 1 << bit
                found = hurt.journal(size=30, received=2)
                if not all([one in bodies for one in _bodies(found)]):
                    raise Failure("%s, byte %d, bit %d: garbage, %r" % (other, at, bit, _bodies(found)))
                if other != name or at >= journal._end:
                    assert state(found) == whole, (other, at, bit)
                elif state(found) != whole:
                    assert found.report, (other, at, bit)
                if bit == at % 8:
                    again = hurt.copy().journal(size=30, received=2)
                    assert not again.report and state(again) == state(found), (other, at, bit)


def _message(topic_name, payload, packet_id):
    m = Message(64)
    m.topic_name[:] = topic_name
    m.payload[:] = payload
    m.qos = 2
    m.packet_id = packet_id
    return m


def test_a_bad_block_costs_only_what_lies_behind_it():
    """Not the whole segment, in whose place an older one would bring back what is long done."""
    files = Files()
    journal, _ = _busy(files)
    before = state(journal)
    bad = journal._end
    journal.Session(journal, 4, 3).promise(b"out", b"behind it", False, 1)
    files = files.copy()
    files.bad["j.%d" % journal._which] = bad
    journal = files.journal(size=30, received=2)
    assert files.refused and "cannot be read at byte %d" % bad in journal.report
    assert state(journal) == before


def test_a_start_without_room_to_repair_keeps_what_was_found():
    """The node starts; what was found is sent; the broker's answers wait for room, and all is well when there is."""

    def leave_something_behind(content):
        content.extend(b"\x80junk")

    def damage(content):
        content[-15] ^= 1

    for change in (leave_something_behind, damage):
        files = Files()
        made = filled(files)
        before = state(made.client.session.store)
        files = files.copy()
        change(files.names[_newer(files)])
        files.fail = ENOSPC
        again = rig(files, made.broker)
        store = again.client.session.store
        assert "repaired" in store.report
        found = state(store)
        assert [one for one in before[0] if one in found[0]]
        assert "not taken" in str(raises(Full, again.client.publish, b"out", b"x", qos=1, wait=False))
        raises(LinkLost, _connect_and_pump, again)
        assert files.refused
        files.fail = 0
        again.client.connect(False)
        again.client.flush()
        again.pump(10)
        again.client.publish(b"out", b"x", qos=1)
        assert again.payloads() == [b"kept"] and state(store) == ([], [], [])
        assert state(files.copy().journal()) == ([], [], [])
        again.check()


def test_a_foreign_file_is_kept_also_where_there_is_no_room_for_a_copy():
    files = Files()
    files.names["j.0"] = bytearray(b"my shopping list" * 100)
    files.capacity = 2000  # a second one of 1600 bytes finds no room
    journal = files.journal()
    assert "j.0.bad" in journal.report and files.names["j.0.bad"] == b"my shopping list" * 100
    journal.Session(journal, 4, 3).promise(b"out", b"x", False, 1)
    assert len(files.copy().journal().publishes) == 1


def _connect_and_pump(made):
    made.client.connect(False)
    made.pump(10)


def _newer(files):
    return "j.0" if len(files.names["j.0"]) else "j.1"


def test_a_flash_that_fails_while_the_session_is_found_lost():
    """What was kept in it is still handed over, and its packet ids are no longer taken for those of new messages,
    though the broker says only once that the session is new."""
    files = Files()
    made = rig(files)
    made.client.connect(False)
    made.client.subscribe(b"in/#", 2)
    made.broker.drop(0x60, times=2)  # PUBREL
    for i in range(2):
        made.broker.publish(b"in/a", b"old %d" % i, 2)
    made.pump(10)
    made.client.close()
    made.broker.forget()
    files.fail = EIO
    raises(LinkLost, made.client.connect, False)
    assert files.refused
    files.fail = 0
    made.client.connect(False)
    made.client.subscribe(b"in/#", 2)
    for i in range(3):
        made.broker.publish(b"in/a", b"new %d" % i, 2)
    made.pump(10)
    assert made.payloads() == [b"old 0", b"old 1", b"new 0", b"new 1", b"new 2"], made.payloads()
    made.check()


def test_as_many_slots_as_were_in_use():
    """However the 256 are shared out anew."""
    files = Files()
    journal = files.journal(slots=6, received=200, size=16)
    session = journal.Session(journal, 4, 3)
    for i in range(4):
        session.promise(b"o", b"%d" % i, False, 1)
    for i in range(180):
        journal.receive(_message(b"i", b"%d" % i, i + 1))
    journal.sync()
    before = state(journal)
    journal = files.copy().journal(slots=255, received=1, size=16)
    assert state(journal) == before and not journal.report
    assert len(journal.packet_ids) <= 256
    journal.Session(journal, 4, 3).promise(b"o", b"more", False, 1)


def test_more_pubrels_than_the_buffers_of_a_smaller_client_hold():
    """They were made with a larger inflight; the node, configured anew, still connects."""
    files = Files()
    made = Rig(store=files.journal(slots=60), inflight=40, max_packet=256, link={"record": False})
    made.client.connect(False)
    made.broker.drop(0x70, times=40)  # PUBCOMP
    for i in range(40):
        made.client.publish(b"out", b"%d" % i, qos=2, wait=False)
    made.pump(10)
    made.client.close()
    again = Rig(store=files.copy().journal(slots=60), inflight=4, max_packet=64, link={"record": False})
    assert len(again.client.session.store.pubrels) == 40
    again.broker = again.t.peer = made.broker
    made.broker.clock = again.clock
    again.client.connect(False)
    again.client.flush()
    again.client.publish(b"out", b"more", qos=2)
    assert len(made.broker.taken) == 41
    again.check()


def test_what_is_no_record_costs_no_memory():
    """Behind the end lies what an older generation left, which may look like the begin of a long record."""
    files = Files()
    journal = files.journal(size=40)
    session = journal.Session(journal, 4, 3)
    session.promise(b"out", b"x", False, 1)
    content = files.names["j.%d" % journal._which]
    content.extend(b"\x31\x31\x31\x31\x31\x60\x00\x00" + bytes(30000))
    files = files.copy()
    largest = []

    class Watched(MemoryJournal):
        def _open(self, name, mode):
            file = super()._open(name, mode)
            readinto = file.readinto

            def note(buf, n=-1):
                largest.append(len(buf))
                return readinto(buf, n)

            file.readinto = note
            return file

    journal = Watched(files, slots=4, size=40, received=3)
    assert len(journal.publishes) == 1 and max(largest) <= 512


def test_a_full_journal_that_finds_no_room_for_a_second_segment_comes_to_its_end():
    """What is there is sent and done with, one acknowledgement behind the other, until it can be copied."""
    files = Files()
    files.capacity = 20000
    journal = files.journal(slots=200, size=100, received=2)
    made = Rig(store=journal, inflight=4, link={"record": False})
    count = 0
    while count < 150:
        made.client.publish(b"out", b"%3d" % count * 25, qos=1 + count % 2, wait=False)
        count += 1
    assert len(files.names["j.%d" % journal._which]) > files.capacity * 2 // 3
    made.client.connect(False)
    made.client.flush()
    assert files.refused
    assert sorted([one[1] for one in made.broker.taken]) == [b"%3d" % i * 25 for i in range(count)]
    again = files.copy().journal(slots=200, size=100, received=2)
    assert state(again) == ([], [], []) and not again.report
    made.check()


def test_on_a_filesystem_that_others_have_filled_what_is_there_comes_to_its_end():
    files = Files()
    journal = files.journal(slots=100, size=100, received=2)
    made = Rig(store=journal, inflight=4, link={"record": False})
    made.client.connect(False)
    made.client.subscribe(b"in/#", 2)
    for i in range(150):
        made.client.publish(b"out", b"%3d" % i * 25, qos=1 + i % 2)
    made.client.close()
    for i in range(20):
        made.client.publish(b"out", b"%3d" % i, qos=1 + i % 2, wait=False)
    files.capacity = sum([len(content) for content in files.names.values()])
    try:
        for i in range(80):
            made.client.publish(b"out", b"late %2d" % i * 10, qos=1 + i % 2, wait=False)
        raise Failure("there was room")
    except Full as e:
        assert "not taken" in str(e)
    assert files.refused
    kept = len(journal.publishes)
    made.broker.publish(b"in/a", b"x", 2)
    for _ in range(9):  # a record that finds no room costs the link
        try:
            made.client.connect(False)
            made.client.flush()
            made.pump(10)
        except LinkLost:
            pass
    assert state(journal) == ([], [], [])
    taken = [one[1] for one in made.broker.taken]
    assert len(set(taken)) == 150 + kept
    assert all([taken.count(one[1]) == 1 for one in made.broker.taken if one[2] == 2])
    assert made.payloads() == [b"x"]
    assert state(files.copy().journal(slots=100, size=100, received=2)) == ([], [], [])
    made.check()
