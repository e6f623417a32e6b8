"""What tests of loop.sock_*() share: both loops, socks to use them on, and the ways to read from one."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
from typing import TYPE_CHECKING, Any

import pytest

from loopwright._native import MISSING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator

if MISSING is not None:
    pytest.skip(MISSING, allow_module_level=True)

from loopwright.loops._native_loop import NativeEventLoop

Loop = Any
Run = Any  # called with a function of a loop

LOOPS = {"asyncio": asyncio.SelectorEventLoop, "native": NativeEventLoop}


def run_on(name: str, main: Callable[[Loop], Coroutine[Any, Any, Any]], *, debug: bool = False) -> Any:
    async def with_loop() -> Any:
        return await main(asyncio.get_running_loop())

    with asyncio.Runner(loop_factory=LOOPS[name], debug=debug) as runner:
        return runner.run(with_loop())


on_both = pytest.mark.parametrize("run", [functools.partial(run_on, name) for name in LOOPS], ids=LOOPS)


@contextlib.contextmanager
def pair(kind: int = socket.SOCK_STREAM) -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair(socket.AF_UNIX, kind)
    with one, other:
        for end in (one, other):
            end.setblocking(False)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        yield one, other


@contextlib.contextmanager
def inet(kind: int = socket.SOCK_STREAM, family: int = socket.AF_INET) -> Iterator[socket.socket]:
    """A socket bound to an address of its own, listening if it can."""
    with socket.socket(family, kind) as sock:
        sock.setblocking(False)
        sock.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
        if kind == socket.SOCK_STREAM:
            sock.listen()
        yield sock


def fill(sock: socket.socket) -> int:
    """Send until nothing more is taken. How much was."""
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            sent += sock.send(b"." * 1000)
    return sent


def drain(sock: socket.socket) -> int:
    got = 0
    with contextlib.suppress(BlockingIOError):
        while data := sock.recv(65536):
            got += len(data)
    return got


async def turns(number: int = 3) -> None:
    """Enough for what was started to wait for its socket."""
    for _ in range(number):
        await asyncio.sleep(0.001)


async def cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


READS: dict[str, Callable[[Loop, socket.socket], Awaitable[Any]]] = {
    "recv": lambda loop, sock: loop.sock_recv(sock, 100),
    "recv_into": lambda loop, sock: received_into(loop, sock),
    "recvfrom": lambda loop, sock: first_of(loop.sock_recvfrom(sock, 100)),
    "recvfrom_into": lambda loop, sock: received_from_into(loop, sock),
}


async def first_of(pair: Awaitable[Any]) -> Any:
    return (await pair)[0]


async def received_into(loop: Loop, sock: socket.socket) -> bytes:
    buffer = bytearray(100)
    return bytes(buffer[: await loop.sock_recv_into(sock, buffer)])


async def received_from_into(loop: Loop, sock: socket.socket) -> bytes:
    buffer = bytearray(100)
    size, _ = await loop.sock_recvfrom_into(sock, memoryview(buffer)[10:])
    return bytes(buffer[10 : 10 + size])
