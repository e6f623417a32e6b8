"""How the native loop takes connections: without a task for each.

asyncio starts a task for every connection, to wait until the protocol has been told of it, and does nothing then but to
look whether that failed. Here the transport is simply made; that saves a quarter of what a connection costs a server.
TLS has a handshake to wait for, and a socket that cannot be accepted for want of descriptors has asyncio's way of
waiting: both go asyncio's way.
"""

from __future__ import annotations

import asyncio
import contextvars
from asyncio.log import logger
from typing import TYPE_CHECKING, Any

from loopwright._native import StreamTransport

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

__all__ = ["Serving"]


class Serving(asyncio.SelectorEventLoop):
    """The part of the loop that serves."""

    # asyncio hands the same arguments to it that it is given by _start_serving(): more of them since 3.14.
    def _accept_connection(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        sock: socket.socket,
        sslcontext: Any = None,
        server: asyncio.AbstractServer | None = None,
        backlog: int = 100,
        *rest: Any,
    ) -> None:
        arguments = (protocol_factory, sock, sslcontext, server, backlog, *rest)
        if sslcontext:
            super()._accept_connection(*arguments)  # type: ignore[misc]
            return
        context = rest[2] if len(rest) > 2 else None
        for _ in range(backlog):
            try:
                connection, address = sock.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue  # it went before it was taken
            except OSError:
                super()._accept_connection(*arguments)  # type: ignore[misc]
                return
            self._connected(protocol_factory, connection, address, server, context)

    def _connected(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        connection: socket.socket,
        address: Any,
        server: asyncio.AbstractServer | None,
        context: contextvars.Context | None,
    ) -> None:
        if self.get_debug():
            logger.debug("%r got a new connection from %r: %r", server, address, connection)
        own = contextvars.copy_context() if context is None else context.copy()
        protocol = None
        try:
            connection.setblocking(False)
            protocol = own.run(protocol_factory)
            self._ensure_fd_no_transport(connection)  # type: ignore[attr-defined]
            StreamTransport(self, connection, protocol, None, {"peername": address}, server, own)
        except BaseException as error:
            connection.close()  # asyncio leaves that to the collector
            if isinstance(error, (SystemExit, KeyboardInterrupt)):
                raise
            # In asyncio only debug mode tells, and a program whose factory raises hangs up on everybody without a word.
            report = {"message": "Error on transport creation for incoming connection", "exception": error}
            self.call_exception_handler(report if protocol is None else report | {"protocol": protocol})
