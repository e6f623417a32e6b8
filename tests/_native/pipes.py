"""Pipes of each kind on one loop, and a protocol that writes down what it is told, for tests of pipe transports."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import socket
import tty
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ENOUGH = 20.0  # seconds, for what takes none


class Log(asyncio.Protocol):
    """Writes down what it is told; `react[name](transport)` is called then."""

    def __init__(self, react: dict[str, Callable[[Any], object]] | None = None) -> None:
        self.seen: list[Any] = []
        self.data = b""
        self.react = react or {}
        self.transport: Any = None
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def note(self, name: str, *more: Any) -> None:
        self.seen.append((name, *more))
        if name in self.react:
            self.react[name](self.transport)

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.note("made")

    def data_received(self, data: bytes) -> None:
        self.data += data
        self.note("data")

    def eof_received(self) -> None:
        self.note("eof")

    def pause_writing(self) -> None:
        self.note("pause")

    def resume_writing(self) -> None:
        self.note("resume")

    def connection_lost(self, exc: BaseException | None) -> None:
        if not self.lost.done():
            self.lost.set_result(None)
        self.note("lost", type(exc))


class Stage:
    """Pipes of each kind, on one loop; closed at the end, but for the end that a transport has."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.loop: Any = asyncio.get_running_loop()
        self.problems: list[str] = []
        self.loop.set_exception_handler(lambda _loop, context: self.problems.append(repr(context.get("exception"))))
        numbers: tuple[int, int]
        if kind == "pipe":
            numbers = os.pipe()
        elif kind == "fifo":
            os.mkfifo(folder / "fifo")
            reading = os.open(folder / "fifo", os.O_RDONLY | os.O_NONBLOCK)
            numbers = (reading, os.open(folder / "fifo", os.O_WRONLY))
            os.unlink(folder / "fifo")
        elif kind == "socket":
            pair = socket.socketpair()
            numbers = (pair[0].detach(), pair[1].detach())
        else:
            numbers = pty.openpty()
            tty.setraw(numbers[1])
        self.reading = os.fdopen(numbers[0], "rb", buffering=0)
        self.writing = os.fdopen(numbers[1], "wb", buffering=0)

    async def read_end(self, **react: Callable[[Any], object]) -> tuple[Any, Log]:
        transport, log = await self.loop.connect_read_pipe(lambda: Log(react), self.reading)
        return transport, log

    async def write_end(self, **react: Callable[[Any], object]) -> tuple[Any, Log]:
        transport, log = await self.loop.connect_write_pipe(lambda: Log(react), self.writing)
        return transport, log

    def fill(self) -> int:
        """So that nothing can be written; how much it took."""
        os.set_blocking(self.writing.fileno(), False)
        size = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                size += os.write(self.writing.fileno(), b"f" * 4096)
        return size

    def drain(self, size: int) -> bytes:
        os.set_blocking(self.reading.fileno(), True)
        data = b""
        while len(data) < size:
            data += os.read(self.reading.fileno(), size - len(data))
        return data

    def close(self) -> None:
        self.reading.close()
        self.writing.close()


KINDS = ("pipe", "fifo", "socket", "pty")


async def played(scene: Any, kind: str, folder: Path) -> Any:
    stage = Stage(kind, folder)
    try:
        outcome = await asyncio.wait_for(scene(stage), ENOUGH)
    finally:
        stage.close()
        await asyncio.sleep(0)
    return outcome, stage.problems


def on(factory: Any, scene: Any, kind: str, folder: Path, debug: bool = False) -> Any:
    with asyncio.Runner(loop_factory=factory, debug=debug) as runner:
        return runner.run(played(scene, kind, folder))


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for is what a transport under test tells
        await asyncio.sleep(0.001)


async def settle() -> None:
    for _ in range(4):
        await asyncio.sleep(0)
