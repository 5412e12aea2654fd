"""The journal: what it keeps, what it finds again, and what it does with files that are damaged, foreign or full."""

from emulated_rig import Rig, raises
from emulation.clock import Failure
from emulation.files import ENOSPC, Files
from umqtt_full import Full, LinkLost, ProtocolError


def rig(files, broker=None, **options):
    """A client with a journal in these files, subscribed to in/# where the broker knows it not."""
    made = Rig(store=files.journal(**options), timeout_ms=3000, link={"record": False})
    if broker:
        made.broker = made.t.peer = broker
        broker.clock = made.clock
    return made


def after_a_reset(made, files, **options):
    """The same node, started again on what its files hold."""
    made.t.close()
    return rig(files.copy(), made.broker, **options)


def filled(files):
    """A journal with a PUBREL, two PUBLISHes and a message that came in -> what session.publish was told."""
    made = rig(files)
    made.client.connect(False)
    made.client.subscribe(b"in/#", 2)
    made.broker.drop(0x70)  # PUBCOMP
    made.broker.drop(0x60)  # PUBREL
    made.client.publish(b"out", b"released", qos=2, wait=False)
    made.broker.publish(b"in/a", b"kept", 2)
    made.pump(10)
    made.broker.drop(0x50)
    made.broker.drop(0x40)
    made.client.publish(b"out", b"two", qos=2, wait=False)
    made.client.publish(b"out", b"one", qos=1, wait=False)
    made.pump(10)
    made.client.close()
    return made


def state(journal):
    """What a journal holds, in its order."""
    ids = journal.packet_ids
    return (
        [(ids[slot], bytes(journal.packet(slot)[1 : journal.lengths[slot]])) for slot in journal.publishes],
        [ids[slot] for slot in journal.pubrels],
        [ids[slot] for slot in journal.arrived],
    )


def test_what_was_kept_is_there_after_a_reset_in_its_order():
    files = Files()
    made = filled(files)
    before = state(made.client.session.store)
    assert [len(one) for one in before] == [2, 1, 1], before
    again = files.copy().journal()
    assert again.report == "" and state(again) == before
    assert [again.heads[slot] & 8 for slot in again.publishes] == [8, 8]  # DUP: they may have been sent


def test_the_exchanges_go_on_where_they_were_after_a_reset():
    """[MQTT-4.4.0-1] [MQTT-4.3.3-1] [MQTT-4.3.3-2]"""
    files = Files()
    made = after_a_reset(filled(files), files)
    assert made.client.connect(False)
    made.client.flush()
    made.pump(10)
    made.check()
    assert [one[1] for one in made.broker.taken] == [b"released", b"two", b"one"] or made.broker.count(b"two") == 1
    assert made.broker.count(b"released") == made.broker.count(b"two") == 1 and made.broker.count(b"one") >= 1
    assert made.payloads() == [b"kept"]
    assert made.messages[0][4]  # dup: a callback may have had it
    store = made.client.session.store
    assert state(store) == ([], [], [])
    assert state(files.journal())[0] != []  # the copy was used, not the original


def test_a_message_from_the_broker_is_kept_before_pubrec_and_handed_over_at_pubrel():
    """[MQTT-4.3.3-2], method A"""
    files = Files()
    made = rig(files)
    made.client.connect(False)
    made.client.subscribe(b"in/#", 2)
    made.broker.drop(0x60)  # PUBREL
    made.broker.publish(b"in/a", b"x", 2)
    made.pump(10)
    assert made.messages == [] and len(files.copy().journal().arrived) == 1
    made.client.reconnect()
    made.pump(10)
    assert [one[1:] for one in made.messages] == [(b"x", 2, False, False, 1)]
    assert not files.copy().journal().arrived
    made.check()


def test_a_callback_that_raises_has_the_message_again_with_dup():
    files = Files()
    made = rig(files)
    made.client.connect(False)
    made.client.subscribe(b"in/#", 2)
    seen = []

    def fail_once(m):
        seen.append((bytes(m.payload), m.dup))
        if len(seen) == 1:
            raise KeyError("first time")

    made.client.on_message = fail_once
    made.broker.publish(b"in/a", b"x", 2)
    raises(KeyError, made.pump, 10)
    made.client.reconnect()
    made.pump(10)
    assert seen == [(b"x", False), (b"x", True)]
    made.check()


