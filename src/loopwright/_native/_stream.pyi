from asyncio import AbstractEventLoop, AbstractServer, BaseProtocol, Transport
from contextvars import Context
from typing import Any

class StreamTransport(Transport):
    def __init__(
        self,
        loop: AbstractEventLoop,
        sock: Any,
        protocol: BaseProtocol,
        waiter: Any = None,
        extra: dict[str, Any] | None = None,
        server: AbstractServer | None = None,
        context: Context | None = None,
    ) -> None: ...
