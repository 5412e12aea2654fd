from typing import Final, Literal

from .codec import _QoS
from .errors import LinkLost

MORE: Final = 0
COMPLETE: Final = 1
ABORTED: Final = 2

class StreamError(LinkLost): ...

class Part:
    topic_name: bytearray
    payload: bytearray
    file: str | None
    state: Literal[0, 1, 2]
    offset: int
    total: int
    qos: _QoS
    packet_id: int
    retain: bool
    dup: bool
