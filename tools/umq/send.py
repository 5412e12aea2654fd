"""umq send: tell a node to do something, once, and show what it answers."""

import json
import os
import time
from pathlib import Path
from typing import Annotated

import typer

from umq import reach, settings
from umq.errors import UserError, meant
from umq.plain import plain
from umq.project import CONFIG, CONFIG_SHOWN, add_library

_STATUS_S = 1.0  # a retained status comes right behind SUBACK
_TURN_MS = 200
_MOST_NAMED = 8
_LONGEST_RESULT = 2_000
_MAX_PACKET = 70_000  # no message, however large, ends the connection


def command(
    node: Annotated[str, typer.Argument(metavar="NODE", help="The node's name.")],
    words: Annotated[list[str], typer.Argument(metavar="WORDS...", help="What it is to do.")],
    broker: Annotated[
        str | None,
        typer.Option(help=f"The broker, HOST or HOST:PORT; left out: that of {CONFIG_SHOWN}, as its node."),
    ] = None,
    topic: Annotated[str, typer.Option(help="What the topics of all nodes begin with.")] = "nodes",
    user: Annotated[str | None, typer.Option(help="The broker's name for you; the password is asked for.")] = None,
    password_file: Annotated[
        Path | None, typer.Option(help="A file with the password; or set UMQ_PASSWORD in the environment.")
    ] = None,
    tls: Annotated[bool, typer.Option("--tls", help="TLS, by the authorities this computer trusts.")] = False,
    ca: Annotated[Path | None, typer.Option(help="TLS, by the CA certificate in this file (PEM or DER).")] = None,
    seconds: Annotated[float, typer.Option(help="How long to wait for the answer.", min=0)] = 10,
    later: Annotated[
        bool, typer.Option("--later", help="Leave the command with the broker if the node is offline.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole answer, which is JSON.")] = False,
):
    """Tell a node to do something, and show its answer. It goes out at QoS 2: the node does it once.

    The status is 0 if the node has done it, and 1 if it has refused, has not
    answered, or is offline. docs/node.md lists the commands.

    Examples:

        umq send greenhouse led on

        umq send greenhouse read --broker 192.168.1.10

        umq send greenhouse interval 5000 --later
    """
    target, its_topic = _target(broker, user, password_file, tls, ca, node, topic)
    text = " ".join(words).strip()
    if not text.isprintable() or not text:
        raise UserError("a command is one line of text, such as: led on")
    talk = _Talk(target, node, its_topic, text)
    talk.connect()
    try:
        if talk.status == b"offline" and not later:
            raise UserError(f"{node} is offline: nothing was sent; --later leaves the command with the broker")
        talk.send()
        if talk.status == b"offline":
            print(f"{plain(node)} is offline: it gets the command when it is back")
            return
        answer = talk.answer_within(seconds)
    finally:
        talk.close()
    if as_json:
        print(json.dumps(answer))
    if not answer["ok"]:
        why = plain(str(answer.get("error", "without a reason")), 200)
        if as_json:
            return 1
        raise UserError(f"{node} has not done it: {why}")
    if not as_json:
        result = answer.get("result")
        print(plain(result if isinstance(result, str) else json.dumps(result), _LONGEST_RESULT))


def _target(broker, user, password_file, tls, ca, node, topic):
    # The broker to talk to, and what the node's topics begin with.
    add_library()
    from umqtt_full.topics import is_topic_filter

    its_topic = f"{topic.rstrip('/')}/{node}"
    if broker is not None:
        target = reach.broker(broker, user, password_file, tls, ca)
    elif user or password_file or tls or ca or not CONFIG.exists():
        raise UserError(f"no broker is named: add --broker HOST, or let `umq config` write {CONFIG_SHOWN}")
    else:
        config = settings.load(CONFIG, has_wifi=False).config
        target = reach.of_node(config, CONFIG.parent)
        if config.client_id == node:
            its_topic = config.topic
    encoded = its_topic.encode(errors="replace")
    if not node or "+" in its_topic or "#" in its_topic or not its_topic.isprintable() or not is_topic_filter(encoded):
        raise UserError(f"{plain(node)!r} cannot be a node's name: it holds + or #, which no topic may, or is no text")
    return target, its_topic


class _Talk:
    # One command to one node. `status`: what the node last said of itself, b"" if nothing.

    def __init__(self, target, node, topic, text):
        from umqtt_full import MQTTClient

        self.status = b""
        self._target, self._node, self._topic, self._text = target, node, topic, text
        self._answer = None
        self._all = set()
        self._client = target.client(MQTTClient, f"umq-send-{os.urandom(5).hex()}", max_packet=_MAX_PACKET)

    def connect(self):
        with self._explained():
            self._client.connect()
            self._client.subscribe(f"{self._topic}/answer", 2, self._answered)
            self._client.subscribe(f"{self._topic}/status", 1, self._told)
            self._poll(_STATUS_S, lambda: self.status)

    def send(self):
        with self._explained():
            self._client.publish(f"{self._topic}/command", self._text, qos=2)

    def answer_within(self, seconds):
        """The node's answer, a dict with a truth at "ok"; UserError if none comes."""
        with self._explained():
            self._poll(seconds, lambda: self._answer)
            if self._answer:
                return self._answer
            if not self.status:
                self._client.subscribe(f"{self._topic.rpartition('/')[0]}/+/status", 1, self._heard)
                self._poll(_STATUS_S, lambda: False)
        raise UserError(f"{self._node} has not answered within {seconds:g} s: {self._why()}")

    def close(self):
        try:
            self._client.disconnect(timeout_ms=1000)
        except OSError:
            self._client.close()

    def _why(self):
        if self.status == b"offline":
            return "it has gone offline; the broker keeps the command for it"
        if self.status:
            return "it is online; `umq monitor` shows what it does, and may the broker let it publish answers?"
        names = sorted(self._all)
        there = f"there are {', '.join(names[:_MOST_NAMED])}" if names else "nor has any other"
        return f"no node of that name has reported to this broker; {there}{meant(self._node, names)}"

    def _explained(self):
        return reach.explained(self._target)

    def _poll(self, seconds, is_done):
        end = time.monotonic() + seconds
        while not is_done() and (left := end - time.monotonic()) > 0:
            self._client.poll(min(_TURN_MS, int(left * 1000) + 1))

    def _told(self, message):
        self.status = bytes(message.payload)

    def _heard(self, message):
        self._all.add(plain(message.topic_name.split(b"/")[-2], 64))

    def _answered(self, message):
        try:
            said = json.loads(bytes(message.payload))
        except ValueError:
            return
        if message.retain or not isinstance(said, dict) or not isinstance(said.get("ok"), bool):
            return
        if said.get("command") in (self._text, None):  # None: the node cannot read it
            self._answer = said
