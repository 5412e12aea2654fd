# TLS: whom a client trusts, what it says when it does not, and a peer that stops reading for a while.

import socket
import sys

from rig import Inbox, equal, raises, until

from umqtt_full import LinkLost, MQTTClient, TimedOut
from umqtt_full.robust import MQTTClient as RobustClient

MICROPYTHON = sys.implementation.name == "micropython"


def _ca(rig, name="ca"):
    with open(rig.options[name], "rb") as f:
        return f.read()


def _fresh_context(cadata=None):
    # The 32-bit build has no module ssl, but what that is made of.
    try:
        import ssl
    except ImportError:
        import tls

        made = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
        if cadata:
            made.load_verify_locations(cadata)
        return made
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if cadata:
        made.load_verify_locations(cadata=cadata)
    return made


def _context(cadata):
    # As a user has to make one: that of MicroPython's ssl checks nothing until it is told to.
    made = _fresh_context(cadata)
    made.verify_mode = 2
    return made


def _client(rig, ssl, ssl_params={}, host="localhost", make=MQTTClient, **more):
    client = make(rig.name, host, rig.port, user="ann", password="secret", ssl=ssl, ssl_params=ssl_params, **more)
    inbox = Inbox(rig.name)
    client.on_message = inbox.take
    return client, inbox


def good(rig):
    """A certificate of that CA, for that name: by a context, or by True and the CA; by name and by address. Messages
    at every QoS, small ones, and some of several TLS records."""
    ca = _ca(rig)
    for host in ("localhost", "127.0.0.1"):
        for ssl, ssl_params in ((_context(ca), {}), (True, {"cadata": ca})):
            client, inbox = _client(rig, ssl, ssl_params, host, max_packet=20000, chunk=300)
            equal(client.connect(False), False)
            client.subscribe(rig.topic("#"), 2)
            wanted = []
            for qos in (0, 1, 2):
                for size in (0, 1, 300, 16300, 19900):
                    payload = (bytes(range(251)) * 200)[:size]
                    client.publish(rig.topic("t"), payload, False, qos)
                    wanted.append(("t", payload, qos, False))
                    until(lambda inbox=inbox, wanted=wanted: len(inbox.messages) == len(wanted), client)
            equal(inbox.messages == wanted, True)
            client.close()
            equal(client.reconnect(), True)  # the same context serves again
            equal(client.connect(), False)
            client.disconnect()


def wrong_ca(rig):
    """A certificate that another CA signed is refused, in words, before anything is sent through the link."""
    other = _ca(rig, "other_ca")
    for ssl, ssl_params in ((_context(other), {}), (True, {"cadata": other})):
        client, _ = _client(rig, ssl, ssl_params)
        _refused(client, "ca" if MICROPYTHON else "issuer")
    client, _ = _client(rig, True, {"cadata": _ca(rig)})  # and with the right one it does work
    client.connect()
    client.disconnect()


def wrong_name(rig):
    """A certificate for another host is refused, unless that is the name that is asked for. Only CERT_NONE, said
    explicitly, asks for none."""
    ca = _ca(rig)
    for host in ("localhost", "127.0.0.1"):
        for ssl, ssl_params in ((_context(ca), {}), (True, {"cadata": ca})):
            client, _ = _client(rig, ssl, ssl_params, host)
            _refused(client, "match" if MICROPYTHON else "not valid for")
    for ssl, ssl_params in ((_context(ca), {}), (True, {"cadata": ca})):
        client, _ = _client(rig, ssl, dict(ssl_params, server_hostname="elsewhere.example"))
        client.connect()
        client.publish(rig.topic("t"), "", qos=2)
        client.disconnect()


def _refused(client, word):
    born = []
    client.on_connect = born.append
    for _ in range(2):
        e = raises(LinkLost, client.connect)
        equal("TLS: " in str(e) and word in str(e).lower(), True, str(e))
        equal("\n" in str(e), False, "one line: %r" % str(e))
        equal((client.is_connected(), born), (False, []))


def unverified(rig):
    """No certificate is taken on trust unless the caller says CERT_NONE, in ssl_params or in a context."""
    none = _fresh_context()
    if hasattr(none, "check_hostname"):
        none.check_hostname = False
    none.verify_mode = 0
    explicit = {"cert_reqs": 0}
    for ssl, ssl_params in ((True, explicit), (True, dict(explicit, server_hostname="any")), (none, explicit)):
        client, _ = _client(rig, ssl, ssl_params)
        client.connect()
        client.publish(rig.topic("t"), "", qos=2)
        client.disconnect()
    for ssl_params in ({}, {"server_hostname": "localhost"}, {"cert_reqs": 2}):
        client, _ = _client(rig, True, ssl_params)
        if MICROPYTHON:  # it has no roots of its own
            e = raises(ValueError, client.connect)
            equal("SSLContext" in str(e) and "cadata" in str(e) and "DER" in str(e), True, str(e))
        else:
            _refused(client, "issuer")


def fresh_context(rig):
    """A context as SSLContext() makes it, which on MicroPython checks nothing, connects to nobody whom it cannot check:
    without a CA to nobody, with one to none of another CA."""
    for cadata in (None, _ca(rig, "other_ca")):
        client, _ = _client(rig, _fresh_context(cadata))
        raises((LinkLost, ValueError), client.connect)
        equal(client.is_connected(), False)


def wrong_parameters(rig):
    """ssl_params that cannot serve are a ValueError that names them; a CA in PEM, where only DER is read, too."""
    words = str(raises(ValueError, _client, rig, True, {"cafile": "ca.pem"}))
    equal("cafile" in words and "cadata" in words, True, words)
    client, _ = _client(rig, True, {"cadata": b"junk"})
    equal("cadata" in str(raises(ValueError, client.connect)), True)
    pem = _ca(rig, "ca_pem")
    client, _ = _client(rig, True, {"cadata": pem if MICROPYTHON else pem.decode()})
    try:
        client.connect()  # CPython takes PEM as text, and some builds of MicroPython take it
    except ValueError as e:
        equal(MICROPYTHON and "cadata" in str(e) and "DER" in str(e), True, str(e))


