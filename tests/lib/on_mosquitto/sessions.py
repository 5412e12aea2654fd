# What the broker keeps for a client that is away, what it says when one is lost, and whom it lets in.

from rig import equal, raises, settle, until

from umqtt_full import LinkLost, MQTTException, TimedOut


def persistent(rig):
    """A session that is kept: no subscription is lost, what came in while away arrives once, QoS 0 does not."""
    client, inbox = rig.client()
    equal(client.connect(False), False)
    client.subscribe(rig.topic("#"), 2)
    client.disconnect()
    other, _ = rig.connected("other", inflight=16)
    for i in range(30):
        other.wait_for_room()
        other.publish(rig.topic("t"), b"%d" % i, qos=i % 2 + 1, wait=False)
    other.flush()
    births = []
    client.on_connect = births.append
    equal(client.reconnect(), True)
    other.publish(rig.topic("end"), "", qos=2)
    until(lambda: len(inbox.messages) >= 31 and inbox.messages[-1][0] == "end", client)
    equal((inbox.numbers(1), inbox.numbers(2)), (list(range(0, 30, 2)), list(range(1, 30, 2))))
    equal(len(inbox.messages), 31)
    equal(births, [True])
    inbox.clear()
    settle(rig, client)
    client.disconnect()
    # Another client object, which knows of no subscription, has the same session.
    other.publish(rig.topic("t"), "later", qos=1)
    again, again_inbox = rig.client()
    equal(again.connect(clean_session=False), True)
    until(lambda: again_inbox.messages, again)
    equal(again_inbox.messages, [("t", b"later", 1, False)])
    # A clean one ends it.
    equal(again.connect(True), False)
    again.disconnect()
    equal(again.connect(False), False)
    again.connect()
    equal(inbox.messages, [])


def clean(rig):
    """A clean session begins with nothing, but a client asks again for what it subscribed to."""
    client, inbox = rig.client()
    equal(client.connect(), False)
    client.subscribe(rig.topic("t"), 2)
    client.disconnect()
    other, _ = rig.connected("other")
    other.publish(rig.topic("t"), "while away", qos=2)
    births = []
    client.on_connect = births.append
    equal(client.connect(), False)
    equal(client.subscribe(rig.topic("end")), 0)  # its SUBACK comes after the other's
    other.publish(rig.topic("t"), "back", qos=2)
    until(lambda: inbox.messages, client)
    equal((inbox.messages, births), ([("t", b"back", 2, False)], [False]))
    new, new_inbox = rig.connected()  # takes the id over
    new.subscribe(rig.topic("end"))
    other.publish(rig.topic("t"), "nobody asked", qos=2)
    other.publish(rig.topic("end"), "")
    until(lambda: new_inbox.messages, new)
    equal(new_inbox.messages, [("end", b"", 0, False)])
    raises(LinkLost, until, lambda: False, client)
    equal(client.is_connected(), False)


def kept_while_away(rig):
    """What is published at QoS 1 and 2 without a connection goes out with the next one, in order; a clean session
    forgets it; at QoS 0 it is an error."""
    client, _ = rig.client("pub", inflight=4)
    other, inbox = rig.connected("sub")
    other.subscribe(rig.topic("#"), 2)
    ids = [client.publish(rig.topic("t"), b"%d" % i, False, i % 2 + 1, wait=False) for i in range(4)]
    equal([client.pending(i) for i in ids], [True] * 4)
    raises(LinkLost, client.publish, rig.topic("t"), "x")
    e = raises(MQTTException, client.publish, rig.topic("t"), "one too many", False, 1, wait=False)
    equal(type(e).__name__, "Full")
    equal(client.reconnect(), False)
    equal(client.flush(), True)
    until(lambda: len(inbox.messages) == 4, other)
    equal((inbox.numbers(1), inbox.numbers(2), len(inbox.messages)), ([0, 2], [1, 3], 4))
    inbox.clear()
    client.close()
    forgotten = client.publish(rig.topic("t"), "forgotten", qos=2, wait=False)
    client.connect()
    equal(client.pending(forgotten), False)
    client.publish(rig.topic("end"), "", qos=2)
    until(lambda: inbox.messages, other)
    equal(inbox.messages, [("end", b"", 2, False)])


def wills(rig):
    """The will comes when a client is lost, not when it says goodbye, and not when it was cleared."""
    watcher, inbox = rig.connected("watcher")
    watcher.subscribe(rig.topic("#"), 2)
    client, _ = rig.client("mortal")
    for qos in (0, 1, 2):
        client.set_last_will(rig.topic("will"), b"lost %d" % qos, qos == 1, qos)
        client.connect()
        client.close()
        until(lambda: inbox.messages, watcher)
        equal(inbox.messages.pop(), ("will", b"lost %d" % qos, qos, False))
    late, late_inbox = rig.connected("late")
    late.subscribe(rig.topic("will"), 2)
    until(lambda: late_inbox.messages, late)
    equal(late_inbox.messages, [("will", b"lost 1", 1, True)], "kept with RETAIN")
    watcher.publish(rig.topic("will"), "", True)
    until(lambda: inbox.messages, watcher)
    inbox.clear()

    client.connect()
    client.disconnect()
    client.set_last_will(None)  # cleared after construction
    client.connect()
    client.close()
    client.set_last_will(rig.topic("will"))  # an empty will
    client.connect()
    client.close()
    until(lambda: inbox.messages, watcher)
    equal(inbox.messages, [("will", b"", 0, False)], "of disconnect() and of the cleared will nothing comes")


