# umqtt.robust's client: when the link is lost it connects again, for as long as it takes. Each attempt is bounded.

from .client import MQTTClient as _MQTTClient
from .errors import Full, LinkLost, MQTTException, ProtocolError, TimedOut
from .reconnecting import Reconnecting

_TICKS = 0x3FFFFFFF
_LOST = (LinkLost, TimedOut, ProtocolError)


class MQTTClient(Reconnecting, _MQTTClient):
    """MQTTClient whose publish, subscribe, unsubscribe, ping, check_msg, wait_msg, poll and flush connect again when
    the link is lost, and go on. They ask for the session that was, as reconnect() does; the first connect() is the
    caller's. To give up some time, override delay() and raise from it.
    """

    _attempts = 0
    _up_at = 0

    def delay(self, i):
        """Wait before attempt i of a reconnect: at random, at most DELAY seconds, then twice, 4 ... 64 times that, so
        that a fleet does not return all at once. It begins anew when a link has held for 30 s."""
        self.pause(self._delay_ms(self._attempts // len(self._servers)))

    def reconnect(self, timeout_ms=None):
        """Connect again, asking for the session that was, until that succeeds -> session_present."""
        if (self.transport.ticks_ms() - self._up_at) & _TICKS >= 30000:
            self._attempts = 0
        i = 0
        while True:
            # Where there are several servers, each is tried before the wait.
            if self._attempts and not self._attempts % len(self._servers):
                self.delay(i)
            self._attempts += 1
            try:
                session_present = super().reconnect(timeout_ms)
                self._up_at = self.transport.ticks_ms()
                return session_present
            except (OSError, MQTTException) as e:
                self.log(True, e)
                i += 1

    def _survive(self, e):
        # A callback must not wait: the call that runs it connects again.
        if self.in_callback():
            raise e
        self.log(False, e)
        self.reconnect()

    def publish(self, topic, msg, retain=False, qos=0, wait=True, timeout_ms=None):
        """As MQTTClient.publish; with wait, at QoS 1 and 2 it returns when the exchange is complete, however often the
        link was lost. Full: the broker did not acknowledge in time what was sent before."""
        while True:
            try:
                packet_id = super().publish(topic, msg, retain, qos, wait and not qos, timeout_ms)
                break
            except Full as e:
                if self.is_connected():
                    if not wait or self.in_callback() or not self.wait_for_room(timeout_ms):
                        raise
                else:
                    self._survive(e)
            except _LOST as e:
                self._survive(e)
        if packet_id and wait and not self.in_callback():
            while self.pending(packet_id):
                try:
                    self.wait_for(packet_id, timeout_ms)
                except _LOST as e:
                    self._survive(e)
        return packet_id

    def wait_for_room(self, timeout_ms=None):
        while True:
            try:
                return super().wait_for_room(timeout_ms)
            except _LOST as e:
                self._survive(e)

    # The others one by one: a wrapper of *args for all of them would allocate at each call.

    def subscribe(self, topic, qos=0, callback=None, wait=True, timeout_ms=None):
        while True:
            try:
                return super().subscribe(topic, qos, callback, wait, timeout_ms)
            except _LOST as e:
                self._survive(e)

    def unsubscribe(self, topic, wait=True, timeout_ms=None):
        while True:
            try:
                return super().unsubscribe(topic, wait, timeout_ms)
            except _LOST as e:
                self._survive(e)

    def ping(self):
        while True:
            try:
                return super().ping()
            except _LOST as e:
                self._survive(e)

    def wait_msg(self, timeout_ms=None):
        while True:
            try:
                return super().wait_msg(timeout_ms)
            except _LOST as e:
                self._survive(e)

    def check_msg(self, attempts=2):
        """As MQTTClient.check_msg, connecting again at most `attempts` times, which then returns None."""
        while attempts:
            try:
                return super().wait_msg(0)
            except _LOST as e:
                self._survive(e)
                attempts -= 1

    def poll(self, timeout_ms=0):
        while True:
            try:
                return super().poll(timeout_ms)
            except _LOST as e:
                self._survive(e)

    def flush(self, timeout_ms=None):
        while True:
            try:
                return super().flush(timeout_ms)
            except _LOST as e:
                self._survive(e)
