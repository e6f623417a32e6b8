"""What the contract suite of event loops plays on: a loop, sockets that are its peers, and protocols that take notes.

Peers are plain sockets of the same thread, never blocking, asked again and again between two passes of the loop: so
nothing about them depends on the loop that is tested but its timers.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import TYPE_CHECKING, Any, TypeVar

from loopwright.testing import _loop_recorders
from loopwright.testing._leaks import LeakCheck
from loopwright.testing._loop_recorders import (
    LIMIT,
    WOKEN,
    BufferedRecorder,
    DatagramRecorder,
    Notes,
    Peer,
    Recorder,
    eventually,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

__all__ = [
    "LIMIT",
    "PATIENCE",
    "QUIET",
    "WOKEN",
    "BufferedRecorder",
    "DatagramRecorder",
    "LoopTests",
    "Notes",
    "Peer",
    "Recorder",
    "Stage",
    "eventually",
    "raises",
    "slow",
    "tcp_pair",
    "unix_pair",
]

T = TypeVar("T")
F = TypeVar("F")

#: As LIMIT, for the tests that are marked slow.
PATIENCE = 300.0
#: How long a test listens for what must not come. Seconds.
QUIET = 0.02
#: What the kernel is asked to keep for each direction of a TCP connection; left alone, it takes megabytes. Bytes.
ROOM = 128 * 1024


def slow(test: F) -> F:
    """Marks a test that takes seconds: it has an attribute `slow` then, by which a test runner can leave it out."""
    test.slow = True  # type: ignore[attr-defined]
    return test


def raises(kind: type[BaseException], call: Callable[..., object], *args: Any) -> BaseException:
    """Call it, and give back the exception of that kind that it must raise."""
    try:
        call(*args)
    except kind as error:
        return error
    raise AssertionError(f"{call!r} should have raised {kind.__name__}")


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Both ends of a TCP connection over the loopback interface, in which not much is under way; they do not block."""
    with socket.socket(proto=socket.IPPROTO_TCP) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)  # inherited by what is accepted, socket(7)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ROOM)
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        mine = socket.socket(proto=socket.IPPROTO_TCP)
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ROOM)
        mine.connect(server.getsockname())
        theirs, _ = server.accept()
    for end in (mine, theirs):
        end.setblocking(False)
    return mine, theirs


def unix_pair() -> tuple[socket.socket, socket.socket]:
    """Both ends of a Unix stream connection; they do not block."""
    pair = socket.socketpair()
    for end in pair:
        end.setblocking(False)
    return pair


PAIRS = {"tcp": tcp_pair, "unix": unix_pair}


class Stage:
    """One loop and its peers."""

    def __init__(self, make_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self._make_loop = make_loop
        self._loops: list[asyncio.AbstractEventLoop] = []
        self._open: list[Any] = []
        self.contexts: list[dict[str, Any]] = []
        #: Not typed: much of what tests do with it is wrong on purpose.
        self.loop: Any = self.new_loop()

    def new_loop(self) -> asyncio.AbstractEventLoop:
        """A further loop, closed at the end of the test."""
        loop = self._make_loop()
        loop.set_exception_handler(lambda _, context: self.contexts.append(context))
        self._loops.append(loop)
        return loop

    def keep(self, thing: T) -> T:
        """Have something closed at the end of the test, however it goes."""
        self._open.append(thing)
        return thing

    def run(self, coroutine: Coroutine[Any, Any, T], *, within: float | None = None) -> T:
        """Run a coroutine on the loop; AssertionError if it takes longer than any should."""
        within = _loop_recorders.LIMIT if within is None else within
        main = self.loop.create_task(coroutine)
        late = self.loop.call_later(within, main.cancel)
        try:
            result: T = self.loop.run_until_complete(main)
        except asyncio.CancelledError:
            raise AssertionError(f"still waiting after {within:g} s for what should have happened") from None
        finally:
            late.cancel()
        return result

    def reported(self) -> list[dict[str, Any]]:
        """What the loop told its exception handler of since last asked; what nobody asks for fails the test."""
        found, self.contexts = self.contexts, []
        return found

    def the_report(self) -> dict[str, Any]:
        """The one thing that the loop told its exception handler of since last asked."""
        found = self.reported()
        assert len(found) == 1, found
        return found[0]

    def pair(self, kind: str) -> tuple[socket.socket, Peer]:
        """Both ends of a connection, `tcp` or `unix`."""
        mine, theirs = PAIRS[kind]()
        return self.keep(mine), Peer(self.keep(theirs))

    async def connected(self, protocol: Any, kind: str = "tcp") -> tuple[Any, Peer]:
        """A transport with this protocol, and its peer."""
        mine, peer = self.pair(kind)
        if kind == "tcp":
            transport, _ = await self.loop.create_connection(lambda: protocol, sock=mine)
        else:
            transport, _ = await self.loop.create_unix_connection(lambda: protocol, sock=mine)
        self.keep(transport)
        return transport, peer

    def pipe(self) -> tuple[Any, Any]:
        """Both ends of a pipe, as files without a buffer that do not block."""
        read, write = os.pipe()
        for end in (read, write):
            os.set_blocking(end, False)
        return self.keep(open(read, "rb", 0)), self.keep(open(write, "wb", 0))  # noqa: PTH123 - kept

    def strike(self) -> None:
        """Give everything back, whatever state the test left it in."""
        for thing in reversed(self._open):
            if hasattr(thing, "is_closing"):  # a transport; not every loop's is asyncio's
                with contextlib.suppress(Exception):  # a loop that is broken or closed: the test has said so already
                    thing.abort() if hasattr(thing, "abort") else thing.close()
        for loop in self._loops:
            if loop.is_closed():
                continue
            sweeping = self._sweep()
            with contextlib.suppress(Exception):
                loop.run_until_complete(sweeping)
            sweeping.close()
            loop.close()
        for thing in reversed(self._open):
            if not hasattr(thing, "is_closing"):
                with contextlib.suppress(OSError):
                    thing.close()

    async def _sweep(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for _ in range(3):  # connection_lost() is called in a later pass, and closes the socket
            await asyncio.sleep(0)


class LoopTests:
    """What every part of the contract suite is built on: a class of tests that says what it tests."""

    def make_loop(self) -> asyncio.AbstractEventLoop:
        """A new event loop of the kind that is tested. To be overridden."""
        raise NotImplementedError(f"{type(self).__name__} must override make_loop() and return a new event loop")

    @contextlib.contextmanager
    def stage(self) -> Iterator[Stage]:
        """For one test: at its end everything is closed, and what then is left over is an error, and so is what the
        loop told its exception handler of, unless the test asked for it."""
        self.make_loop().close()  # what a library opens with its first loop and keeps is no leak
        with LeakCheck():
            stage = Stage(self.make_loop)
            try:
                yield stage
            finally:
                stage.strike()
            assert not stage.contexts, f"the loop reported what nobody expected: {stage.contexts}"
