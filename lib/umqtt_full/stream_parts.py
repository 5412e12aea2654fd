# What the modules for payloads larger than memory share: the parts of a message that comes in, and their errors.

from .errors import LinkLost

# What a part of a message can be.
MORE = 0
COMPLETE = 1
ABORTED = 2


class StreamError(LinkLost):
    """A source or a file failed in the middle of a packet, which cannot be taken back: the link was closed. The words
    say which and how."""


class Part:
    """A piece of a message. One object is reused for all: it is valid until the handler returns.

    state: MORE, COMPLETE or ABORTED. payload: the bytes (a bytearray) at `offset` of `total`; none unless MORE. file:
    the path of the file that holds the whole payload, or None. topic_name, qos, retain, dup, packet_id: as a message's.
    """

    payload: bytearray | None
    file: str | None

    def __init__(self, message):
        self.topic_name = message.topic_name
        self.payload = self.file = None
        self.state = COMPLETE
        self.offset = self.total = self.qos = self.packet_id = 0
        self.retain = self.dup = False


class Handler:
    # The callback of a streamed subscription: a whole message arrives by a call, the parts of a larger one through
    # Inward.
    def __init__(self, inward, handler, folder):
        self.inward = inward
        self.handler = handler
        self.folder = folder

    def __call__(self, message):
        self.inward.whole(self, message)
