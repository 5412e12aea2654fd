from asyncio import Event
from collections.abc import Callable, Coroutine, Generator
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeVar, overload

from .aio_queue import Messages
from .base import BaseClient, _Filter, _FilterAndQoS, _Server
from .codec import Message, _Bytes, _Payload, _QoS
from .journal import Journal
from .store import RamStore
from .transport import _SSL, TransportProtocol

_Granted = TypeVar("_Granted", covariant=True)

# To be awaited: the granted QoS, of each filter; None where it is not yet known. Or to be entered.
class Subscribing(Generic[_Granted]):
    def __await__(self) -> Generator[Any, None, _Granted]: ...
    async def __aenter__(self) -> Messages: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

class MQTTClient(BaseClient):
    DELAY: float
    DEBUG: bool
    clean_session: bool
    up: Event
    down: Event
    def __init__(
        self,
        client_id: _Bytes,
        server: _Server,
        port: int = 0,
        user: _Bytes | None = None,
        password: _Bytes | None = None,
        keepalive: int = False,
        ssl: _SSL = None,
        ssl_params: dict[str, Any] = {},
        *,
        clean_session: bool = True,
        timeout_ms: int = 10000,
        max_packet: int = 1024,
        inflight: int = 4,
        received: int = 1024,
        chunk: int = 512,
        store: RamStore | Journal | None = None,
        transport: TransportProtocol | None = None,
        online: Callable[[], object] | None = None,
    ) -> None: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    async def connect(
        self, clean_session: bool | None = None, timeout_ms: int | None = None, discard: bool = False
    ) -> bool: ...
    def start(self) -> None: ...
    async def disconnect(self, timeout_ms: int | None = None) -> None: ...
    async def connected(self) -> None: ...
    # What ended the link, an error or a word
    async def disconnected(self) -> Any: ...
    def log(self, in_reconnect: bool, e: Exception) -> None: ...
    # The packet id at QoS 1 and 2
    @overload
    def publish(
        self,
        topic: _Bytes,
        msg: _Payload,
        retain: bool = False,
        qos: Literal[0] = 0,
        wait: bool = True,
        timeout_ms: int | None = None,
    ) -> Coroutine[Any, Any, None]: ...
    @overload
    def publish(
        self,
        topic: _Bytes,
        msg: _Payload,
        retain: bool = False,
        *,
        qos: Literal[1, 2],
        wait: bool = True,
        timeout_ms: int | None = None,
    ) -> Coroutine[Any, Any, int]: ...
    @overload
    def publish(
        self,
        topic: _Bytes,
        msg: _Payload,
        retain: bool,
        qos: Literal[1, 2],
        wait: bool = True,
        timeout_ms: int | None = None,
    ) -> Coroutine[Any, Any, int]: ...
    @overload
    def publish(
        self,
        topic: _Bytes,
        msg: _Payload,
        retain: bool = False,
        qos: _QoS = 0,
        wait: bool = True,
        timeout_ms: int | None = None,
    ) -> Coroutine[Any, Any, int | None]: ...
    @overload
    def publish_nowait(self, topic: _Bytes, msg: _Payload, retain: bool = False, qos: Literal[0] = 0) -> None: ...
    @overload
    def publish_nowait(self, topic: _Bytes, msg: _Payload, retain: bool = False, *, qos: Literal[1, 2]) -> int: ...
    @overload
    def publish_nowait(self, topic: _Bytes, msg: _Payload, retain: bool = False, qos: _QoS = 0) -> int | None: ...
    async def wait_for(self, packet_id: int, timeout_ms: int | None = None) -> None: ...
    async def wait_for_room(self, timeout_ms: int | None = None) -> bool: ...
    async def flush(self, timeout_ms: int | None = None) -> bool: ...
    @overload
    def subscribe(
        self,
        topic: _Bytes,
        qos: _QoS = 0,
        callback: Callable[[Message], object] | None = None,
        wait: bool = True,
        timeout_ms: int | None = None,
        queue: int = 4,
        newest: bool = False,
    ) -> Subscribing[int | None]: ...
    @overload
    def subscribe(
        self,
        topic: list[_FilterAndQoS],
        qos: _QoS = 0,
        callback: Callable[[Message], object] | None = None,
        wait: bool = True,
        timeout_ms: int | None = None,
        queue: int = 4,
        newest: bool = False,
    ) -> Subscribing[list[int | None]]: ...
    async def unsubscribe(
        self, topic: _Bytes | list[_Filter], wait: bool = True, timeout_ms: int | None = None
    ) -> None: ...
    def messages(self, queue: int = 4) -> Messages: ...
    def ping(self) -> None: ...
