# Messages through the broker and back, at every QoS.

from rig import equal, raises, until

from umqtt_full import Full


def every_qos_both_ways(rig):
    """Published at each QoS, subscribed to at each: what comes is the lesser of the two, and all of it."""
    most = 20000
    publisher, _ = rig.connected("pub", max_packet=most)
    subscriber, inbox = rig.connected("sub", max_packet=most)
    for granted in (0, 1, 2):
        equal(subscriber.subscribe(rig.topic("#"), granted), granted)
        for qos in (0, 1, 2):
            topic = rig.topic("%d%d" % (granted, qos))
            got = min(granted, qos)
            sizes = set(_sizes(len(topic), qos, most) + _sizes(len(topic), got, most))
            for size in sorted(sizes):
                payload = _payload(size)
                if size > _sizes(len(topic), qos, most)[-1]:
                    raises(ValueError, publisher.publish, topic, payload, False, qos)
                    continue
                packet_id = publisher.publish(topic, payload, False, qos)
                equal(packet_id is None, qos == 0)
                until(lambda: inbox.messages, subscriber, topic=topic, size=size)
                topic_name, came, came_qos, retain = inbox.messages.pop()
                equal((rig.topic(topic_name), came_qos, retain), (topic, got, False))
                if came != payload:
                    raise AssertionError("payload of %d bytes came as %d, or changed" % (size, len(came)))
                equal(inbox.messages, [])
        subscriber.unsubscribe(rig.topic("#"))
    for qos in (0, 1, 2):
        topic = rig.topic("large")
        raises(ValueError, publisher.publish, topic, _payload(_sizes(len(topic), qos, most)[-1] + 1), False, qos)
    publisher.publish(rig.topic("still here"), "", False, 2)  # nothing of the refused was sent
    publisher.disconnect()
    subscriber.disconnect()


def _sizes(topic_length, qos, most):
    # Payloads of 0 and 1 byte; of both sides of each step of the remaining length (2.2.3); the largest in max_packet
    before = 2 + topic_length + (2 if qos else 0)
    return [0, 1, 127 - before, 128 - before, 16383 - before, 16384 - before, most - 4 - before]


def _payload(size):
    return bytes([i * 31 + size & 0xFF for i in range(size)])


def larger_than_the_subscriber_takes(rig):
    """A message of one byte more than max_packet is skipped and told; those behind it arrive."""
    publisher, _ = rig.connected("pub", max_packet=500)
    subscriber, inbox = rig.connected("sub", max_packet=200)
    topic = rig.topic("t")
    subscriber.subscribe(topic)
    most = 200 - 3 - 2 - len(topic)
    publisher.publish(topic, bytes(most))
    until(lambda: inbox.messages, subscriber)
    told = []
    subscriber.on_skip = lambda *what: told.append(what)
    publisher.publish(topic, bytes(most + 1))
    publisher.publish(topic, "small")
    until(lambda: len(inbox.messages) > 1, subscriber)
    equal(len(inbox.messages), 2)
    equal([one[1] for one in told], [most + 1])
    equal("max_packet" in told[0][2], True, told[0][2])


def text_and_bytes(rig):
    """Topics and payloads of every type, beyond ASCII too, arrive as what they are in UTF-8."""
    client, inbox = rig.connected()
    client.subscribe(rig.topic("#"))
    wanted = []
    for topic in ("grün", "温度", "a b", "\ufeffbom", "/", "x//y"):
        for payload in ("grün", "grün".encode(), bytearray(b"\0\xff"), memoryview(b"\0\xff\0")):
            client.publish(rig.topic(topic).encode() if len(wanted) & 1 else rig.topic(topic), payload)
            wanted.append((topic, payload.encode() if isinstance(payload, str) else bytes(payload), 0, False))
    until(lambda: len(inbox.messages) == len(wanted), client)
    equal(inbox.messages, wanted)


