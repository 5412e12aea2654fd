from collections.abc import Callable
from typing import Any, TypeVar

from .codec import Message, _Bytes, _Payload, _QoS
from .outbox import Outbox
from .session import Counts, Session
from .transport import _SSL, TransportProtocol

_Filter = TypeVar("_Filter", bound=_Bytes)
_FilterAndQoS = TypeVar("_FilterAndQoS", bound=_Bytes | tuple[_Bytes, int])
_Server = _Bytes | tuple[_Bytes, int] | list[_Bytes | tuple[_Bytes, int]]

# What the blocking client and that of asyncio have in common.
class BaseClient:
    KEEPALIVE: bool
    client_id: _Bytes
    server: _Server
    port: int
    user: _Bytes | None
    pswd: _Bytes | None
    keepalive: int
    ssl: _SSL
    ssl_params: dict[str, Any]
    timeout_ms: int
    on_message: Callable[[Message], object] | None
    on_connect: Callable[[bool], object] | None
    on_disconnect: Callable[[BaseException], object] | None
    on_wait: Callable[[], object] | None
    # The topic name, the length of the payload, and why the message was not handed over
    on_skip: Callable[[bytes, int, str], object] | None
    will: tuple[bytes, bytes, int, bool] | None
    sock: Any
    transport: TransportProtocol
    session: Session
    counts: Counts
    outbox: Outbox | None
    max_packet: int
    def set_last_will(self, topic: _Bytes | None, msg: _Payload = b"", retain: bool = False, qos: _QoS = 0) -> None: ...
    def set_callback(self, f: Callable[[bytes, bytes], object]) -> None: ...
    def is_connected(self) -> bool: ...
    def in_callback(self) -> bool: ...
    def pending(self, packet_id: int) -> bool: ...
    def due_ms(self) -> int | None: ...
    def close(self) -> None: ...
