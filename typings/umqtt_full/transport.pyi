from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

# ssl=: ssl's SSLContext, or MicroPython's tls's; or True
class _Context(Protocol):
    def wrap_socket(self, *args: Any, **kwargs: Any) -> Any: ...

_SSL: TypeAlias = _Context | bool | None

# What a client takes in the place of TCP: transport=
class _Transport(Protocol):
    def open(
        self,
        host: str,
        port: int,
        ssl: _SSL,
        ssl_params: dict[str, Any],
        timeout_ms: int,
        on_wait: Callable[[], object],
        /,
    ) -> object: ...
    def readinto(self, buf: bytearray, /) -> int | None: ...
    def write(self, buf: bytearray, offset: int, size: int, /) -> int | None: ...
    def wait(self, ms: int, for_write: bool = False, for_read: bool = True, /) -> object: ...
    def close(self) -> object: ...
    def ticks_ms(self) -> int: ...

class Transport:
    online: Callable[[], object] | None
    sock: Any
    shaking: bool
    drains: bool
    def __init__(self, online: Callable[[], object] | None = None) -> None: ...
    def open(
        self,
        host: str,
        port: int,
        ssl: _SSL,
        ssl_params: dict[str, Any],
        timeout_ms: int,
        on_wait: Callable[[], object],
    ) -> None: ...
    def wait(self, ms: int, for_write: bool = False, for_read: bool = True) -> None: ...
    def close(self) -> None: ...
    # Attributes in fact, while there is a connection the socket's own methods.
    def readinto(self, buf: bytearray, /) -> int | None: ...
    def write(self, buf: bytearray, offset: int, size: int, /) -> int | None: ...
    def ticks_ms(self) -> int: ...
