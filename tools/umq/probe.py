"""umq probe: find out what a broker grants and keeps, and say what this client does about it."""

import json
import os
import time
from pathlib import Path
from typing import Annotated

import typer

from umq import reach
from umq.plain import tolerate
from umq.project import add_library

_MOST_S = 3.0  # for something that should come
_QUIET_S = 0.3  # for something that should not
_MAX_PACKET = 140_000
_LARGE = 100_000
_MANY = 100


def command(
    broker: Annotated[str, typer.Argument(help="The broker, HOST or HOST:PORT.")],
    user: Annotated[str | None, typer.Option(help="The broker's name for you; the password is asked for.")] = None,
    password_file: Annotated[
        Path | None, typer.Option(help="A file with the password; or set UMQ_PASSWORD in the environment.")
    ] = None,
    tls: Annotated[bool, typer.Option("--tls", help="TLS, by the authorities this computer trusts.")] = False,
    ca: Annotated[Path | None, typer.Option(help="TLS, by the CA certificate in this file (PEM or DER).")] = None,
    topic: Annotated[
        str, typer.Option(help="Everything happens below this topic; it must be yours alone.")
    ] = "umq-probe",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, {what: how}.")] = False,
):
    """Find out what a broker grants and keeps: QoS, sessions, retained messages, wills, limits, topics it refuses; with
    what this project's client does about it. It takes a few seconds, and leaves nothing behind.

    Examples:

        umq probe 192.168.1.10

        umq probe broker.example --user me --tls

        umq probe localhost --json | jq .
    """
    tolerate()
    target = reach.broker(broker, user, password_file, tls, ca)
    found = Probe(target, topic).run()
    if as_json:
        print(json.dumps({what: how for what, how, _ in found}, indent=2))
        return
    width = max(len(what) for what, _, _ in found)
    for what, how, about in found:
        print(f"{what:{width}}  {how}" + (f"\n{'':{width}}  -> {about}" if about else ""))


