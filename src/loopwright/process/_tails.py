"""The end of what a process writes to its standard error, read by nobody but kept for an error's message."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from loopwright.process._capture import Tail
from loopwright.process._pipes import ReadPipe

if TYPE_CHECKING:
    import contextlib

__all__ = ["LONGEST_TAIL", "TailReceiver"]

#: How much of each stage's standard error is kept, in bytes.
LONGEST_TAIL = 65_536


class TailReceiver:
    """Reads a pipe and keeps the last of what it gets."""

    def __init__(self, loop: asyncio.AbstractEventLoop, number: int) -> None:
        self._tail = Tail(LONGEST_TAIL)
        self.ended: asyncio.Future[None] = loop.create_future()
        """Done when the pipe is closed, by its last writer or by us."""
        self._pipe = ReadPipe(loop, number, self._receive)

    @classmethod
    def join(cls, childs_ends: contextlib.ExitStack) -> tuple[TailReceiver, int]:
        """A receiver, and the descriptor for the child, which `childs_ends` closes."""
        ours, childs = os.pipe()
        childs_ends.callback(os.close, childs)
        return cls(asyncio.get_running_loop(), ours), childs

    def _receive(self, data: bytes) -> None:
        if data:
            self._tail.add(data)
        elif not self.ended.done():
            self.ended.set_result(None)

    def value(self) -> bytes:
        """The last of what came until now."""
        return self._tail.value()

    def close(self) -> None:
        """Close the pipe, whoever still holds its other end."""
        self._pipe.let_go()
