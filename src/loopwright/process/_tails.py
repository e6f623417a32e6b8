"""The end of what a process writes to its standard error, read by nobody but kept for an error's message."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from loopwright.process._capture import Tail
from loopwright.process._pipes import PipeFile

if TYPE_CHECKING:
    import contextlib

__all__ = ["LONGEST_TAIL", "TailReceiver"]

#: How much of each stage's standard error is kept, in bytes.
LONGEST_TAIL = 65_536


class TailReceiver(asyncio.Protocol):
    """The protocol for the reading end of a pipe that keeps the last of what it gets."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._tail = Tail(LONGEST_TAIL)
        self._transport: asyncio.BaseTransport | None = None
        self.ended: asyncio.Future[None] = loop.create_future()
        """Done when the pipe is closed, by its last writer or by us."""

    @classmethod
    async def join(cls, childs_ends: contextlib.ExitStack) -> tuple[TailReceiver, int]:
        """A receiver, and the descriptor for the child, which `childs_ends` closes."""
        loop = asyncio.get_running_loop()
        self = cls(loop)
        ours, childs = os.pipe()
        childs_ends.callback(os.close, childs)
        file = PipeFile(ours)
        try:
            await loop.connect_read_pipe(lambda: self, file)
        except BaseException:
            file.close()
            raise
        return self, childs

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The pipe is joined to the loop."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Something was read."""
        self._tail.add(data)

    def eof_received(self) -> bool:
        """The last writer has closed it; False, for a pipe's end is its end (uvloop would keep it open for writing)."""
        return False

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The pipe is closed."""
        self._transport = None
        if not self.ended.done():
            self.ended.set_result(None)

    def value(self) -> bytes:
        """The last of what came until now."""
        return self._tail.value()

    async def close(self) -> None:
        """Close the pipe, whoever still holds its other end."""
        if self._transport is not None:
            self._transport.close()
        await asyncio.wait([self.ended])
