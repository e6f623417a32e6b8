"""The event loop of our own: compiled where it is hot, asyncio's where it is not."""

from __future__ import annotations

import asyncio
import selectors
from asyncio import sslproto
from typing import TYPE_CHECKING, Any

from loopwright._native import LoopCore, StreamTransport
from loopwright.loops._asyncio_private import subprocess_starter
from loopwright.loops._native_socks import SockMethods
from loopwright.watchers import process_watcher

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping
    from contextvars import Context

__all__ = ["NativeEventLoop"]


class NativeEventLoop(LoopCore, SockMethods, asyncio.SelectorEventLoop):
    """An event loop."""

    def __init__(self) -> None:
        super().__init__(Descriptors(self))

    _ready = property(lambda self: self.ready, lambda _self, _queue: None)
    _scheduled = property(lambda self: self.timers, lambda _self, _heap: None)

    def close(self) -> None:
        super().close()
        self._release()

    def _make_self_pipe(self) -> None:
        """asyncio wakes a loop by a socket. Ours has an eventfd for that, and this only for signals, once there are."""
        self._ssock = self._csock = None
        self._internal_fds += 1

    def _close_self_pipe(self) -> None:
        self._internal_fds -= 1
        if self._csock is not None:
            super()._close_self_pipe()

    def add_signal_handler(self, sig: int, callback: Callable[..., Any], *args: Any) -> None:
        if self._csock is None and not self.is_closed():
            super()._make_self_pipe()
        super().add_signal_handler(sig, callback, *args)

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

    _make_subprocess_transport = subprocess_starter(process_watcher)


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
