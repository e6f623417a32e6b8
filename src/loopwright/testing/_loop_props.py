"""What more than one part of the contract of event loops needs beside the stage: sockets, and a server."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

from loopwright.testing._loop_stage import Peer, Recorder

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from loopwright.testing._loop_stage import Stage

__all__ = ["HERE", "Serving", "cancelled", "deaf", "deaf_udp", "echo", "listening", "udp"]

HERE = "127.0.0.1"


class Serving:
    """A server whose protocols are noted."""

    def __init__(self, stage: Stage, **then: Any) -> None:
        self.stage = stage
        self.then = then
        self.recorders: list[Recorder] = []

    def make(self) -> Recorder:
        recorder = Recorder(**self.then)
        self.recorders.append(recorder)
        return recorder

    async def start(self, **options: Any) -> Any:
        self.server = await self.stage.loop.create_server(self.make, HERE, 0, **options)
        self.address = self.server.sockets[0].getsockname()
        return self.server

    def client(self) -> Peer:
        """A connection to it, which it need not have accepted yet."""
        sock = self.stage.keep(socket.socket())
        sock.settimeout(5)
        sock.connect(self.address)
        sock.setblocking(False)
        return Peer(sock)

    async def stop(self) -> None:
        self.server.close()
        for recorder in self.recorders:
            if recorder.transport is not None:
                recorder.transport.abort()
        await self.server.wait_closed()
        await asyncio.sleep(0)
        await asyncio.sleep(0)


def echo(self: Recorder, data: bytes) -> None:
    self.transport.write(data)


def udp() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.setblocking(False)
    return sock


def deaf(stage: Stage) -> Any:
    """The address of a socket that does not listen: whoever connects is refused, and nobody else can have it."""
    sock = stage.keep(socket.socket())
    sock.bind((HERE, 0))
    return sock.getsockname()


def deaf_udp(stage: Stage) -> socket.socket:
    """One that hears nobody, as it is connected to itself: who sends to it is told so, and nobody else can have its
    address. Connected to somebody else, it hears that one."""
    sock = stage.keep(udp())
    sock.connect(sock.getsockname())
    return sock


def listening() -> socket.socket:
    server = socket.create_server(("127.0.0.1", 0))
    server.setblocking(False)
    return server


async def cancelled(coroutine: Coroutine[Any, Any, Any], passes: int = 2) -> None:
    """Start something that has to wait, let the loop go round a few times, and cancel it."""
    task = asyncio.ensure_future(coroutine)
    for _ in range(passes):
        await asyncio.sleep(0)
    assert not task.done(), f"{task!r} should have had to wait"
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return
    raise AssertionError(f"{task!r} was cancelled, and ended otherwise")