def retained(rig):
    """A retained message is for those who subscribe later, until an empty one clears it."""
    client, inbox = rig.connected()
    late, late_inbox = rig.connected("late")
    client.subscribe(rig.topic("#"), 2)
    for qos in (0, 1, 2):
        client.publish(rig.topic("kept"), b"%d" % qos, True, qos)
        until(lambda: len(inbox.messages) == 1, client)
        equal(inbox.messages.pop(), ("kept", b"%d" % qos, qos, False), "live, so without RETAIN [MQTT-3.3.1-9]")
        late.subscribe(rig.topic("kept"), 2)
        until(lambda: late_inbox.messages, late)
        equal(late_inbox.messages.pop(), ("kept", b"%d" % qos, qos, True))
        late.unsubscribe(rig.topic("kept"))
    client.publish(rig.topic("kept"), b"", retain=True, qos=1)  # clears it
    client.publish(rig.topic("later"), b"x", retain=True, qos=1)
    late.subscribe([rig.topic("kept"), rig.topic("later")], 1)
    until(lambda: late_inbox.messages, late)
    equal(late_inbox.messages, [("later", b"x", 1, True)])
    client.publish(rig.topic("later"), b"", True, 1)


def window(rig):
    """200 messages at QoS 1, then at QoS 2, not waited for but by flush(); 16 under way at a time."""
    publisher, _ = rig.connected("pub", inflight=16, max_packet=200)
    subscriber, inbox = rig.connected("sub")
    subscriber.subscribe(rig.topic("#"), 2)
    for qos in (1, 2):
        ids = []
        most = 0
        for i in range(200):
            publisher.wait_for_room()
            ids.append(publisher.publish(rig.topic("w"), b"%d" % i, False, qos, wait=False))
            most = max(most, publisher.session.unfinished())
        equal(publisher.flush(), True)
        equal([i for i in ids if publisher.pending(i)], [])
        equal(len(set(ids)), 200)
        equal(most, 16, "how many were under way")
        until(lambda: len(inbox.messages) == 200, subscriber)
        equal(inbox.payloads(), [b"%d" % i for i in range(200)])
        inbox.clear()


def burst_at_qos_2(rig):
    """1000 messages at QoS 2 in one go arrive exactly once, in their order, though none is released before all came."""
    publisher, _ = rig.connected("pub", inflight=32, max_packet=200)
    subscriber, inbox = rig.connected("sub")
    subscriber.subscribe(rig.topic("#"), 2)
    for i in range(1000):
        publisher.wait_for_room()
        publisher.publish(rig.topic("burst"), b"%d" % i, qos=2, wait=False)
    equal(publisher.flush(), True)
    until(lambda: len(inbox.messages) >= 1000, subscriber)
    _nothing_more(rig, publisher, subscriber, inbox)
    equal(inbox.payloads(), [b"%d" % i for i in range(1000)])


def _nothing_more(rig, publisher, subscriber, inbox):
    # What the broker had before the marker has come before it.
    publisher.publish(rig.topic("marker"), "", qos=2)
    until(lambda: inbox.messages[-1][0] == "marker", subscriber)
    inbox.messages.pop()


def answers_in_callbacks(rig):
    """500 messages at once, each answered from its callback at the options' QoS; what finds no room there is answered
    from the main loop. Every one is answered, and in order at QoS 0."""
    qos = rig.options["qos"]
    asker, answers = rig.connected("asker", inflight=16)
    node, _ = rig.connected("node", inflight=16)
    waiting = []

    def answer(m):
        payload = b"re " + bytes(m.payload)
        try:
            node.publish(rig.topic("answer"), payload, False, qos)
        except Full:
            waiting.append(payload)

    equal(node.subscribe(rig.topic("ask"), qos, answer), qos)
    asker.subscribe(rig.topic("answer"), 2)
    for i in range(500):
        asker.wait_for_room()
        asker.publish(rig.topic("ask"), b"%d" % i, qos=qos, wait=False)

    def answered():
        if waiting:  # outside the callback publish() waits for room
            node.wait_for_room()
            node.publish(rig.topic("answer"), waiting.pop(0), False, qos, wait=False)
        return len(answers.messages) == 500

    until(answered, node, asker)
    seen = [(qos, b"re %d" % i) for i in range(500)]
    equal(sorted([(m[2], m[1]) for m in answers.messages]), sorted(seen))
    if not qos:
        equal([(m[2], m[1]) for m in answers.messages], seen)
    equal((asker.is_connected(), node.is_connected(), node.flush()), (True, True, True))


