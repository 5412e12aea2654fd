"""Programs for umqtt.simple and umqtt.robust run after one import was changed."""

import contextlib
import inspect

import pytest

import runtime_scripts
import umqtt_full
import umqtt_full.robust
from emulation import ports
from lab import mosquitto
from lab.mosquitto import Mosquitto
from paho_end import Paho
from runtime_scripts import Process, Script, until

PROGRAMS = runtime_scripts.ON_MOSQUITTO / "umqtt_programs"
# umqtt.simple 1.8 and umqtt.robust: the names, order and defaults of all that can be called
SIMPLE = {
    "__init__": "(self, client_id, server, port=0, user=None, password=None, keepalive=0, ssl=None, ssl_params={})",
    "set_callback": "(self, f)",
    "set_last_will": "(self, topic, msg, retain=False, qos=0)",
    "connect": "(self, clean_session=True, timeout=None)",
    "disconnect": "(self)",
    "ping": "(self)",
    "publish": "(self, topic, msg, retain=False, qos=0)",
    "subscribe": "(self, topic, qos=0)",
    "wait_msg": "(self)",
    "check_msg": "(self)",
}
ROBUST = {
    **SIMPLE,
    "delay": "(self, i)",
    "log": "(self, in_reconnect, e)",
    "reconnect": "(self)",
    "check_msg": "(self, attempts=2)",
}


@pytest.fixture(scope="module")
def broker(need, tmp_path_factory):
    need(mosquitto.find)
    with Mosquitto(tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture
def other(broker, name):
    with Paho(broker.port, f"{name}/#") as connected:
        yield connected


@pytest.mark.parametrize(
    "client, method, theirs",
    [(umqtt_full.MQTTClient, *item) for item in SIMPLE.items()]
    + [(umqtt_full.robust.MQTTClient, *item) for item in ROBUST.items()],
)
def test_signature(client, method, theirs):
    """Ours begins with theirs; what follows has a default."""
    namespace = {}
    exec(f"def theirs{theirs}: pass", namespace)
    wanted = list(inspect.signature(namespace["theirs"]).parameters.values())
    ours = list(inspect.signature(getattr(client, method)).parameters.values())
    for their, our in zip(wanted, ours, strict=False):
        assert (our.name, our.kind) == (their.name, their.kind)
        # A default where they have none lets their callers do what they did.
        assert our.default == their.default or their.default is inspect.Parameter.empty
    assert len(ours) >= len(wanted)
    assert all(more.default is not inspect.Parameter.empty for more in ours[len(wanted) :])


@pytest.mark.parametrize("function", ["calls", "contract", "robust_hooks", "lazy_imports"])
def test_calls(runtime, broker, name, function):
    with Script(runtime, "compatible", function, port=broker.port, name=name, refusing=ports.free_port()):
        pass


@pytest.fixture
def run(runtime, tmp_path):
    """run(program, port, name) starts one of the programs, changed in its import alone."""

    def start(program, *args, endless=False):
        lines = (PROGRAMS / f"{program}.py").read_text().splitlines()
        imports = [i for i, line in enumerate(lines) if line.startswith("from umqtt.")]
        assert len(imports) == 1
        line = lines[imports[0]]
        lines[imports[0]] = line.replace("umqtt.simple", "umqtt_full").replace("umqtt.robust", "umqtt_full.robust")
        changed = tmp_path / f"{program}.py"
        changed.write_text("\n".join([*lines, ""]))
        return Process([*runtime, str(changed), *map(str, args)], endless=endless)

    return start


def test_publish(run, broker, other, name):
    with run("publish", broker.port, name) as program:
        program.until_said("left")
    until(lambda: len(other.messages) == 6, "six messages")
    assert other.of(f"{name}/reading") == [(f"{name}/reading", b"%d" % i, 0, False) for i in range(3)]
    assert other.of(f"{name}/alarm") == [(f"{name}/alarm", payload, 1, False) for payload in (b"text", b"named")]
    with Paho(broker.port, f"{name}/#") as late:
        until(lambda: late.messages, "the retained message")
        assert late.messages == [(f"{name}/state", b"kept", 0, True)]


def test_check(run, broker, other, name):
    with run("check", broker.port, name) as program:
        program.until_said("ready")
        for word in ("one", "two", "stop"):
            other.publish(f"{name}/command", word)
            program.until_said(f"(b'{name}/command', b'{word}')")
        program.until_said("left")
    other.publish(f"{name}/end", "", 2)
    until(lambda: other.of(f"{name}/end"), "the end")
    assert not other.of(f"{name}/will")


def test_wait(run, broker, other, name):
    with run("wait", broker.port, name, endless=True) as program:
        program.until_said("ready")
        for word, state in (("on", 1), ("toggle", 0), ("toggle", 1), ("off", 0)):
            other.publish(f"{name}/led", word, 1)
            program.until_said(str(state))


def test_poll(run, broker, other, name):
    with run("poll", broker.port, name, endless=True) as program:
        program.until_said("ready")
        for word in ("one", "two"):
            other.publish(f"{name}/t", word)
            program.until_said(f"b'{name}/t' b'{word}'")


def test_persistent(run, broker, other, name):
    with run("persistent", broker.port, name, endless=True) as program:
        program.until_said("new session")
        program.until_said("ready")
        other.publish(f"{name}/t", "here", 1)
        program.until_said(f"(b'{name}/t', b'here')")
    for word in ("while", "away"):
        other.publish(f"{name}/t", word, 1).wait_for_publish(runtime_scripts.PATIENCE_S)
    with run("persistent", broker.port, name, endless=True) as program:
        awaited = {"ready", *(f"(b'{name}/t', b'{word}')" for word in ("while", "away"))}
        while awaited:
            heard = program.heard()
            assert heard != "new session"
            awaited.discard(heard)


def test_a_subclass_that_resubscribes(run, lost_and_found, name):
    broker = lost_and_found
    with run("resubscribe", broker.port, name, endless=True) as program:
        program.until_said(f"(b'{name}/a', b'message 1')")
        for word in ("before", "after"):
            with Paho(broker.port, f"{name}/#") as other:
                until(lambda other=other: other.of(f"{name}/alive"), "a sign of life")
                other.publish(f"{name}/a", word, 1)
                program.until_said(f"(b'{name}/a', b'{word}')")
            if word == "before":
                broker.stop()
                broker.start()


def test_a_subclass_with_a_last_will(run, lost_and_found, name):
    broker = lost_and_found
    status = f"{name}/status"
    with contextlib.ExitStack() as watching:
        with run("last_will", broker.port, name, endless=True) as program:
            program.until_said("ready")
            for restart in (True, False):
                other = watching.enter_context(Paho(broker.port, status))
                until(lambda other=other: other.messages, "the status")
                assert other.messages[0][1] == b"online"
                if restart:
                    broker.stop()
                    broker.start()
        until(lambda: other.messages[-1] == (status, b"offline", 0, False), "the will")


@pytest.fixture
def lost_and_found(need, tmp_path):
    """A broker to stop and start, which then remembers nothing."""
    need(mosquitto.find)
    with Mosquitto(tmp_path / "broker") as running:
        yield running