def test_messages_of_a_session_that_the_broker_lost_are_handed_over():
    files = Files()
    made = after_a_reset(filled(files), files)
    made.broker.forget()
    assert not made.client.connect(False) and not made.messages
    made.pump()
    assert made.payloads() == [b"kept"] and made.messages[0][5] == 0  # its packet id is free again
    made.client.flush()
    assert made.broker.count(b"two") == 1 and made.client.counts.maybe_doubled == 1
    assert state(made.client.session.store) == ([], [], [])
    made.check()


def test_a_lost_session_stays_known_over_a_reset():
    """The callback fails, the node is reset, the broker has a new session: the message is still handed over."""
    files = Files()
    made = after_a_reset(filled(files), files)
    made.broker.forget()

    def fail(m):
        raise KeyError("not now")

    made.client.on_message = fail
    made.client.connect(False)
    raises(KeyError, made.pump)
    files = made.client.session.store._memory
    made = after_a_reset(made, files)
    assert made.client.connect(False)
    made.pump()
    assert made.payloads() == [b"kept"] and made.messages[0][4]
    made.check()


def test_a_clean_session_forgets_for_good():
    """[MQTT-3.1.2-6]"""
    files = Files()
    made = after_a_reset(filled(files), files)
    files = made.client.session.store._memory
    before = state(made.client.session.store)
    e = raises(ValueError, made.client.connect)
    assert "discard=True" in str(e) and state(made.client.session.store) == before and made.t.opens == 0
    made.client.connect(discard=True)
    assert made.client.counts.discarded == sum([len(queue) for queue in before])
    assert made.messages == [] and state(files.copy().journal()) == ([], [], [])


def test_full_is_full_and_keeps_what_it_has():
    files = Files()
    made = rig(files)
    for i in range(4):
        made.client.publish(b"out", b"%d" % i, qos=1 + i % 2, wait=False)
    before = state(made.client.session.store)
    raises(Full, made.client.publish, b"out", b"more", qos=1, wait=False)
    assert state(made.client.session.store) == before == state(files.copy().journal())
    made.client.connect(False)
    made.client.flush()
    assert [one[1] for one in made.broker.taken] == [b"0", b"2", b"1", b"3"] or len(made.broker.taken) == 4
    made.client.publish(b"out", b"more", qos=2)
    made.check()


def test_more_unreleased_messages_than_there_is_room_for_close_the_link_and_come_again():
    files = Files()
    made = rig(files)
    made.client.connect(False)
    made.client.subscribe(b"in/#", 2)
    made.broker.drop(0x60, times=3)
    for i in range(5):
        made.broker.publish(b"in/a", b"%d" % i, 2)
    assert "received=3" in str(raises(ProtocolError, made.pump, 10))
    for _ in range(9):
        try:
            made.client.reconnect()
            made.pump(10)
        except ProtocolError:
            pass
    assert sorted(made.payloads()) == [b"0", b"1", b"2", b"3", b"4"]
    made.check()


def test_a_filesystem_that_takes_no_more():
    """publish() says that nothing was taken; an acknowledgement waits; all goes on when there is room again."""
    files = Files()
    made = rig(files)
    made.client.connect(False)
    made.client.subscribe(b"in/#", 2)
    made.broker.drop(0x50)
    made.client.publish(b"out", b"before", qos=2, wait=False)
    files.fail = ENOSPC
    assert "not taken" in str(raises(Full, made.client.publish, b"out", b"x", qos=1, wait=False))
    made.broker.publish(b"in/a", b"in", 2)
    raises(LinkLost, made.pump, 10)
    made.client.reconnect()
    raises(LinkLost, made.pump, 10)
    assert files.refused >= 3
    files.fail = 0
    made.client.reconnect()
    made.client.flush()
    made.client.publish(b"out", b"after", qos=2)
    made.pump(10)
    assert made.broker.count(b"before") == made.broker.count(b"after") == 1 and not made.broker.count(b"x")
    assert made.payloads() == [b"in"]
    assert state(files.copy().journal()) == ([], [], [])
    made.check()


def damaged(change, name):
    """The journal made of filled() files of which one was changed -> it, and what it should hold at most."""
    files = Files()
    made = filled(files)
    before = state(made.client.session.store)
    files = files.copy()
    change(files.names[name])
    return files.journal(), before


