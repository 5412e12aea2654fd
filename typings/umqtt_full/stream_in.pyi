from typing import Literal

from .codec import _QoS

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