def a_full_store_in_a_callback(rig):
    """A callback that lets Full escape has its message again with DUP, by which it can do otherwise: here it leaves the
    answer to the main loop. All are answered, once."""
    asker, answers = rig.connected("asker", inflight=32)
    node, _ = rig.connected("node", False, inflight=2)
    waiting = []

    def answer(m):
        try:
            node.publish(rig.topic("answer"), m.payload, False, 2)
        except Full:
            if not m.dup:
                raise
            waiting.append(bytes(m.payload))

    node.subscribe(rig.topic("ask"), 2, answer)
    asker.subscribe(rig.topic("answer"), 2)
    for i in range(60):
        asker.wait_for_room()
        asker.publish(rig.topic("ask"), b"%d" % i, qos=2, wait=False)
    equal(asker.flush(), True)
    falls = 0

    def answered():
        if waiting:
            # Full may be this call's own, or that of a callback while it waits: either way nothing was taken.
            node.wait_for_room()
            node.publish(rig.topic("answer"), waiting[0], False, 2, wait=False)
            waiting.pop(0)
        return len(answers.messages) >= 60

    while len(answers.messages) < 60:
        try:
            until(answered, node, asker)
        except Full:
            falls += 1
            equal(node.is_connected(), True)
            equal(falls <= 60, True, "it comes no further than %d of 60" % len(answers.messages))
    equal(falls > 0, True, "did the burst fill the store?")
    equal(node.flush(), True)
    equal(sorted(answers.payloads()), sorted([b"%d" % i for i in range(60)]))
    node.connect()  # leaves no session behind


def subscribing_in_callbacks(rig):
    """A callback subscribes, unsubscribes, publishes and pings; calls that wait are refused there."""
    client, inbox = rig.connected()
    refused = []

    def begin(m):
        equal(client.subscribe(rig.topic("second"), 1, second), None)
        client.ping()
        for wait in (client.poll, client.check_msg, client.wait_msg, client.flush, client.connect, client.disconnect):
            refused.append(raises(RuntimeError, wait))
        equal(client.publish(rig.topic("second"), "from the callback", qos=1) > 0, True)

    def second(m):
        inbox.take(m)
        client.unsubscribe(rig.topic("second"))
        client.publish(rig.topic("second"), "nobody hears this", qos=1)
        client.publish(rig.topic("third"), "the end", qos=2)

    client.subscribe(rig.topic("first"), 1, begin)
    client.subscribe(rig.topic("third"), 2)
    client.publish(rig.topic("first"), "", qos=1)
    until(lambda: len(inbox.messages) == 2, client)
    equal(inbox.messages, [("second", b"from the callback", 1, False), ("third", b"the end", 2, False)])
    equal(len(refused), 6)


def first_subscribe_then_publish(rig):
    """In a callback, on_connect too, they go out in the order of the calls, at every QoS: what is asked for after the
    SUBSCRIBE finds its answer subscribed to."""
    for qos in (2, 1, 0):
        client, inbox = rig.client("%d" % qos)

        def born(session_present, client=client, qos=qos):
            client.subscribe(rig.topic("%d" % qos), qos)
            client.publish(rig.topic("%d" % qos), "", False, qos)

        client.on_connect = born
        client.connect()
        client.subscribe(rig.topic("end"))
        client.publish(rig.topic("end"), "", qos=2)
        until(lambda inbox=inbox: ("end", b"", 0, False) in inbox.messages, client)
        equal(inbox.messages[0], ("%d" % qos, b"", qos, False))
        client.disconnect()


def a_callback_that_raises(rig):
    """Its exception reaches the caller, the link stays up, and the callback has the message again with DUP set."""
    qos = rig.options["qos"]
    client, inbox = rig.connected("raises", False)
    other, _ = rig.connected("other")

    def poison(m):
        inbox.take(m)
        if not m.dup:
            raise KeyError("poison")

    client.subscribe(rig.topic("t"), qos, poison)
    other.publish(rig.topic("t"), "p", qos=2)
    raises(KeyError, until, lambda: False, client)
    equal(client.is_connected(), True)
    until(lambda: len(inbox.messages) == 2, client)
    equal((inbox.messages, inbox.again), ([("t", b"p", qos, False)] * 2, 1))
    client.connect()


def echo(rig):
    """Say "ready", then answer what comes on in/# on out/# at its QoS and with its RETAIN, until in/end comes."""
    client, inbox = rig.connected(max_packet=20000, inflight=16)
    equal(client.subscribe(rig.topic("in/#"), 2), 2)
    rig.say("ready")
    came = 0
    while True:
        until(lambda: inbox.messages, client, came=came)
        topic, payload, qos, retain = inbox.messages.pop(0)
        if topic == "in/end":
            break
        came += 1
        client.wait_for_room()
        client.publish(rig.topic("out" + topic[2:]), payload, retain, qos, wait=False)
    client.publish(rig.topic("out/end"), "%d" % came, qos=2)
    client.flush()
    client.disconnect()