def goodbye_in_the_middle(rig):
    """disconnect() is heard even while the broker is sending: no will comes, whatever was not read any more."""
    watcher, inbox = rig.connected("watcher", inflight=16)
    watcher.subscribe(rig.topic("will"), 2)
    for i in range(15):
        client, came = rig.client("mortal")
        client.set_last_will(rig.topic("will"), "round %d" % i)
        client.connect()
        client.subscribe(rig.topic("t"), 2)
        for _ in range(100):
            watcher.wait_for_room()
            watcher.publish(rig.topic("t"), "x", qos=i % 3, wait=False)
        watcher.flush()
        until(lambda came=came: len(came.messages) == 100, client)
        client.disconnect()
    watcher.publish(rig.topic("will"), "no will", qos=2)
    until(lambda: inbox.payloads()[-1:] == [b"no will"], watcher)
    equal(inbox.payloads(), [b"no will"])


def a_will_for_whom_the_broker_misses(rig):
    """Who is polled stays, idle or only receiving, for longer than 1.5 keep-alives; who is not is lost by then, and its
    will says so. (With keepalive=1 Mosquitto, which counts whole seconds, gives up after 1, not 1.5.)"""
    watcher, inbox = rig.connected("watcher")
    watcher.subscribe(rig.topic("will/+"), 1)
    idle, busy, forsaken = [rig.client(role, keepalive=2)[0] for role in ("idle", "busy", "forsaken")]
    for client in (idle, busy, forsaken):
        role = client.client_id.split("-")[1]
        client.set_last_will(rig.topic("will/" + role), role)
        client.connect()
    came = []
    busy.subscribe(rig.topic("busy"), 0, lambda m: came.append(1))

    def turn():
        watcher.publish(rig.topic("busy"), "x" * 50)
        return inbox.messages

    until(turn, watcher, idle, busy)
    equal(inbox.messages, [("will/forsaken", b"forsaken", 0, False)])
    equal(len(came) > 50, True, "how many came to the busy one")
    # They were connected before the forsaken one, and have been idle for as long. Both are still there:
    for client in (idle, busy):
        client.publish(rig.topic("still here"), "", qos=1)
    raises(OSError, until, lambda: False, forsaken)
    equal(inbox.messages, [("will/forsaken", b"forsaken", 0, False)])


def taken_over(rig):
    """A second client with the same id: the first learns that its link is gone, and can take the id back."""
    first, inbox = rig.connected("same", False)
    lost = []
    first.on_disconnect = lost.append
    first.subscribe(rig.topic("t"), 1)
    second, _ = rig.connected("same", False)
    e = raises(LinkLost, until, lambda: False, first)
    equal(lost, [e])
    raises(LinkLost, first.publish, rig.topic("t"), "x")
    equal(first.reconnect(), True)
    raises(LinkLost, until, lambda: False, second)
    first.publish(rig.topic("t"), "mine again", qos=1)
    until(lambda: inbox.messages, first)
    first.connect()


def client_ids(rig):
    """An empty client id gets a clean session, and only that; a long one is taken; bytes are as good as text."""
    from umqtt_full import MQTTClient

    client = MQTTClient("", "127.0.0.1", rig.port)
    equal(client.connect(), False)
    client.publish(rig.topic("t"), "", qos=2)
    client.disconnect()
    raises(ValueError, client.connect, False)
    raises(ValueError, client.reconnect)
    equal(client.connect(), False)
    for client_id in (rig.name.encode() + b"-bytes", rig.name + "é" * 200):
        other = MQTTClient(client_id, "127.0.0.1", rig.port)
        equal(other.connect(False), False)
        equal(other.reconnect(), True)
        equal(other.connect(), False)


def empty_password(rig):
    """Sent as such, to a broker that lets everybody in."""
    for user, password in ((rig.name, ""), (rig.name, None), ("", "")):
        client, _ = rig.client(user=user, password=password)
        client.connect()
        client.publish(rig.topic("t"), "", qos=1)
        client.disconnect()
    client, _ = rig.client(password="alone")
    raises(ValueError, client.connect)  # [MQTT-3.1.2-22]


def passwords(rig):
    """Right ones get in; wrong ones are refused by a code that has its words, and the same object may try again."""
    client, _ = rig.client(user="ann", password="right")
    client.connect()
    client.disconnect()
    for user, password in (("ann", "wrong"), ("ann", ""), ("nobody", "right"), (None, None), ("ann", None)):
        client.user, client.pswd = user, password
        e = raises(MQTTException, client.connect)
        equal(e.args[0] in (4, 5), True, repr(e))
        equal("user name" in str(e) if e.args[0] == 4 else "not authorized" in str(e), True, repr(e))
        equal(client.is_connected(), False)
        raises(LinkLost, client.publish, "t", "")
    client.user, client.pswd = b"ann", b"right"
    client.connect()
    client.publish(rig.topic("t"), "", qos=2)


def nobody_there(rig):
    """A port that refuses is a LinkLost at once; one that accepts and says nothing a TimedOut in time; a link that
    was never there is a LinkLost for every call. The object stays usable."""
    client, _ = rig.client(timeout_ms=400)
    for call in (client.poll, client.check_msg, client.wait_msg, client.ping):
        raises(LinkLost, call)
    client.disconnect()
    client.close()
    right = client.port
    client.port = rig.options["refusing"]
    raises(LinkLost, client.connect)
    client.port = rig.options["silent"]
    start = client.transport.ticks_ms()
    raises(TimedOut, client.connect)
    raises(TimedOut, client.connect, timeout_ms=300)
    raises(TimedOut, client.connect, True, 0.2)
    took = (client.transport.ticks_ms() - start) & 0x3FFFFFFF
    equal(900 <= took < 5000, True, "%d ms" % took)
    client.port = right
    client.server = "localhost"
    client.connect()
    client.publish(rig.topic("t"), "", qos=2)
