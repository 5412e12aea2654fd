"""The soak's account of every message: sent, received, and sent again by the broker against the standard."""

import collections

# The most messages under way to a node. Each new connection resends those that the node has not acknowledged.
BACKLOG = 64


class Flow:
    """The messages from one node to the other: sent and received.

    `words` are the BrokersWords to the receiver.
    """

    def __init__(self, sender, receiver, messages, words):
        self.sender = sender
        self.receiver = receiver
        self.said = 0  # messages that publish() accepted
        self.came = 0  # different messages received
        self._messages = messages
        self._words = words
        self._next = 0  # the number of the sender's next message
        self._unknown = set()
        self._full = 0
        self._times = collections.Counter()  # how often each number came
        self._last = {1: -1, 2: -1}  # the highest number that came, at each QoS
        self._newest = None  # the message noted last
        self._at_risk = collections.Counter()  # numbers: how often each may come again with dup, once for each kill
        self._repeats = []  # (number, QoS) of repeats, without those at risk
        self._window = 0
        self._disorder = []
        self._damaged = []

    def read(self):
        """Read the nodes' new notes -> was there progress?"""
        before = self._next + self.came
        for record in self.sender.sent.new():
            number, mark = int(record[:9]), record[10:11]
            if mark == b"-":
                self._full += 1
                continue
            self._next = number + 1
            if mark == b"?":
                self._unknown.add(number)
            else:
                self.said += 1
        for record in self.receiver.got.new():
            number, qos, dup = record.rstrip(b"!").split()
            self._take(int(number), int(qos), dup == b"1")
            if record.endswith(b"!"):
                self._damaged.append(int(number))
        return self._next + self.came > before

    def _take(self, number, qos, dup):
        self._newest = number, qos
        self._times[number] += 1
        if qos != number % 2 + 1:
            self._damaged.append(number)
        if self._times[number] == 1:
            if number not in self._unknown:
                self.came += 1
            if number < self._last[qos]:
                self._disorder.append(number)
            self._last[qos] = number
        elif qos == 2 and dup and self._at_risk[number]:
            self._at_risk[number] -= 1
            self._window += 1
        else:
            self._repeats.append((number, qos))

    def killed(self):
        """The receiver was killed, perhaps in the callback of the message that it noted last."""
        if self._newest:
            self._at_risk[self._newest[0]] += self._newest[1] == 2

    def let_go_on(self):
        """Tell the sender up to which number it may publish."""
        on_their_way = self.said - self.came
        self.sender.order(str(min(self._messages + len(self._unknown), self._next + max(0, BACKLOG - on_their_way))))

    def enough(self):
        """The time is over: send no more messages."""
        self._messages = min(self._messages, self._next - len(self._unknown))

    def is_said(self):
        return self._next - len(self._unknown) >= self._messages

    def is_over(self):
        return self.is_said() and self.came >= self.said

    def counts(self):
        kept = [number for number in range(self._next) if number not in self._unknown]
        doubled, breaches = self._doubled()
        return collections.Counter(
            {
                "kept": self.said,
                "kept 1": sum(number % 2 == 0 for number in kept),
                "kept 2": sum(number % 2 == 1 for number in kept),
                "unknown": len(self._unknown),
                "full": self._full,
                "lost": len(self._lost()),
                "doubled 1": sum(qos == 1 for _, qos in self._repeats),
                "doubled 2": len(doubled),
                "window": self._window,
                "breach": breaches,
                "disorder": len(self._disorder),
                "damaged": len(self._damaged),
            }
        )

    def _lost(self):
        return [number for number in range(self._next) if number not in self._unknown and not self._times[number]]

    def _doubled(self):
        """-> the numbers at QoS 2 that came again, and how many others the broker repeated against the standard."""
        breaches = self._words.breaches.copy()
        doubled = []
        for number, qos in self._repeats:
            if qos == 2:
                if breaches[number]:
                    breaches[number] -= 1
                else:
                    doubled.append(number)
        return doubled, sum(qos == 2 for _, qos in self._repeats) - len(doubled)

    def violations(self):
        direction = f"{self.sender.name} to {self.receiver.name}"
        broken = {
            "lost": self._lost(),
            "doubled at QoS 2": self._doubled()[0],
            "out of order": self._disorder,
            "damaged": self._damaged,
        }
        return [
            f"{direction}: {len(numbers)} {what}: {', '.join(map(str, numbers[:20]))}"
            for what, numbers in broken.items()
            if numbers
        ]


class BrokersWords:
    """The broker's packets to one node, over all its connections: listen() is a tap for a FaultProxy."""

    def __init__(self):
        # number: how often it was published again, as the same packet, after its PUBREL
        self.breaches = collections.Counter()
        self._under_way = {}  # packet id: number, of the QoS 2 messages published
        self._released = set()  # those packet ids whose PUBREL was sent

    def listen(self):
        """-> a function that takes the bytes of one connection."""
        unread = bytearray()

        def take(data):
            unread.extend(data)
            while packet := _first_packet(unread):
                head, body, length = packet
                if head & 0xF6 == 0x34:
                    self._published(body, bool(head & 8))
                elif head == 0x62:
                    self._released.add(int.from_bytes(body))
                del unread[:length]

        return take

    def _published(self, body, dup):
        after_topic = 2 + int.from_bytes(body[:2])
        packet_id = int.from_bytes(body[after_topic : after_topic + 2])
        number = int(body[after_topic + 2 :].partition(b":")[0])
        if dup and packet_id in self._released and self._under_way.get(packet_id) == number:
            self.breaches[number] += 1
        self._under_way[packet_id] = number
        self._released.discard(packet_id)


def _first_packet(data):
    """-> (first byte, body, length in all), or None if it is not complete."""
    size = 0
    for at in range(1, len(data)):
        size |= (data[at] & 127) << 7 * (at - 1)
        if data[at] < 128:
            end = at + 1 + size
            return (data[0], bytes(data[at + 1 : end]), end) if end <= len(data) else None
    return None
