"""The broker's name: a look-up that the watchdog does not interrupt, and the address that worked last, over resets too.

On lwIP a look-up blocks. Where no DNS server answers it takes up to 14 s, and an RP2's watchdog bites after 8.3 s: a
node would reset for as long as DNS is out.
"""

# The stubs know neither what a Transport leaves to its subclasses nor every port's Timer:
# pyright: reportAttributeAccessIssue=false, reportCallIssue=false

from umqtt_full import Transport

try:
    from machine import Timer
except ImportError:  # a computer
    Timer = None

_PERIOD_MS = 1_000
_FEEDS = 20  # for so many periods at most: a look-up that never ends must not keep the watchdog quiet for ever


class Feeder:
    """A context in which a timer feeds the watchdog, for a bounded time, while a look-up blocks.

    feed: feeds the watchdog; it allocates nothing, for it is called by an interrupt.
    """

    def __init__(self, feed):
        self._feed = feed
        self._left = 0
        self._timer = None

    def __enter__(self):
        if Timer is not None:
            self._left = _FEEDS
            try:
                self._timer = Timer(-1, mode=Timer.PERIODIC, period=_PERIOD_MS, callback=self._feed_once, hard=True)
            except (TypeError, ValueError, OSError):
                pass  # a port whose timers are others: its watchdog waits for longer than a look-up takes

    def __exit__(self, *_):
        if self._timer:
            self._timer.deinit()
            self._timer = None

    def _feed_once(self, _timer):
        if self._left:
            self._left -= 1
            self._feed()


class NamedTransport(Transport):
    """TCP and TLS, as the client has them.

    online: says whether the network is up, or None. feed: as Feeder has it. path: the file that keeps the last address
    at which a broker answered: name, port, address.
    """

    def __init__(self, online, feed, path):
        super().__init__(online)
        self._feeder = Feeder(feed)
        self._path = path
        self._kept = self._read()

    def _addresses(self, host, port):
        # The address of the life before is tried first, once, and again where no look-up succeeds.
        kept = self._kept
        self._kept = None
        if kept and kept[:2] == (host, str(port)):
            return super()._addresses(kept[2], port)
        try:
            with self._feeder:
                return super()._addresses(host, port)
        except OSError:
            kept = self._read()
            if not kept or kept[:2] != (host, str(port)):
                raise
            return super()._addresses(kept[2], port)

    def works(self):
        """A broker has answered at this address: keep it, if it is another than before."""
        address = self._address and self._address[-1]
        super().works()
        if isinstance(address, tuple) and self._name:
            found = self._name[0], str(self._name[1]), address[0]
            if found != self._read() and found[0] != found[2]:
                try:
                    with open(self._path, "w") as file:
                        file.write(" ".join(found))
                except OSError:
                    pass  # a full flash must not keep the node from its broker

    def _read(self):
        # -> (name, port, address), or None where the file is not there, or not whole
        try:
            with open(self._path) as file:
                found = tuple(file.read().split())
        except (OSError, ValueError):
            return None
        return found if len(found) == 3 else None
