from collections.abc import Callable
from typing import Any, Literal, Self, overload

from .base import BaseClient, _Filter, _FilterAndQoS, _Server
from .codec import Message, _Bytes, _Payload, _QoS
from .journal import Journal
from .store import RamStore
from .transport import _SSL, TransportProtocol

class MQTTClient(BaseClient):
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
        timeout_ms: int = 10000,
        max_packet: int = 1024,
        inflight: int = 4,
        received: int = 1024,
        chunk: int = 512,
        store: RamStore | Journal | None = None,
        transport: TransportProtocol | None = None,
        online: Callable[[], object] | None = None,
    ) -> None: ...
    def connect(
        self,
        clean_session: bool = True,
        timeout: float | None = None,
        timeout_ms: int | None = None,
        discard: bool = False,
    ) -> bool: ...
    def reconnect(self, timeout_ms: int | None = None) -> bool: ...
    def disconnect(self, timeout_ms: int | None = None) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, kind: object, error: object, trace: object) -> None: ...
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
    ) -> None: ...
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
    ) -> int: ...
    @overload
    def publish(
        self,
        topic: _Bytes,
        msg: _Payload,
        retain: bool,
        qos: Literal[1, 2],
        wait: bool = True,
        timeout_ms: int | None = None,
    ) -> int: ...
    @overload
    def publish(
        self,
        topic: _Bytes,
        msg: _Payload,
        retain: bool = False,
        qos: _QoS = 0,
        wait: bool = True,
        timeout_ms: int | None = None,
    ) -> int | None: ...
    def flush(self, timeout_ms: int | None = None) -> bool: ...
    # The granted QoS, of each filter; None where it is not yet known
    @overload
    def subscribe(
        self,
        topic: _Bytes,
        qos: _QoS = 0,
        callback: Callable[[Message], object] | None = None,
        wait: bool = True,
        timeout_ms: int | None = None,
    ) -> int | None: ...
    @overload
    def subscribe(
        self,
        topic: list[_FilterAndQoS],
        qos: _QoS = 0,
        callback: Callable[[Message], object] | None = None,
        wait: bool = True,
        timeout_ms: int | None = None,
    ) -> list[int | None]: ...
    def unsubscribe(self, topic: _Bytes | list[_Filter], wait: bool = True, timeout_ms: int | None = None) -> None: ...
    def check_msg(self) -> int | None: ...
    def wait_msg(self, timeout_ms: int | None = None) -> int | None: ...
    def poll(self, timeout_ms: int | None = 0) -> bool: ...
    def ping(self) -> None: ...
    def wait_for(self, packet_id: int, timeout_ms: int | None = None) -> None: ...
    def wait_for_room(self, timeout_ms: int | None = None) -> bool: ...
    def pause(self, ms: int) -> None: ...