def _newer(files):
    return "j.0" if len(files.names["j.0"]) else "j.1"


def test_any_damaged_byte_is_reported_and_what_lies_before_it_recovered():
    files = Files()
    filled(files)
    name = _newer(files)
    fewest = 9
    for at in range(len(files.names[name])):

        def flip(content, at=at):
            content[at] ^= 0x41

        journal, before = damaged(flip, name)
        if not journal.report:
            raise Failure("byte %d was changed, and nothing is said of it" % at)
        found = [one for one in state(journal)[0] if one not in before[0]]
        # A message whose PUBREC lies behind the damage is a PUBLISH again.
        assert all([one[0] in before[1] for one in found]), (at, found)
        fewest = min(fewest, len(state(journal)[0]))
    assert fewest == 0


def test_a_file_cut_short_anywhere():
    files = Files()
    filled(files)
    name = _newer(files)
    size = len(files.names[name])
    most = 0
    for at in range(size):

        def cut(content, at=at):
            content[at:] = b""

        journal, before = damaged(cut, name)
        most = max(most, sum([len(one) for one in state(journal)]))
        assert "j" in journal.report or state(journal) != before or at >= size - 12
    assert most >= 3


def test_a_damaged_journal_is_a_whole_one_afterwards():
    files = Files()
    filled(files)
    name = _newer(files)
    files.names[name][-15] ^= 1
    first = files.journal()
    assert first.report
    again = files.copy().journal()
    assert not again.report and state(again) == state(first)


def test_what_was_read_at_the_start_is_made_durable():
    """A computer's program that was killed may have left in the cache what the next one then relies on."""
    files = Files()
    filled(files)
    again = files.copy()
    again.journal()
    assert again.flushes == 1


def test_somebody_elses_file_is_kept_aside_and_the_node_starts():
    files = Files()
    files.names["j.0"] = bytearray(b"my shopping list" * 100)
    journal = files.journal()
    assert "j.0.bad" in journal.report and bytes(files.names["j.0.bad"]) == b"my shopping list" * 100
    assert not files.copy().journal().report


def test_a_later_version_is_not_taken_for_ours():
    files = Files()
    filled(files)
    name = _newer(files)
    files.names[name][4] = 2
    journal = files.journal()
    assert state(journal) == ([], [], []) and "version" in journal.report and name + ".bad" in files.names


def test_other_numbers_of_slots_after_a_reset_lose_nothing():
    for slots, received in ((1, 1), (9, 9), (4, 1), (1, 3), (200, 56)):
        files = Files()
        before = state(filled(files).client.session.store)
        journal = files.copy().journal(slots=slots, received=received, size=16)
        assert state(journal) == before or [len(one) for one in state(journal)] == [2, 1, 1]
        assert state(journal)[:2] == before[:2] and not journal.report
        again = journal._memory.copy().journal(slots=slots, received=received)
        assert state(again) == state(journal)


def test_compactions_keep_order_and_the_files_small():
    """Hundreds of messages while some stay unfinished; afterwards the same ones are there, in their order."""
    files = Files()
    made = filled(files)
    journal = made.client.session.store
    session = made.client.session
    before = state(journal)
    for i in range(400):
        session.promise(b"out", b"%d" % i * 20, False, 1)
        journal.free(journal.publishes, 2)
    assert journal._generation > 5
    assert max([len(content) for content in files.names.values()]) <= 4100
    assert state(files.copy().journal()) == before == state(journal)


def test_an_outage_makes_the_files_long_and_its_end_short_again():
    files = Files()
    journal = files.journal(slots=200, size=100, received=1)
    made = Rig(store=journal, inflight=4, link={"record": False})
    for i in range(200):
        made.client.publish(b"out", b"%3d" % i * 25, qos=1, wait=False)
    raises(Full, made.client.publish, b"out", b"x", qos=1, wait=False)
    assert max([len(content) for content in files.names.values()]) > 15000
    made.client.connect(False)
    made.client.flush()
    assert [one[1] for one in made.broker.taken] == [b"%3d" % i * 25 for i in range(200)]
    for _ in range(300):
        made.client.publish(b"out", b"later", qos=1)
    assert max([len(content) for content in files.names.values()]) < 9000
    made.check()


