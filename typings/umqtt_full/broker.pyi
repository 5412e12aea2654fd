from collections.abc import Callable
from typing import Any

from .codec import Message

class Broker:
    access: Any
    limits: dict[str, int]
    on_event: Callable[[str, str, str], object] | None
    on_output: Callable[[], object] | None
    waiting: list[Any]
    links: set[Any]
    sessions: dict[bytes, Any]
    dropped: int
    untold: int
    window: bytearray
    retained_bytes: int
    journal: Any
    retained_messages: dict[bytes, tuple[bytes, int]]
    counts: Any
    def __init__(self, access: Any = None, journal: Any = None, **limits: int) -> None: ...
    def publish(
        self, topic: str | bytes, payload: str | bytes | int | float = b"", retain: bool = False, qos: int = 0
    ) -> None: ...
    def subscribe(self, topic_filter: str | bytes, callback: Callable[[Message], object]) -> Any: ...
    def unsubscribe(self, local: Any) -> None: ...
    def connected(self, now: int, way: Any = None, address: str = "") -> Any: ...
    def end(self, link: Any, why: str) -> None: ...
    def tick(self, now: int) -> None: ...
    def retained(self, topic_name: bytes) -> tuple[bytes, int] | None: ...
