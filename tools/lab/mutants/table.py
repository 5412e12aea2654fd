"""Faults that one could make in the library, each of which the simulator must notice.

(what is wrong, file of lib/umqtt_full, the text as it is, the text with the fault). The text must be there once.
"""

MUTANTS = (
    # Sessions, with and without a journal
    (
        "a PUBLISH is sent again without DUP",
        "link.py",
        "                self.session.store.tried(slot)\n",
        "                pass\n",
    ),
    (
        "a session that the broker forgot keeps the packet ids that it received",
        "session.py",
        "            self._received = Ranges(self._received.most)\n",
        "            pass\n",
    ),
    (
        "a packet id is given out while it is in use",
        "session.py",
        "            if n not in self.store.packet_ids and n not in self.other_ids:\n",
        "            if n not in self.other_ids:\n",
    ),
    (
        "a packet id is freed early, at a reconnect",
        "session.py",
        "        store = self.store\n        self.sent = 0\n",
        "        store = self.store\n        store.packet_ids[0] = 0\n        self.sent = 0\n",
    ),
    (
        "a message is done with at PUBREC",
        "session.py",
        "                    store.release(place)\n",
        "                    store.free(store.publishes, place)\n",
    ),
    (
        "nothing is sent again after a reconnect",
        "session.py",
        "        store = self.store\n        self.sent = 0\n",
        "        store = self.store\n",
    ),
    (
        "PUBRELs are not sent again after a reconnect",
        "link.py",
        "        for slot in store.pubrels:\n",
        "        for slot in ():\n",
    ),
    (
        "what an earlier connection brought is not acknowledged before it is sent again",
        "session.py",
        "(place < self.sent or head & 8)",
        "(place < self.sent)",
    ),
    (
        "an acknowledgement before its packet was sent again counts as one of this connection",
        "session.py",
        "                if place < self.sent:\n                    self.sent -= 1\n",
        "                self.sent -= 1\n",
    ),
    (
        "a message whose callback raised is given up at once",
        "link.py",
        "            if not self._again:\n                self._again = m.qos > 0\n",
        "            if False:\n                self._again = m.qos > 0\n",
    ),
    (
        "a message whose callback raised is acknowledged, and handed over again all the same",
        "link.py",
        "                self._again = m.qos > 0\n",
        "                self._again = m.qos > 0\n                self.acknowledge(m)\n",
    ),
    (
        "a message that is handed over once more comes without DUP",
        "link.py",
        "            self.reader.message.dup = True\n",
        "",
    ),
    (
        "in memory, every packet id is new",
        "session.py",
        "        if self._received.find(message.packet_id) >= 0:\n            return False\n",
        "",
    ),
    (
        "two ids in a row leave one behind when they are released",
        "session.py",
        "                ends[i] = packet_id + 1\n                return\n",
        "                return\n",
    ),
    (
        "in memory, the packet id of a QoS 2 message that was handed over is not kept",
        "session.py",
        "        self._received.add(message.packet_id)\n",
        "",
    ),
    (
        "in memory, PUBREL does not free the packet id",
        "session.py",
        "        self._received.discard(packet_id)\n",
        "",
    ),
    # Messages of QoS 2 from the broker, with a journal
    (
        "PUBREC goes out for a message that is not kept",
        "durable.py",
        "            self.store.receive(message)\n",
        "            pass\n",
    ),
    (
        "a repeated PUBLISH is kept again",
        "durable.py",
        "        if self.store.kept(message.packet_id) < 0:\n",
        "        if True:\n",
    ),
    (
        "handed over at PUBLISH and again at PUBREL",
        "durable.py",
        "            self.store.receive(message)\n        return False\n",
        "            self.store.receive(message)\n        return True\n",
    ),
    (
        "handed over and not discarded",
        "link.py",
        "            self.count_message()\n            session.discard()\n",
        "            self.count_message()\n            return\n",
    ),
    (
        "discarded before it is handed over",
        "link.py",
        "            self.route(m)\n            self.inside",
        "            self.route(m)\n            slot = session.loaded\n            session.discard()\n"
        "            session.loaded = slot\n            self.inside",
    ),
    (
        "what no peer will release is never handed over",
        "protocol.py",
        "            self._kept_id = 0  # the next call",
        "            pass  # the next call",
    ),
    (
        "packet ids of a session that the broker forgot stay in use",
        "durable.py",
        "                self.store.orphan()\n",
        "                pass\n",
    ),
    # Flushes
    (
        "PUBREC, PUBREL and PUBCOMP go out before the flush",
        "journal.py",
        "        if self._urgent or (now and self._dirty):\n",
        "        if now and self._dirty:\n",
    ),
    (
        "publish() returns before the flush",
        "journal.py",
        '        if queue is self.publishes and self._durable == "message":\n            self._flush()\n',
        "        if queue is self.publishes:\n            pass\n",
    ),
    (
        "PUBREL goes out before the flush",
        "journal.py",
        "        self._urgent = True  # a PUBLISH again after its PUBREL would be a new one to the broker\n",
        "",
    ),
    (
        "PUBCOMP goes out before the flush",
        "journal.py",
        '        self._urgent = True\n        if self._durable == "message":\n            self._flush()\n',
        "",
    ),
    (
        "a compaction is not flushed",
        "segments.py",
        "            self._copy_live(file)\n            file.flush()\n",
        "            self._copy_live(file)\n",
    ),
    # Records and segments
    (
        "records without a checksum",
        "recovery.py",
        "        return self._get(at, 4) == self._checksum.packed()\n",
        "        return True\n",
    ),
    (
        "a snapshot is not checked for being whole",
        "recovery.py",
        "        self.whole = self.end >= self._snapshot\n",
        "        self.whole = True\n",
    ),
    (
        "the generation stays the same",
        "segments.py",
        "        self._generation += 1\n",
        "        self._generation = 1\n",
    ),
    (
        "after a compaction that was cut, records of the newer generation go into the older segment",
        "recovery.py",
        " or best is older or",
        " or",
    ),
    (
        "records behind one that is missing may come back",
        "recovery.py",
        " or best.size > best.end + 1)\n",
        ")\n",
    ),
    (
        "recovery turns the order around",
        "recovery.py",
        "    for queue, slot, packet_id, n, extra, place, head in live:\n",
        "    for queue, slot, packet_id, n, extra, place, head in reversed(live):\n",
    ),
    (
        "a message that was read back may be sent without DUP",
        "recovery.py",
        "        found.heads[slot] = head | _DUP",
        "        found.heads[slot] = head",
    ),
    (
        "released messages are not in the snapshot",
        "journal.py",
        "        for slot in self.pubrels:\n            self._record(",
        "        for slot in ():\n            self._record(",
    ),
    (
        "bodies stay where they were before a compaction",
        "journal.py",
        "                self._places[slot] = n\n",
        "",
    ),
)
