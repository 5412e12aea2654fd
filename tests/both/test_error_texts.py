"""What the errors of a link say: host and port, before or after CONNACK, and what to look at next."""

from client_rig import connected
from emulated_rig import Rig, raises
from emulation.link import Plan
from umqtt_full import LinkLost, MQTTException, ProtocolError, TimedOut


def says(error, *words):
    for word in words:
        assert word in str(error), (word, error)


class Answers:
    """A peer that answers the first bytes with these, and then closes."""

    def __init__(self, answer):
        self.answer = answer

    def opened(self, wire):
        pass

    def received(self, wire, data):
        if self.answer:
            wire.send(self.answer)
        wire.end()

    def closed(self, wire):
        pass


def test_a_peer_that_hangs_up_on_connect():
    e = raises(LinkLost, Rig(peer=Answers(b"")).client.connect)
    says(e, "broker:1883", "before CONNACK", "closed the connection", "TLS", "ssl=True")


def test_a_peer_that_speaks_another_protocol():
    says(
        raises(ProtocolError, Rig(peer=Answers(b"HTTP/1.1 400 Bad Request\r\n")).client.connect), "broker:1883", "HTTP"
    )
    says(raises(ProtocolError, Rig(peer=Answers(b"\x15\3\3\0\2\2\x28")).client.connect), "before CONNACK", "ssl=True")


def test_a_silent_peer():
    rig = Rig(timeout_ms=500)
    rig.t.default = Plan(mute_in=0)
    says(raises(TimedOut, rig.client.connect), "broker:1883", "before CONNACK", "500 ms")


def test_a_link_that_is_lost_later():
    rig = connected()
    rig.t.wire.reset()
    e = raises(LinkLost, rig.client.poll, 100)
    says(e, "broker:1883", "after CONNACK", "another client", "client_id")
    says(rig.client, "after CONNACK")


def test_a_refused_id_names_the_keepalive_too():
    rig = Rig(peer=Answers(b"\x20\2\0\2"), keepalive=1200)
    e = raises(MQTTException, rig.client.connect)
    assert e.args[0] == 2
    says(e, "broker:1883", "identifier", "keepalive 1200", "me")


def test_the_port_of_tls_is_named():
    class Refusing:
        sock = None

        def ticks_ms(self):
            return 0

        def open(self, host, port, ssl, ssl_params):
            raise OSError(111)

        def close(self):
            pass

    rig = Rig()
    client = type(rig.client)("id", "h", ssl=True, ssl_params={"cert_reqs": 0}, transport=Refusing())
    says(raises(LinkLost, client.connect), "h:8883", "before CONNACK")
