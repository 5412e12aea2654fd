# A front for programs that were written for Peter Hinch's mqtt_as: `from umqtt_full.mqtt_as import MQTTClient, config`.

# Its calls take what mqtt_as's take:
# pyright: reportIncompatibleMethodOverride=false, reportGeneralTypeIssues=false

import asyncio

from .aio import MQTTClient as _MQTTClient
from .errors import MQTTException
from .waiting import create_task

try:
    import network
    from machine import unique_id
except ImportError:  # a computer
    network = None

    def unique_id():
        return __import__("os").urandom(4)


_JOIN_S = 20  # how long a network may take to be joined


async def eliza(*_):
    """The coroutine that does nothing, in place of wifi_coro and connect_coro."""


config = {
    "client_id": "".join(["%02x" % byte for byte in unique_id()]).encode(),
    "server": None,
    "port": 0,
    "user": "",
    "password": "",
    "keepalive": 60,
    "ping_interval": 0,
    "ssl": False,
    "ssl_params": {},
    "response_time": 10,
    "clean_init": True,
    "clean": True,
    "max_repubs": 4,
    "will": None,
    "subs_cb": lambda *_: None,
    "wifi_coro": eliza,
    "connect_coro": eliza,
    "ssid": None,
    "wifi_pw": None,
    "queue_len": 0,
}


class MsgQueue:
    """`async for topic, msg, retained in client.queue:`. The end of a turn acknowledges its message. discards counts
    the messages that were lost for want of room: none ever is at QoS 1 and 2."""

    def __init__(self, messages):
        self._messages = messages

    @property
    def discards(self):
        return self._messages.dropped

    def __aiter__(self):
        self._messages.__aiter__()
        return self

    async def __anext__(self):
        m = await self._messages.__anext__()
        return bytes(m.topic_name), bytes(m.payload), m.retain


class MQTTClient(_MQTTClient):
    """umqtt_full.aio.MQTTClient with the names, the config and the events of mqtt_as.

    What is otherwise: QoS 2 works. A full queue holds the broker back, so no message is lost. Subscriptions are made
    again by themselves; to subscribe once more does no harm. A publication is sent again until it is acknowledged, so
    max_repubs and ping_interval have no effect. `clean` has none either: after an outage the session goes on, and what
    was sent meanwhile arrives. TLS verifies the broker: ssl_params needs cadata, or says cert_reqs=0. There is no
    wan_ok(), no ESP-NOW gateway, and no MQTT 5.
    """

    def __init__(self, config):
        if not config["server"]:
            raise ValueError("no server: config['server'] = ...")
        self._config = config
        self._wlan = None
        if network and hasattr(network, "WLAN"):
            self._wlan = network.WLAN()
            self._wlan.active(True)
        super().__init__(
            config["client_id"],
            config["server"],
            config["port"],
            config["user"] or None,
            config["password"] or None,
            config["keepalive"],
            config["ssl"] or None,
            config["ssl_params"],
            clean_session=config["clean_init"],
            timeout_ms=config["response_time"] * 1000,
            online=self._wlan.isconnected if self._wlan else None,
        )
        if config["will"]:
            self.set_last_will(*config["will"])
        self.down.clear()
        if config["queue_len"] > 0:
            self.queue = MsgQueue(self.messages(max(4, config["queue_len"])))
        else:
            subs_cb = config["subs_cb"]
            self.on_message = lambda m: subs_cb(bytes(m.topic_name), bytes(m.payload), m.retain)

    def _tell(self, is_up):
        # In mqtt_as the program clears the events.
        (self.up if is_up else self.down).set()
        if not self._config["queue_len"]:
            create_task(self._config["wifi_coro"](is_up))
            if is_up:
                create_task(self._config["connect_coro"](self))

    async def _prepare(self):
        # Join the network, if that is not done.
        wlan = self._wlan
        if not wlan or wlan.isconnected():
            return
        self.dprint("Connecting to WiFi.")
        if self._config["ssid"]:
            wlan.disconnect()
            wlan.connect(self._config["ssid"], self._config["wifi_pw"])
        for _ in range(_JOIN_S * 10):
            if wlan.isconnected():
                return
            await asyncio.sleep(0.1)
        raise OSError("WiFi: %s cannot be joined" % (self._config["ssid"] or "no network"))

    async def connect(self, *, quick=False):
        """Join the network and connect to the broker; OSError if that fails."""
        try:
            await super().connect()
        except MQTTException as e:
            raise OSError(-1, "broker: %s" % e)

    async def publish(self, topic, msg, retain=False, qos=0):
        """Publish; returns when the broker has the message, however long that takes."""
        await super().publish(topic, msg, retain, qos)

    def isconnected(self):
        """Is the link up?"""
        return self.is_connected()

    async def broker_up(self):
        """Does the broker answer, within response_time?"""
        if not self.is_connected():
            return False
        p = self._protocol
        before = p.last_heard
        self.ping()
        for _ in range(self.timeout_ms // 100):
            await asyncio.sleep(0.1)
            if p.last_heard != before or not self.is_connected():
                break
        return self.is_connected() and p.last_heard != before

    def close(self):
        """Close the link and leave the network, at once."""
        self._end()
        if self._wlan:
            self._wlan.disconnect()
            self._wlan.active(False)

    def log(self, in_reconnect, e):
        """Told of each error that is survived."""
        self.dprint("%s: %r" % ("Reconnecting" if in_reconnect else "Link lost", e))

    def dprint(self, msg, *args):
        """Print, if DEBUG."""
        if self.DEBUG:
            print(msg % args if args else msg)