def test_durable_says_when_the_flash_is_written():
    counts = []
    for durable in ("message", "poll", "never"):
        files = Files()
        made = rig(files, durable=durable, slots=40)
        made.client.connect(False)
        before = files.flushes
        for i in range(8):
            made.client.publish(b"out", b"%d" % i, qos=1)
        counts.append(files.flushes - before)
        made.client.poll()
        counts.append(files.flushes - before)
    assert counts == [8, 8, 0, 1, 0, 0], counts


def test_what_qos_2_needs_is_flushed_before_it_goes_out():
    """A PUBLISH, a PUBREL, a PUBREC and a PUBCOMP: each time the record is durable when the broker hears it."""
    for durable in ("message", "poll"):
        files = Files()
        made = rig(files, durable=durable)
        made.client.connect(False)
        made.client.subscribe(b"in/#", 2)
        flushed = []
        received = made.broker.received

        def hear(wire, data, made=made, flushed=flushed, received=received):
            flushed.append(not made.client.session.store._urgent)
            received(wire, data)

        made.broker.received = hear
        made.client.publish(b"out", b"x", qos=2)
        made.broker.publish(b"in/a", b"y", 2)
        made.pump(10)
        assert len(flushed) >= 4 and all(flushed), flushed


def test_wrong_arguments_say_which():
    for options, word in (
        ({"slots": 0}, "slots"),
        ({"slots": 250, "received": 7}, "received"),
        ({"size": 15}, "size"),
        ({"durable": "always"}, "durable"),
    ):
        files = Files()
        assert word in str(raises(ValueError, files.journal, **options))
        assert not files.names


def test_a_message_over_the_journal_s_size_blocks_nothing():
    """It is skipped, acknowledged and told; those before and behind it come, over a reset too."""
    files = Files()
    made = rig(files, size=64)
    told = []
    made.client.on_skip = lambda *what: told.append(what)
    made.client.connect(False)
    made.client.subscribe(b"in/#", 2)
    for payload in (b"one", b"x" * 100, b"two"):
        made.broker.publish(b"in/a", payload, 2)
    made.pump(10)
    assert made.payloads() == [b"one", b"two"] and told == [(b"in/a", 100, "over the journal's size")]
    assert made.client.is_connected() and made.client.counts.skipped == 1
    made = after_a_reset(made, files, size=64)
    made.client.connect(False)
    made.broker.publish(b"in/a", b"three", 2)
    made.pump(10)
    assert made.payloads() == [b"three"]
    assert [one.done for one in made.broker.given] == [True] * 4
    made.check()


def test_a_callback_that_always_raises_while_the_filesystem_takes_no_more():
    """The message cannot be discarded: the link ends, with the callback's error, and all goes on when there is room."""
    files = Files()
    made = rig(files)
    made.client.connect(False)
    made.client.subscribe(b"in/#", 2)

    def fails(m):
        files.fail = ENOSPC
        raise KeyError(m.text)

    made.client.on_message = fails
    made.broker.publish(b"in/a", b"poison", 2)
    raises(KeyError, made.pump, 10)
    raises(KeyError, made.pump, 10)
    assert not made.client.is_connected()
    files.fail = None
    made.client.on_message = made.note
    made.client.reconnect()
    made.pump(10)
    made.broker.publish(b"in/a", b"next", 2)
    made.pump(10)
    assert made.payloads()[-1] == b"next" and made.client.is_connected()


def test_the_ids_of_an_earlier_life_are_not_given_out_at_once():
    """A PUBLISH of the life before is acknowledged behind CONNACK, when it has been sent again already. The next
    message must have another id: one more acknowledgement is still to come, and that is not for it."""
    files = Files()
    made = rig(files)
    made.client.connect(False)
    made.broker.postpone(0x40)
    packet_id = made.client.publish(b"out", b"one", qos=1, wait=False)
    made.pump(10)
    made = after_a_reset(made, files)
    made.broker.drop(0x40, times=2)
    made.client.connect(False)
    made.pump(10)
    assert not made.client.pending(packet_id) and made.broker.count(b"one") == 2  # acknowledged once, sent again
    assert made.client.publish(b"out", b"two", qos=1, wait=False) > packet_id
    made.pump(10)
    assert made.broker.count(b"two") == 1
    made.check()
