from collections.abc import Callable
from typing import Protocol, TypeAlias

from .client import MQTTClient
from .codec import _Bytes, _QoS
from .stream_parts import ABORTED as ABORTED
from .stream_parts import COMPLETE as COMPLETE
from .stream_parts import MORE as MORE
from .stream_parts import Part as Part
from .stream_parts import StreamError as StreamError

class _Readable(Protocol):
    def readinto(self, buf: bytearray, /) -> int | None: ...

_Payload: TypeAlias = str | Callable[[], _Readable] | _Readable

class Streams:
    client: MQTTClient
    def __init__(self, client: MQTTClient, chunk: int = 512) -> None: ...
    def publish(
        self,
        topic: _Bytes,
        source: _Payload,
        length: int | None = None,
        retain: bool = False,
        qos: _QoS = 0,
        wait: bool = True,
        timeout_ms: int | None = None,
    ) -> int | None: ...
    def subscribe(
        self,
        topic_filter: _Bytes,
        handler: Callable[[Part], object],
        qos: _QoS = 0,
        folder: str | None = None,
        wait: bool = True,
        timeout_ms: int | None = None,
    ) -> int | None: ...
