"""A pipe to fill and to read, and what waits for it to be full."""

from __future__ import annotations

import asyncio
import os
import select
import time
from typing import TYPE_CHECKING, Any

from loopwright.cli._sink import Sink

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Run = Callable[[Coroutine[Any, Any, None]], None]

PIPE_HOLDS = 1 << 16


class Pipe:
    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()

    def read_all(self, slowly: float = 0.0) -> bytes:
        """All until no writer is left; to be called in a thread."""
        chunks = []
        while chunk := os.read(self.reading, 4096 if slowly else 1 << 20):
            chunks.append(chunk)
            time.sleep(slowly)
        return b"".join(chunks)

    def read_exactly(self, count: int, at_once: int = 1 << 20) -> bytes:
        got = b""
        while len(got) < count:
            got += os.read(self.reading, min(at_once, count - len(got)))
        return got

    def close_reading(self) -> None:
        if self.reading >= 0:
            os.close(self.reading)
            self.reading = -1

    def close_writing(self) -> None:
        if self.writing >= 0:
            os.close(self.writing)
            self.writing = -1


async def stuck(sink: Sink) -> None:
    """Wait until the writer has filled the pipe and stands still."""
    before = -1
    while select.select([], [sink._fd], [], 0)[1] or sink.queued != before:
        before = sink.queued
        await asyncio.sleep(0.05)
