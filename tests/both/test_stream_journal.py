"""Streams whose client keeps its promises in a journal: both ways over resets of the node."""

import os

from effort import sample
from emulated_rig import raises
from emulation.broker import Broker
from emulation.clock import Clock, Failure
from emulation.link import Emulated, Plan
from emulation.packets import PUBCOMP, PUBLISH, PUBREC, PUBREL, publish_packet
from streaming import Folder, Inbox, Source, files_in, payload, write_file
from umqtt_full import Full, LinkLost, MQTTClient, ProtocolError, TimedOut
from umqtt_full.journal import Journal
from umqtt_full.stream import StreamError, Streams


class Node:
    """A broker that stays, and a node that can be reset: its files stay, everything else is new."""

    def __init__(self, qos=2, into_files=True, plans=(), **journal):
        self.clock = Clock()
        self.broker = Broker(self.clock)
        self._folder = Folder()
        self._plans = plans
        self._into_files = into_files
        self.qos = qos
        self.options = dict({"size": 128, "slots": 4, "received": 3}, **journal)
        self.inbox = Inbox()
        self.journal = self.t = None
        self.transports = []
        self.small = []

    def __enter__(self):
        self.folder = self._folder.__enter__()
        self.inbound = self.folder + "/in" if self._into_files else None
        if self._into_files:
            os.mkdir(self.inbound)
        self.boot(plans=self._plans)
        return self

    def __exit__(self, *_):
        self.t.close()
        self.journal.close()
        self._folder.__exit__()

    def boot(self, with_streams=True, plans=()):
        if self.t:
            self.t.close()
            self.journal.close()
        self.journal = Journal(self.folder + "/journal", **self.options)
        if self.journal.report:
            raise Failure(self.journal.report)
        self.t = Emulated(self.broker, clock=self.clock, plans=plans)
        self.transports.append(self.t)
        self.client = MQTTClient(
            b"me", "broker", transport=self.t, store=self.journal, max_packet=64, chunk=16, timeout_ms=3000
        )
        self.inbox._got = None  # it went with the reset
        self.client.on_message = lambda m: self.small.append((bytes(m.topic_name), bytes(m.payload)))
        if with_streams:
            self.streams = Streams(self.client, 16)
            self.streams.subscribe("in/+", self.inbox, self.qos, self.inbound)

    def connect(self):
        self.client.connect(False)
        self.pump(1)

    def pump(self, ms):
        end = self.clock.now + ms
        while self.client.poll(0):
            pass
        while self.clock.now < end:
            self.client.poll(end - self.clock.now)

    def path(self, data):
        return write_file(self.folder + "/source", data)

    def check(self, all_happened=True):
        self.broker.check(all_happened)
        for t in self.transports:
            t.check(all_happened)


def _taken(node):
    return [one[1] for one in node.broker.taken]


# Out


def test_a_streamed_message_survives_resets():
    data = payload(300)
    for qos in (1, 2):
        with Node() as node:
            node.client.publish("out", b"first", qos=qos, wait=False)
            packet_id = node.streams.publish("out", node.path(data), qos=qos, wait=False)
            node.client.publish("out", b"last", qos=qos, wait=False)
            node.boot()
            assert node.client.pending(packet_id)
            node.boot()
            node.connect()
            assert node.client.flush()
            assert _taken(node) == [b"first", data, b"last"]
            node.check()


def test_a_reset_at_every_byte():
    data = payload(70)
    for qos in (1, 2):
        for at in [14 + n for n in sample(90, 7)]:
            with Node(into_files=False, plans=[Plan(cut_out=at)]) as node:
                node.client.publish("out", b"first", qos=qos, wait=False)
                packet_id = node.streams.publish("out", node.path(data), qos=qos, wait=False)
                try:
                    node.connect()
                    node.client.flush()
                except LinkLost:
                    node.boot()
                    node.connect()
                    assert node.client.flush()
                assert not node.client.pending(packet_id)
                assert node.broker.count(data) == 1 or (qos == 1 and node.broker.count(data) == 2)
                if qos == 2:
                    assert _taken(node) == [b"first", data]
                node.check()


def test_only_what_is_there_after_a_reset_is_taken():
    with Node() as node:
        for qos in (1, 2):
            failed = raises(ValueError, node.streams.publish, "out", Source(b"12345"), 5, qos=qos)
            assert "path" in str(failed)
        failed = raises(ValueError, node.streams.publish, "out", write_file(node.folder + "/" + "x" * 124, b"1"), qos=1)
        assert "255" in str(failed) and "size" in str(failed)
        node.connect()
        data = payload(300)
        node.streams.publish("out", Source(data), 300)
        node.streams.publish("out", node.path(data))
        assert _taken(node) == [data] * 2
        for _ in range(4):
            node.streams.publish("out", node.folder + "/source", qos=1, wait=False)
            node.client.close()
        raises(Full, node.streams.publish, "out", node.folder + "/source", qos=1)
        node.check()