class Probe:
    """What the Broker `target` does, below one topic."""

    def __init__(self, target, topic):
        add_library()
        from umqtt_full import MQTTClient

        self._kind = MQTTClient
        self._target = target
        self._root = f"{topic}/{os.urandom(3).hex()}"
        self._numbers = 0
        self._open = []

    def run(self):
        """-> [(what, how it is here, what the client does about it or "")]"""
        with reach.explained(self._target):
            self._client()  # is there a broker at all?
        found = []
        for check in (
            self._granted,
            self._delivered,
            self._retained,
            self._session,
            self._again,
            self._overlapping,
            self._wills,
            self._topics,
            self._limits,
        ):
            try:
                found += check()
            except Exception as error:
                words = str(error.args[-1] if error.args else error)
                found.append((check.__name__.strip("_"), f"it breaks off: {words}", "connect again, and send again"))
            for client in self._open:
                client.close()
            self._open.clear()
        return found

    # Clients

    def _client(self, client_id=None, clean=True, **options):
        # A connected client, whose messages are in `got`
        self._numbers += 1
        client = self._target.client(
            self._kind,
            client_id or f"umq-probe-{os.urandom(4).hex()}",
            max_packet=_MAX_PACKET,
            timeout_ms=5000,
            **options,
        )
        client.got = []
        client.on_message = lambda m: client.got.append((m.topic, bytes(m.payload), m.qos, m.retain, m.dup))
        client.connect(clean_session=clean)
        self._open.append(client)
        return client

    def _topic(self, name):
        return f"{self._root}/{name}"

    def _wait(self, client, count, seconds=_MOST_S):
        # Until it has so many messages, and a moment longer, so that those too many are seen -> all it got
        deadline = time.monotonic() + seconds
        while len(client.got) < count and time.monotonic() < deadline:
            client.poll(50)
        quiet = time.monotonic() + _QUIET_S
        while time.monotonic() < quiet:
            client.poll(50)
        return client.got

    # What is found out

    def _granted(self):
        client = self._client()
        granted = client.subscribe([(self._topic(f"granted/{qos}"), qos) for qos in range(3)])
        codes = [s.granted for s in client._protocol.subscriptions] if granted is None else list(granted)
        about = (
            "" if codes == [0, 1, 2] else "subscribe() returns what was granted: a program that needs more must look"
        )
        return [("QoS granted of 0, 1, 2", " ".join(map(str, codes)), about)]

    def _delivered(self):
        subscriber, publisher = self._client(), self._client()
        topic = self._topic("delivered")
        subscriber.subscribe(topic, 2)
        how = []
        for qos in range(3):
            publisher.publish(topic, f"{qos}", qos=qos)
        for _, payload, qos, _, _ in self._wait(subscriber, 3):
            how.append(f"{payload.decode()} as {qos}")
        lowered = publisher.session.counts.lowered
        rows = [("QoS delivered", ", ".join(how) or "nothing came", "")]
        about = "it is counted in client.counts.lowered: such a message may be doubled" if lowered else ""
        return [*rows, ("PUBLISH of QoS 2 is answered", "as QoS 1" if lowered else "as QoS 2", about)]

    def _retained(self):
        publisher = self._client()
        topic = self._topic("retained/kept")
        publisher.publish(topic, "kept", retain=True, qos=1)
        rows = []
        for words, topic_filter in (
            ("retained, by its name", topic),
            ("retained, by + and #", self._topic("retained/+")),
        ):
            late = self._client()
            late.subscribe(topic_filter, 1)
            came = [one for one in self._wait(late, 1) if one[0] == topic]
            flag = "with its flag" if came and came[0][3] else "without its flag"
            about = "" if came else "a node's state is not seen by those that come later: subscribe by the name"
            rows.append((words, f"comes, {flag}" if came else "does not come", about))
        publisher.publish(topic, "", retain=True, qos=1)
        return rows

    def _session(self):
        client_id = f"umq-probe-{os.urandom(4).hex()}"
        topic = self._topic("session")
        client = self._client(client_id, False)
        client.subscribe(topic, 2)
        client.disconnect()
        publisher = self._client()
        for number in range(30):
            publisher.publish(topic, f"{number}", qos=number % 3)
        client = self._client(client_id, False)
        present = client._protocol.session_present
        got = self._wait(client, 20)
        counts = [sum(int(one[1]) % 3 == qos for one in got) for qos in range(3)]
        numbers = [int(one[1]) for one in got if int(one[1]) % 3]
        client.disconnect()
        self._client(client_id, True).disconnect()
        about = "" if present else "the client subscribes and sends again by itself; what was queued there is lost"
        kept = counts[1] == counts[2] == 10
        return [
            ("a session is kept", "yes" if present else "no", about),
            (
                "queued of 10 at QoS 0, 1, 2",
                " ".join(map(str, counts)) + (", in order" if numbers == sorted(numbers) else ", out of order"),
                "" if kept else "what a node must not miss is to be retained too",
            ),
        ]

    def _again(self):
        client_id = f"umq-probe-{os.urandom(4).hex()}"
        topic = self._topic("again")
        client = self._client(client_id, False)
        client.subscribe(topic, 1)

        def fails(message):
            raise RuntimeError

        client.on_message = fails
        self._client().publish(topic, "x", qos=1)
        try:
            self._wait(client, 1, 1.5)
        except RuntimeError:
            pass
        client.close()  # without an acknowledgement
        client = self._client(client_id, False)
        got = self._wait(client, 1)
        how = (
            "does not come again soon"
            if not got
            else "comes again, with DUP"
            if got[0][4]
            else "comes again, without DUP"
        )
        client.disconnect()
        self._client(client_id, True).disconnect()
        return [("a message without an answer", how, "" if got else "the broker sends it later, or never")]

    def _overlapping(self):
        client = self._client()
        client.subscribe([(self._topic("over/#"), 0), (self._topic("over/a"), 1), (self._topic("+/a"), 2)])
        self._client().publish(self._topic("over/a"), "x", qos=2)
        got = self._wait(client, 1)
        how = f"{len(got)} at QoS {', '.join(str(one[2]) for one in got)}" if got else "nothing came"
        about = "each copy runs the callbacks: let filters not overlap" if len(got) > 1 else ""
        return [("three filters match: deliveries", how, about)]

    def _wills(self):
        watcher = self._client()
        topic = self._topic("will")
        watcher.subscribe(topic, 2)
        client_id = f"umq-probe-{os.urandom(4).hex()}"
        rows = []
        for words, loss in (
            ("will, link lost", lambda client: client.close()),
            ("will, client id taken over", lambda client: self._client(client_id)),
            ("will after disconnect()", lambda client: client.disconnect()),
        ):
            watcher.got.clear()
            client = self._target.client(self._kind, client_id, timeout_ms=5000)
            client.set_last_will(topic, "lost", qos=1)
            client.connect()
            self._open.append(client)
            loss(client)
            came = bool(self._wait(watcher, 1, 1.5))
            expected = words != "will after disconnect()"
            about = "" if came == expected else "do not take the will for the whole truth: watch the readings too"
            rows.append((words, "is published" if came else "is not published", about))
        return rows

    def _topics(self):
        odd = {"dot": "a.b", "space": "a b", "empty level": "a//b", "50 levels": "/".join("x" * 50), "umlaut": "ä"}
        refused = []
        for words, name in odd.items():
            try:
                client = self._client()
                client.subscribe(self._topic(name), 1)
                client.publish(self._topic(name), "x", qos=1)
                if [one[0] for one in self._wait(client, 1, 1)] != [self._topic(name)]:
                    refused.append(words)
            except Exception:
                refused.append(words)
        about = "such topics are not for this broker" if refused else ""
        return [("topics that fail", ", ".join(refused) or "none of those tried", about)]

    def _limits(self):
        client = self._client()
        rows = []
        try:
            client.subscribe([(self._topic(f"many/{number}"), 1) for number in range(_MANY)])
            how = "granted"
        except Exception as error:
            how = f"refused: {error.args[-1]}"
            client = self._client()
        rows.append(
            (f"{_MANY} filters in one packet", how, "" if how == "granted" else "subscribe to them in several calls")
        )
        topic = self._topic("large")
        try:
            client.subscribe(topic, 1)
            client.publish(topic, bytes(_LARGE), qos=1)
            came = any(len(one[1]) == _LARGE for one in self._wait(client, 1))
        except Exception:
            came = False
        rows.append(
            (f"a payload of {_LARGE // 1000} kB", "comes" if came else "does not come", "" if came else "send pieces")
        )
        return rows
