from typing import Literal, TypeAlias

# What the library takes for text and bytes (bytes cost no memory), and for a QoS.
_Bytes: TypeAlias = str | bytes | bytearray | memoryview
# A payload may be a number too: it is sent as its text.
_Payload: TypeAlias = _Bytes | int | float
_QoS: TypeAlias = Literal[0, 1, 2]

class Message:
    topic_name: bytearray
    payload: bytearray
    qos: _QoS
    packet_id: int
    retain: bool
    dup: bool
    @property
    def topic(self) -> str: ...
    @property
    def text(self) -> str: ...
    def __init__(self, capacity: int) -> None: ...
    def copy(self) -> Message: ...