def test_compaction_keeps_its_path():
    data = payload(300)
    with Node() as node:
        node.connect()
        node.broker.ignore(PUBLISH)
        packet_id = node.streams.publish("out", node.path(data), qos=2, wait=False)
        node.pump(1)
        for _ in range(200):
            node.client.publish("other", b"x" * 40, qos=1)
        assert node.client.pending(packet_id)
        node.boot()
        node.connect()
        assert node.client.flush()
        assert node.broker.count(data) == 1
        node.check()


def test_a_source_that_is_gone_after_a_reset():
    data = payload(300)
    with Node() as node:
        path = node.path(data)
        node.streams.publish("out", path, qos=1, wait=False)
        os.remove(path)
        node.boot()
        for _ in range(2):
            assert path in str(raises(StreamError, node.connect))
        node.path(data)
        node.connect()
        assert node.client.flush() and _taken(node) == [data]
        node.streams.publish("out", path, qos=1)
        os.remove(path)
        node.check()


def test_a_journal_with_a_streamed_message_needs_streams():
    with Node() as node:
        node.streams.publish("out", node.path(payload(300)), qos=1, wait=False)
        node.boot(with_streams=False)
        failed = raises(RuntimeError, lambda: (node.connect(), node.client.flush()))
        assert "Streams" in str(failed) and not node.broker.taken


# In


def test_a_file_survives_a_reset_before_its_pubrel():
    for n in (300, 3):
        with Node() as node:
            node.connect()
            node.broker.drop(PUBREL)
            node.broker.publish(b"in/x", payload(n), 2)
            node.pump(10)
            assert not node.inbox.parts and len(files_in(node.inbound)) == (n > 64)
            node.boot()
            assert len(files_in(node.inbound)) == (n > 64)
            node.connect()
            node.pump(10)
            assert [one[:3] for one in node.inbox.messages] == [(b"in/x", payload(n), 2)]
            assert not files_in(node.inbound) and not node.journal.arrived
            node.boot()
            node.connect()
            assert len(node.inbox.messages) == 1
            node.check()


def test_a_message_whose_pubrec_was_lost_with_a_reset():
    with Node() as node:
        node.connect()
        node.broker.ignore(PUBREC)
        node.broker.publish(b"in/x", payload(300), 2)
        node.pump(10)
        node.boot()
        node.broker.drop(PUBREL)
        node.connect()
        node.pump(10)
        assert len(node.journal.arrived) == 1 and not node.inbox.parts
        node.client.close()
        node.connect()
        node.pump(10)
        assert node.inbox.payloads() == [payload(300)]
        node.check()


def test_dup_says_whether_a_handler_may_have_had_it():
    with Node() as node:
        node.connect()
        node.broker.publish(b"in/x", payload(300), 2)
        node.pump(10)
        assert not node.inbox.messages.pop()[4]
        node.broker.drop(PUBREL)
        node.broker.publish(b"in/x", payload(301), 2)
        node.pump(10)
        node.client.close()
        # To subscribe again looks at the files that are kept, which is not to have them handed over.
        node.streams.subscribe("in/+", node.inbox, 2, node.inbound)
        node.connect()
        node.pump(10)
        assert [(one[1], one[4]) for one in node.inbox.messages] == [(payload(301), False)]
        node.inbox.raises = node.inbox.parts
        node.broker.publish(b"in/x", payload(302), 2)
        raises(ValueError, node.pump, 10)
        node.connect()
        node.pump(10)
        assert (node.inbox.messages[1][1], node.inbox.messages[1][4]) == (payload(302), True)
        node.check()


def test_what_a_handler_renamed_is_not_handed_over_again():
    with Node() as node:
        node.connect()

        def rename(part):
            os.rename(part.file, node.folder + "/mine")
            raise ValueError("and here the power goes")

        node.inbox.on_part = rename
        node.broker.publish(b"in/x", payload(300), 2)
        raises(ValueError, node.pump, 10)
        node.boot()
        node.connect()
        node.pump(10)
        assert node.inbox.parts == 1 and "mine" in files_in(node.folder) and not node.journal.arrived
        assert not node.broker.sessions[b"me"].outgoing
        node.check()


