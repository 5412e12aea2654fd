from typing import Any

from .broker import Broker as Broker

class Server:
    broker: Broker
    host: str
    port: int
    def __init__(
        self, broker: Broker, host: str = "127.0.0.1", port: int = 0, ssl: Any = None, allow_anonymous: bool = False
    ) -> None: ...
    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def run(self) -> None: ...
