"""The event loop of our own: compiled where it is hot, asyncio's where it is not."""

from __future__ import annotations

import asyncio
import selectors
from asyncio import sslproto
from typing import TYPE_CHECKING, Any

from loopwright._native import LoopCore, ReadPipeTransport, StreamTransport, WritePipeTransport
from loopwright.loops._asyncio_private import subprocess_starter
from loopwright.loops._native_popen import started
from loopwright.loops._native_signals import SignalledLoop
from loopwright.watchers import process_watcher

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping
    from contextvars import Context

__all__ = ["NativeEventLoop"]


class NativeEventLoop(LoopCore, SignalledLoop):
    """An event loop."""

    def __init__(self) -> None:
        super().__init__(Descriptors(self))

    _ready = property(lambda self: self.ready, lambda _self, _queue: None)
    _scheduled = property(lambda self: self.timers, lambda _self, _heap: None)

    def close(self) -> None:
        super().close()
        self._release()

    def _make_socket_transport(self, sock, protocol, waiter=None, *, extra=None, server=None, context=None):
        self._ensure_fd_no_transport(sock)
        return StreamTransport(self, sock, protocol, waiter, extra, server, context)

    def _make_ssl_transport(
        self,
        rawsock: socket.socket,
        protocol: asyncio.BaseProtocol,
        sslcontext: Any,
        waiter: asyncio.Future[Any] | None = None,
        *,
        extra: dict[str, Any] | None = None,
        server: Any = None,
        context: Context | None = None,
        **options: Any,
    ) -> Any:
        self._ensure_fd_no_transport(rawsock)
        ssl_protocol = sslproto.SSLProtocol(self, protocol, sslcontext, waiter, **options)
        StreamTransport(self, rawsock, ssl_protocol, None, extra, server, context)
        return ssl_protocol._app_transport

    def _make_read_pipe_transport(self, pipe, protocol, waiter=None, extra=None):
        return ReadPipeTransport(self, pipe, protocol, waiter, extra)

    def _make_write_pipe_transport(self, pipe, protocol, waiter=None, extra=None):
        return WritePipeTransport(self, pipe, protocol, waiter, extra)

    _make_subprocess_transport = subprocess_starter(process_watcher, started)


class Descriptors(selectors.BaseSelector):
    """What the loop watches, as a selector shows it. It can only be read: the loop does the rest by itself."""

    def __init__(self, loop: NativeEventLoop) -> None:
        self._table = loop.watched

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return {fd: selectors.SelectorKey(fd, fd, events, data) for fd, events, data in self._table()}

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        return self.get_map()[fileobj if isinstance(fileobj, int) else fileobj.fileno()]

    def register(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    unregister = select = register
