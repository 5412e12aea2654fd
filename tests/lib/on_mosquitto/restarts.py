# The broker goes away and comes back, while messages are under way. It keeps its sessions (persistence).

from rig import equal, raises, settle, until

from umqtt_full.robust import MQTTClient as RobustClient


def _robust(rig, role, **parameters):
    client, inbox = rig.client(role, RobustClient, **parameters)
    client.DELAY = 1
    client.delay = lambda i: client.transport.wait(20)
    return client, inbox


def in_flight(rig):
    """The broker restarts while messages stream from the publisher and lie unread at the subscriber. Both reconnect by
    themselves: nothing is lost, QoS 2 is not doubled, and at each QoS the order of first arrivals holds."""
    publisher, subscriber, inbox, lost = _pair(rig)
    unread = []
    subscriber.on_disconnect = unread.append
    sent = 0
    for restart in range(5):
        for _ in range(20):
            _publish(rig, publisher, sent)
            sent += 1
        until(lambda sent=sent: len(set(inbox.payloads())) == sent, publisher, subscriber)
        settle(rig, subscriber)
        rig.say("restart")
        while len(lost) == restart:
            _publish(rig, publisher, sent)
            sent += 1
        until(lambda restart=restart: len(unread) > restart, publisher, subscriber)
    rig.say("enough")
    equal(publisher.flush(), True)
    until(lambda: len(set(inbox.payloads())) == sent, subscriber)
    _marker(rig, publisher, subscriber, inbox)
    equal(inbox.numbers(2), list(range(1, sent, 2)), "QoS 2: once each")
    equal(_firsts(inbox.numbers(1)), list(range(0, sent, 2)), "QoS 1: all of them")
    equal(publisher.session.counts.maybe_doubled, 0)


def acknowledging(rig):
    """The same, with acknowledgements under way between subscriber and broker. Says the packet ids of messages of QoS 2
    that were doubled."""
    publisher, subscriber, inbox, lost = _pair(rig)
    ids = {}
    doubled = []

    def take(m):
        inbox.take(m)
        if m.qos == 2:
            payload = bytes(m.payload)
            if payload in ids:
                doubled.append(ids[payload])
            ids[payload] = m.packet_id

    subscriber.on_message = take
    sent = 0
    for restart in range(5):
        while sent < 100 * (restart + 1):
            _publish(rig, publisher, sent)
            sent += 1
            if sent % 4 == 0:
                subscriber.poll(0)
        rig.say("restart")
        until(lambda restart=restart: len(lost) > restart, publisher)
        until(subscriber.is_connected, subscriber)
    rig.say("enough")
    equal(publisher.flush(), True)
    until(lambda: len(set(inbox.payloads())) == sent, subscriber)
    _marker(rig, publisher, subscriber, inbox)
    equal(_firsts(inbox.numbers(2)), list(range(1, sent, 2)), "QoS 2: all of them")
    equal(_firsts(inbox.numbers(1)), list(range(0, sent, 2)), "QoS 1: all of them")
    rig.say("doubled")
    rig.say(str(doubled))


def _pair(rig):
    # A publisher and a subscriber that keep their sessions, the subscriber's inbox, the errors of the publisher's link
    publisher, _ = _robust(rig, "pub", inflight=16, max_packet=200)
    subscriber, inbox = _robust(rig, "sub")
    lost = []
    publisher.on_disconnect = lost.append
    publisher.connect(False)
    subscriber.connect(False)
    subscriber.subscribe(rig.topic("#"), 2)
    return publisher, subscriber, inbox, lost


def _publish(rig, publisher, i):
    publisher.wait_for_room()
    publisher.publish(rig.topic("t"), b"%d" % i, qos=i % 2 + 1, wait=False)


def _marker(rig, publisher, subscriber, inbox):
    # What the broker sends before it has come when it has.
    publisher.publish(rig.topic("end"), "", qos=2)
    until(lambda: inbox.messages[-1][0] == "end", subscriber)


def _firsts(numbers):
    seen = set()
    return [n for n in numbers if not (n in seen or seen.add(n))]


def offline_queue(rig):
    """What the broker held for a subscriber that was away outlives its restart, and arrives once; so does a retained
    message, and what the publisher could not send meanwhile."""
    subscriber, inbox = rig.client("sub")
    publisher, _ = rig.client("pub", inflight=16)
    subscriber.connect(False)
    subscriber.subscribe(rig.topic("#"), 2)
    subscriber.disconnect()
    publisher.connect(False)
    for i in range(40):
        publisher.wait_for_room()
        publisher.publish(rig.topic("t"), b"%d" % i, i == 0, i % 2 + 1, wait=False)
    equal(publisher.flush(), True)
    rig.say("stop")
    rig.hear()
    raises(OSError, until, lambda: False, publisher)
    ids = [publisher.publish(rig.topic("t"), b"%d" % i, False, i % 2 + 1, wait=False) for i in range(40, 50)]
    raises(OSError, publisher.connect, False)
    equal(publisher.flush(0) if publisher.is_connected() else False, False)
    rig.say("start")
    rig.hear()
    equal(publisher.reconnect(), True)
    equal((publisher.flush(), [i for i in ids if publisher.pending(i)]), (True, []))
    equal(subscriber.reconnect(), True)
    publisher.publish(rig.topic("end"), "", qos=2)
    until(lambda: inbox.messages and inbox.messages[-1][0] == "end", subscriber)
    equal((inbox.numbers(1), inbox.numbers(2)), (list(range(0, 50, 2)), list(range(1, 50, 2))))
    equal(len(inbox.messages), 51)
    late, late_inbox = rig.connected("late")
    late.subscribe(rig.topic("t"), 1)
    until(lambda: late_inbox.messages, late)
    equal(late_inbox.messages, [("t", b"0", 1, True)])


def robust_calls(rig):
    """Every call of the robust client that meets a lost link reconnects and does what it was asked to do, and no
    subscription is lost, though the broker forgot the session."""
    client, inbox = rig.client("robust", RobustClient)
    other, other_inbox = rig.client("other")
    other.subscribe([rig.topic("out"), rig.topic("more")], 2)
    logged = []
    client.log = lambda in_reconnect, e: logged.append(in_reconnect)

    def delay(i):
        if i == 1:
            rig.say("start")
            rig.hear()

    client.delay = delay
    client.connect()
    client.subscribe(rig.topic("in"), 1)
    calls = (
        lambda: client.publish(rig.topic("out"), "1", retain=True, qos=1),
        lambda: client.publish(rig.topic("out"), "2", retain=True, qos=2),
        lambda: client.subscribe(rig.topic("more"), 2),
        lambda: client.unsubscribe(rig.topic("more")),
        client.check_msg,
        lambda: client.wait_msg(100),
        lambda: client.poll(100),
        lambda: client.publish(rig.topic("more"), "", qos=1, wait=False) and client.flush(),
    )
    for n, call in enumerate(calls):
        rig.say("stop")
        rig.hear()
        equal(client.is_connected(), True, "it cannot know yet")
        call()
        equal(client.is_connected(), True)
        equal(logged, [False, True], n)
        logged.clear()
        other.connect()
        if n < 2:
            until(lambda: other_inbox.messages, other)
            equal(other_inbox.messages, [("out", b"%d" % (n + 1), n + 1, True)])
            other.publish(rig.topic("out"), "", True)
        other.publish(rig.topic("in"), "hello", qos=1)
        until(lambda: inbox.messages, client, call=n)
        equal(inbox.messages, [("in", b"hello", 1, False)])
        inbox.clear()
        other.disconnect()
        other_inbox.clear()
    client.disconnect()
    rig.say("enough")
