from asyncio import AbstractEventLoop, BaseProtocol
from asyncio import DatagramTransport as AsyncioDatagramTransport
from typing import Any

class DatagramTransport(AsyncioDatagramTransport):
    def __init__(
        self,
        loop: AbstractEventLoop,
        sock: Any,
        protocol: BaseProtocol,
        address: Any = None,
        waiter: Any = None,
        extra: dict[str, Any] | None = None,
    ) -> None: ...
