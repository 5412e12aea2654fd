# The texts of repr(): the state of an object, and never a secret. Loaded when a repr is asked for.


def repr_text(x):
    """The text of repr(x), x being a client, a message, a subscription, a session or its counts."""
    name = type(x).__name__
    if hasattr(x, "session"):
        link = "connected" if x.is_connected() else "not connected (%s)" % x._error
        who = x.client_id if isinstance(x.client_id, str) else bytes(x.client_id).decode()
        port = x.port or (8883 if x.ssl else 1883)
        counts = len(x._protocol.subscriptions), x.session.unfinished()
        return "<%s %s at %s:%d: %s, %d subscriptions, %d unfinished>" % ((name, who, x.server, port, link) + counts)
    if hasattr(x, "payload"):
        kind = ", retained" if x.retain else ""
        if x.dup:
            kind += ", again"
        size = len(x.payload)
        start = "%r, " % bytes(x.payload) if size <= 32 else ""
        return "<%s %s: %s%d bytes, QoS %d%s>" % (name, bytes(x.topic_name).decode(), start, size, x.qos, kind)
    if hasattr(x, "granted"):
        states = "not granted yet", "asked for", "QoS %s granted" % x.granted, "to be left", "left"
        return "<%s %s: QoS %d, %s>" % (name, x.topic_filter.decode(), x.qos, states[x.state])
    if hasattr(x, "stray_acks"):
        return "<%s: %s>" % (name, ", ".join(["%s %d" % one for one in x.__dict__.items()]))
    waiting = len(x.store.publishes), len(x.store.pubrels)
    return "<%s: %d messages to be acknowledged, %d to be completed>" % ((name,) + waiting)
