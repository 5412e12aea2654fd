"""What a client is made of: a mistake is told at the door, with its cure, before anything is opened or sent."""

from client_rig import connected
from emulated_rig import Rig, raises
from umqtt_full import MQTTClient


def refused(kind, words, *arguments, **options):
    """MQTTClient with these arguments must be refused, with all these words."""
    text = str(raises(kind, MQTTClient, *arguments, **options))
    for word in words:
        assert word in text, (word, text)
    assert "s3cret" not in text and "\n" not in text


def test_a_server_that_is_none():
    for server, words in (
        ("http://h", ("http://h", "'h'")),
        ("mqtt://h:1883", ("host alone", "'h'")),
        ("h:1883", ("port=1883", "['h:1883']")),
        ("h ", ("blanks",)),
        (" h", ("blanks",)),
        ("h\n", ("blanks",)),
        ("a b", ("blanks",)),
        ("", ("host",)),
        ("h/path", ("host",)),
        ("1.2.3.400", ("IPv4",)),
        ("1.2.3", ("IPv4",)),
        ([], ("empty",)),
        (["h", "i:x"], ("i:x", "number")),
        (["h", "i:70000"], ("65535",)),
        ([("h", 70000)], ("65535",)),
        ([("h", 1, 2)], ("(host, port)",)),
        (["http://h"], ("host alone",)),
    ):
        refused(ValueError, words, "id", server)
    for server in (None, 5, b"h" and 1.5, [None], [("h", "1883")], [5], {"h": 1883}):
        refused(TypeError, (), "id", server)


def test_servers_that_are_taken():
    for server in (
        "h",
        b"h",
        "broker.example",
        "192.168.1.10",
        "::1",
        "fe80::1",
        ["h"],
        ["h", "i:1884", ("j", 1885), b"k"],
        ("h", 1883),
        ["::1", ("::1", 1884)],
    ):
        MQTTClient("id", server)


def test_numbers_that_are_none():
    for name, wrong in (
        ("port", (-1, 65536, 99999)),
        ("keepalive", (-1, 65536)),
        ("timeout_ms", (0, -5)),
        ("max_packet", (63, 0)),
        ("inflight", (0, -1)),
        ("received", (0,)),
        ("chunk", (15,)),
    ):
        for value in wrong:
            refused(ValueError, (name,), "id", "h", **{name: value})
        for value in ("1883", "abc", 1.5, None, [], True):
            if (name, value) != ("keepalive", False):
                refused(TypeError, (name,), "id", "h", **{name: value})
    refused(ValueError, ("4 * inflight",), "id", "h", max_packet=64, inflight=17)


def test_names_and_secrets_of_the_wrong_type():
    refused(TypeError, ("client_id",), None, "h")
    refused(TypeError, ("client_id",), 5, "h")
    refused(TypeError, ("user",), "id", "h", user=5)
    refused(TypeError, ("password",), "id", "h", user="me", password=["s3cret"])
    refused(TypeError, ("password",), "id", "h", user="me", password=1234)


def test_tls_parameters_that_cannot_serve():
    refused(ValueError, ("ssl=True",), "id", "h", ssl_params={"cadata": b"s3cret"})
    refused(ValueError, ("cafile", "cadata", "server_hostname"), "id", "h", ssl=True, ssl_params={"cafile": "x"})
    refused(ValueError, ("key", "cert"), "id", "h", ssl=True, ssl_params={"key": b"s3cret"})
    refused(TypeError, ("dict",), "id", "h", ssl=True, ssl_params=[("key", b"s3cret")])


def test_callbacks_that_cannot_be_called():
    rig = Rig()
    assert "callback=" in str(raises(ValueError, rig.client.subscribe, "x", rig.note))
    raises(TypeError, rig.client.subscribe, "x", 1, "f")
    raises(TypeError, rig.client.set_callback, "f")
    for name in "on_message", "on_connect", "on_disconnect", "on_wait", "on_skip":
        before = getattr(rig.client, name)
        setattr(rig.client, name, 5)
        raises(TypeError, rig.client.connect)
        setattr(rig.client, name, before)
    assert rig.t.opens == 0 and not rig.client._protocol.subscriptions
    rig.client.connect()
    rig.check()


def test_another_server_while_the_client_is_there():
    rig = connected()
    rig.client.server = "mqtt://other"
    raises(ValueError, rig.client.connect)
    assert rig.client.is_connected()
    rig.client.server = "other"
    rig.client.connect()
    rig.client.publish(b"t", b"", qos=2)
    rig.check()
