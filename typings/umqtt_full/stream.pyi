from collections.abc import Callable
from typing import Final, Protocol, TypeAlias

from .client import MQTTClient
from .codec import _Bytes, _QoS
from .errors import LinkLost
from .stream_in import Part

class _Readable(Protocol):
    def readinto(self, buf: bytearray, /) -> int | None: ...

_Payload: TypeAlias = str | Callable[[], _Readable] | _Readable

MORE: Final = 0
COMPLETE: Final = 1
ABORTED: Final = 2

class StreamError(LinkLost): ...

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