def client_certificate(rig):
    """A broker that asks for one gets it: DER on MicroPython, file names on CPython."""
    suffix = "_der" if MICROPYTHON else "_pem"
    key, cert = rig.options["key" + suffix], rig.options["cert" + suffix]
    if MICROPYTHON:
        key, cert = [open(name, "rb").read() for name in (key, cert)]
    client, inbox = _client(rig, True, {"cadata": _ca(rig), "key": key, "cert": cert})
    client.connect()
    client.subscribe(rig.topic("t"), 1)
    client.publish(rig.topic("t"), "known", qos=1)
    until(lambda: inbox.messages, client)
    client.disconnect()
    client, _ = _client(rig, True, {"cadata": _ca(rig)})
    raises(LinkLost, client.connect)


def unset_clock(rig):
    """While the clock says 2000 no certificate can be valid: the error says so, and what to do."""

    class Clock:
        def gmtime(self):
            return (2000, 1, 1, 0, 0, 0, 5, 1)

    client, _ = _client(rig, True, {"cadata": _ca(rig)})
    client.connect()  # loads the module
    client.disconnect()
    secure = sys.modules["umqtt_full.secure"]
    was = secure.time
    secure.time = Clock()
    client, _ = _client(rig, True, {"cadata": _ca(rig, "other_ca")})
    e = raises(LinkLost, client.connect)
    equal("clock says 2000" in str(e) and "NTP" in str(e), True, str(e))
    secure.time = was
    e = raises(LinkLost, client.connect)
    equal("clock" in str(e), False, str(e))


def not_tls(rig):
    """A broker without TLS, one that talks nonsense, one that hangs up: LinkLost; one that says nothing: TimedOut. And
    a plain client at a TLS port is told as well. All within the time."""
    ca = _ca(rig)
    right = rig.port
    for ssl, end, error in (
        (_context(ca), "plain", LinkLost),
        (_context(ca), "nonsense", LinkLost),
        (_context(ca), "closing", LinkLost),
        (_context(ca), "silent", TimedOut),
        (None, "tls", OSError),
    ):
        client, _ = _client(rig, ssl, timeout_ms=500)
        client.port = rig.options[end]
        start = client.transport.ticks_ms()
        e = raises(error, client.connect)
        took = (client.transport.ticks_ms() - start) & 0x3FFFFFFF
        equal(took < 3000, True, "%s: %d ms" % (end, took))
        equal(error is not TimedOut or took >= 450, True, "%s: %d ms" % (end, took))
        equal(len(str(e)) > 15 and "\n" not in str(e), True, "%s: %r" % (end, str(e)))
        client.port = right
        client.ssl = _context(ca)
        client.connect(timeout_ms=10000)  # the object stays usable
        client.disconnect()


def restart(rig):
    """The robust client over TLS comes back by itself when the broker does."""
    client, inbox = _client(rig, _context(_ca(rig)), make=RobustClient)

    def delay(i):
        if i == 1:
            rig.say("start")
            rig.hear()

    client.delay = delay
    client.connect()
    client.subscribe(rig.topic("t"), 2)
    rig.say("stop")
    rig.hear()
    client.publish(rig.topic("t"), "after", qos=2)
    until(lambda: inbox.messages, client)
    equal(inbox.messages, [("t", b"after", 2, False)])
    client.disconnect()


# The other end of these two is not a broker but the test itself.


def at_once(rig):
    """A hundred messages in one TLS record, which is read in small pieces: none waits for more to come."""
    client, inbox = _to_the_test(rig, chunk=16)
    client.connect()
    while len(inbox.messages) < 100:
        equal(client.wait_msg(timeout_ms=2000) is None, False, "message %d lies unread" % len(inbox.messages))
    equal(inbox.payloads(), [b"%d" % i for i in range(100)])
    client.disconnect()


def stopping_peer(rig):
    """Publish to a peer that stops reading now and then, and sends messages meanwhile, whose acknowledgements must find
    their place between the others'. Says "blocked" whenever it waits for room."""
    client, inbox = _to_the_test(rig, max_packet=2000)
    _little_room(client)
    wait = client.transport.wait

    def noted(ms, for_write=False, for_read=True):
        if for_write:
            rig.say("blocked")
        wait(ms, for_write, for_read)

    client.transport.wait = noted
    client.connect()
    pattern = bytes(range(256)) * 8
    for i in range(rig.options["count"]):
        client.publish("t/%d" % (i % 7), pattern[i % 251 : i % 251 + i * 97 % 1500])
    client.publish("end", "all written")
    until(lambda: inbox.messages[-1:] == [("", b"end", 0, False)], client)
    rig.say("written")
    client.disconnect()


def _little_room(client):
    # Sockets with a small send buffer, so that writes find no room soon
    module = sys.modules["umqtt_full.transport"]
    true = module.socket
    send_buffer = 0x1001 if sys.platform == "darwin" else 7  # SO_SNDBUF, which MicroPython does not name

    class Sockets:
        SOCK_STREAM = true.SOCK_STREAM

        def getaddrinfo(self, *args):
            return true.getaddrinfo(*args)

        def socket(self, *args):
            made = true.socket(*args)
            made.setsockopt(socket.SOL_SOCKET, send_buffer, 16384)
            return made

    module.socket = Sockets()


def _to_the_test(rig, **more):
    return _client(rig, _context(_ca(rig)) if rig.options["secure"] else None, **more)
