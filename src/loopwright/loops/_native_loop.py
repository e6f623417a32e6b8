"""The event loop of our own: compiled where it is hot, asyncio's where it is not."""

from __future__ import annotations

import asyncio
import selectors
from asyncio import sslproto
from typing import TYPE_CHECKING, Any

from loopwright import _native
from loopwright._native import DatagramTransport, ReadPipeTransport, StreamTransport, WritePipeTransport
from loopwright.loops._asyncio_private import subprocess_starter
from loopwright.loops._asyncio_watchers import current_watcher
from loopwright.loops._native_obstacle import native_obstacle
from loopwright.loops._native_popen import started
from loopwright.loops._native_serving import Serving
from loopwright.loops._native_signals import SignalledLoop
from loopwright.loops._native_socks import SockMethods

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping
    from contextvars import Context
    from typing import Self

    from loopwright._native import LoopCore
else:

    class _NoCore:
        """In the place of the compiled part where that is missing. Nothing is ever made of it."""

    LoopCore = _native.LoopCore or _NoCore

__all__ = ["NativeEventLoop"]


class NativeEventLoop(LoopCore, SockMethods, Serving, SignalledLoop):
    """asyncio's event loop for Unix, compiled where it is hot: an `asyncio.SelectorEventLoop`, with that one's methods,
    order of callbacks, errors and debug mode. On Linux, with CPython.

    Made without arguments, by whoever runs it: `asyncio.run(main(), loop_factory=NativeEventLoop)`, a policy with
    `loop="native"`, or anything that takes a class of loops. Whoever made it closes it; one that is dropped unclosed
    says so (ResourceWarning) and is collected with all that it holds.

    **Threads.** It runs in one thread, which need not be the one that made it; its methods and those of its transports
    are that thread's, or, while it does not run, one thread's at a time. From others only `call_soon_threadsafe()`,
    `is_running()`, `is_closed()`, `time()` and `get_debug()`, and what rests on the first, such as
    `asyncio.run_coroutine_threadsafe()`. In debug mode, call_soon() and the like raise RuntimeError in a wrong thread.
    After fork(2) the child's copy shares nothing with the parent's: to use, close or drop it there does not reach the
    parent.

    **What differs from asyncio's own**, on purpose:

    - Handles, timers and transports are compiled. To `isinstance()` they are asyncio's; they do not inherit from these.
    - While callbacks keep coming, descriptors are looked at after 32 of them or 50 microseconds, not in every pass.
    - Timers for the same time run in the order in which they were made, and none early or with a clock's resolution
      added: to the nanosecond, as far as the kernel can (before Linux 5.11, to the millisecond, rounded up).
    - All of a transport's callbacks run in one context, that in which it was made.
    - Of several `sock_recv()` (and the like) that wait for one socket, all go on, not only the newest.
    - Subprocesses are started without holding the loop, and handed to a child watcher on every Python: that of the
      policy which made the loop, else of the current policy, else Loopwright's own.
    - Signals of a kind that come before Python runs their handler count once, as with `signal.signal()`.
    - It takes `max_tasks` and no task scheduler (SchedulerRefusedError): native scheduling comes later.

    LoopUnavailableError (an ImportError), with the reason and what to do, where it cannot run: it is not built, is
    asked not to be used (`LOOPWRIGHT_PURE=1`), on a free-threaded Python, in a subinterpreter; elsewhere than on Linux
    WrongPlatformError, which is one. OSError if there is no descriptor left for it; it takes two, two more when it is
    first run in the main thread, for signals (which it then does without, if there are none), and two more with the
    first subprocess. TypeError if it is given arguments.
    """

    def __new__(cls, *given: Any, **named: Any) -> Self:  # whatever a subclass's __init__() takes
        # Not in __init__(): what was made by then would be a loop that was never set up, and complain when dropped.
        obstacle = native_obstacle()
        if obstacle is not None:
            raise obstacle
        if cls is NativeEventLoop and (given or named):
            raise TypeError(
                f"NativeEventLoop() takes no arguments, a selector neither ({_shown(given, named)} was given): it asks"
                " epoll(7) by itself; asyncio.SelectorEventLoop(selector) is the loop for a selector of one's own"
            )
        return super().__new__(cls)

    def __init__(self) -> None:
        super().__init__(Descriptors(self))

    def close(self) -> None:
        super().close()
        self._release()

    def _make_socket_transport(
        self,
        sock: Any,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[None] | None = None,
        *,
        extra: dict[str, Any] | None = None,
        server: asyncio.AbstractServer | None = None,
        context: Context | None = None,
    ) -> asyncio.Transport:
        self._ensure_fd_no_transport(sock)
        return StreamTransport(self, sock, protocol, waiter, extra, server, context)

    def _make_datagram_transport(
        self,
        sock: socket.socket,
        protocol: asyncio.BaseProtocol,
        address: Any = None,
        waiter: asyncio.Future[Any] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> DatagramTransport:
        self._ensure_fd_no_transport(sock)
        return DatagramTransport(self, sock, protocol, address, waiter, extra)

    def _make_ssl_transport(
        self,
        rawsock: socket.socket,
        protocol: asyncio.BaseProtocol,
        sslcontext: Any,
        waiter: Any = None,
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

    def _make_read_pipe_transport(
        self, pipe: Any, protocol: asyncio.BaseProtocol, waiter: asyncio.Future[None] | None = None, extra: Any = None
    ) -> asyncio.ReadTransport:
        return ReadPipeTransport(self, pipe, protocol, waiter, extra)

    def _make_write_pipe_transport(
        self, pipe: Any, protocol: asyncio.BaseProtocol, waiter: asyncio.Future[None] | None = None, extra: Any = None
    ) -> asyncio.WriteTransport:
        return WritePipeTransport(self, pipe, protocol, waiter, extra)

    _make_subprocess_transport = subprocess_starter(current_watcher, started)


def _shown(given: tuple[Any, ...], named: dict[str, Any]) -> str:
    return ", ".join([*map(repr, given), *(f"{name}={value!r}" for name, value in named.items())])


class Descriptors(selectors.BaseSelector):
    """What the loop watches, as a selector shows it. It can only be read: the loop does the rest by itself."""

    def __init__(self, loop: NativeEventLoop) -> None:
        self._table = loop._watched

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return {fd: selectors.SelectorKey(fd, fd, events, data) for fd, events, data in self._table()}

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        return self.get_map()[fileobj if isinstance(fileobj, int) else fileobj.fileno()]

    def register(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    unregister = select = register