def test_a_reset_at_every_byte_of_what_comes_in():
    """Each message once, in its order, whatever has been lost when; no file is left."""
    lost_links = 0
    for n in (70, 20):
        for at in sample(150, 7)[1:]:
            with Node(plans=[Plan(cut_in=at)]) as node:
                lost = False
                try:
                    node.connect()
                    for i in range(2):
                        node.broker.publish(b"in/x", payload(n, i), 2)
                    node.pump(10)
                except LinkLost:
                    lost = True
                    node.boot()
                    node.connect()
                    node.pump(10)
                assert not node.broker.sessions[b"me"].outgoing
                assert not node.journal.arrived and not files_in(node.inbound)
                count = len(node.inbox.messages)
                assert node.inbox.payloads() == [payload(n, i) for i in range(count)]
                assert count == 2 or lost
                lost_links += lost
                node.check(all_happened=False)  # the short messages end earlier
    assert lost_links > len(sample(150, 7)), lost_links


def test_more_unreleased_than_the_journal_takes():
    with Node() as node:
        node.connect()
        node.broker.drop(PUBREL, 3)
        for i in range(3):
            node.broker.publish(b"in/x", payload(300, i), 2)
        node.pump(10)
        node.broker.publish(b"in/x", payload(300, 3), 2)
        assert "received=3" in str(raises(ProtocolError, node.pump, 10))
        assert len(files_in(node.inbound)) == 3
        node.connect()
        node.pump(10)
        assert node.inbox.payloads() == [payload(300, i) for i in range(4)]
        node.check()


def test_a_session_that_is_no_more_releases_all():
    with Node() as node:
        node.connect()
        node.broker.drop(PUBREL, 3)
        for n in (300, 30, 301):
            node.broker.publish(b"in/x", payload(n), 2)
        node.pump(10)
        node.broker.forget()
        node.boot()
        node.connect()
        assert node.inbox.payloads() == [payload(300), payload(30), payload(301)]
        assert {one[5] for one in node.inbox.messages} == {0}
        assert not files_in(node.inbound) and not node.journal.arrived
        node.check()


def test_a_clean_session_forgets_files():
    with Node() as node:
        node.connect()
        node.broker.drop(PUBREL)
        node.broker.publish(b"in/x", payload(300), 2)
        node.pump(10)
        assert len(files_in(node.inbound)) == 1
        node.client.connect(discard=True)
        node.pump(10)
        assert not node.inbox.parts and not files_in(node.inbound)


def test_leftovers_go_and_what_is_kept_stays():
    with Node() as node:
        node.connect()
        node.broker.drop(PUBREL)
        node.broker.publish(b"in/x", payload(300), 2)
        node.pump(10)
        write_file(node.folder + "/in/umqtt-99.in", b"cut off")
        write_file(node.folder + "/in/mine", b"")
        node.boot()
        left = files_in(node.inbound)
        assert len(left) == 2 and "mine" in left and "umqtt-99.in" not in left
        node.connect()
        node.pump(10)
        assert node.inbox.payloads() == [payload(300)]


def test_without_a_folder_parts_come_at_once():
    with Node(into_files=False) as node:
        node.connect()
        for n in (300, 30):
            node.broker.drop(PUBREL)
            node.broker.publish(b"in/x", payload(n), 2)
            node.pump(10)
            assert len(node.inbox.messages) == (n > 64)
            again = publish_packet(b"in/x", payload(n), 2, False, True, node.broker.sessions[b"me"].last_id)
            node.broker.drop(PUBREL)
            node.broker.expect_answer(again)
            node.t.wire.send(again)
            node.pump(10)
            node.client.close()
            node.connect()
            node.pump(10)
            assert node.inbox.payloads() == [payload(n)]
            node.inbox.messages.clear()
        # Their ids are free again.
        for i in range(40):
            node.broker.sessions[b"me"].last_id = 0
            node.broker.publish(b"in/x", payload(300, i), 2)
            node.pump(10)
        assert node.inbox.payloads() == [payload(300, i) for i in range(40)]
        node.check()


def test_ordinary_messages_are_kept_as_ever():
    with Node(received=8) as node:
        node.client.subscribe("small", 2)
        node.connect()
        node.broker.publish(b"small", b"1", 2)
        node.broker.publish(b"in/x", payload(300), 2)
        node.broker.publish(b"small", b"2", 2)
        node.broker.publish(b"in/x", b"tiny", 2)
        node.pump(10)
        assert node.small == [(b"small", b"1"), (b"small", b"2")]
        assert node.inbox.payloads() == [payload(300), b"tiny"]
        answers = [head for head, _ in node.broker.heard if head & 0xF0 in (PUBREC, PUBCOMP)]
        assert answers.count(PUBREC) == answers.count(PUBCOMP) == 4
        node.check()


def test_silence_in_the_middle_of_a_file():
    with Node() as node:
        node.client.keepalive = 10
        node.connect()
        node.t.wire.plan = Plan(mute_in=node.t.wire.arrived() + 200)
        node.broker.publish(b"in/x", payload(500), 2)
        raises(TimedOut, node.pump, 15000)
        assert not files_in(node.inbound) and not node.inbox.parts
        node.connect()
        node.pump(10)
        assert node.inbox.payloads() == [payload(500)]
