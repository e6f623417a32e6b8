"""The lines that a process writes, as they come.

Theory of operation. Whoever stops in the midst of the lines (`break`, a cancellation) and goes on in another way, by
`communicate()` above all, must find everything that comes next. So nothing is read ahead: a stream is asked for one
piece at a time, and a piece stays in the stream's own buffer until it is whole. That buffer is bounded, and a full one
lets the pipe fill, so a slow reader of lines slows the process down.

Of two streams, each is first asked in one step of its coroutine: if that ends at once there was a piece; if it waits
instead, it is dropped, having taken nothing. Only if neither has one, a task waits on each; should both then have one
in the same moment, the second is kept here, one piece, until somebody asks for it. Rejected: a task for each stream
that feeds a queue, for it reads ahead and somebody has to end it; an async generator, for a `break` leaves its
clean-up to the garbage collector.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from loopwright._core import helper
from loopwright.process._text import WAITING, TextReader, at_once, bytes_piece

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from typing import Self

    from loopwright.process._process import Process

__all__ = ["BytesLine", "Lines", "Source", "TextLine", "sources"]


class TextLine(str):
    """A line from a process in text mode, without its line end."""

    __slots__ = ("continued", "stream")

    stream: str
    """Where it came from: "stdout" or "stderr"."""
    continued: bool
    """Whether the line goes on with the next piece from this stream: it is longer than 65,536 characters."""

    def __new__(cls, text: str, stream: str = "stdout", continued: bool = False) -> Self:
        self = super().__new__(cls, text)
        self.stream, self.continued = stream, continued
        return self


class BytesLine(bytes):
    """A line from a process, without its `\\n`."""

    stream: str
    """Where it came from: "stdout" or "stderr"."""
    continued: bool
    """Whether the line goes on with the next piece from this stream: it is longer than 65,536 bytes."""

    def __new__(cls, data: bytes, stream: str = "stdout", continued: bool = False) -> Self:
        self = super().__new__(cls, data)
        self.stream, self.continued = stream, continued
        return self


STREAMS = ("stdout", "stderr")

L = TypeVar("L", BytesLine, TextLine)


class Source:
    """One stream of a process, for its lines."""

    def __init__(self, name: str, stream: asyncio.StreamReader | TextReader, kept: deque[Any]) -> None:
        self.name = name
        self._kept = kept
        self._read: Callable[[], Any]
        self._read = stream.piece if isinstance(stream, TextReader) else lambda: bytes_piece(stream)
        self._make: Any = TextLine if isinstance(stream, TextReader) else BytesLine
        self._newline: Any = "\n" if isinstance(stream, TextReader) else b"\n"

    async def next(self) -> Any:
        """The next piece; None at the end."""
        return self._kept.popleft() if self._kept else await self._read()

    def next_at_once(self) -> Any:
        """The next piece, None at the end, or WAITING if there is none yet."""
        if self._kept:
            return self._kept.popleft()
        return at_once(self._read())

    async def wait(self) -> None:
        """Until `next_at_once()` would give something."""
        self._kept.append(await self._read())

    def line(self, piece: tuple[Any, bool]) -> Any:
        return self._make(piece[0].removesuffix(self._newline), self.name, piece[1])


def sources(process: Process, names: Sequence[str], pieces: dict[str, deque[Any]]) -> list[Source]:
    """The streams of those names, stdout without any. ValueError for one that cannot be read."""
    found = []
    for name in dict.fromkeys(names or ("stdout",)):
        if name not in STREAMS:
            raise ValueError(f"lines are read from the streams 'stdout' and 'stderr', not {name!r}")
        stream = getattr(process, name)
        if stream is None:
            raise ValueError(f"process {process.pid} was started without {name}=PIPE: it has no lines to read there")
        found.append(Source(name, stream, pieces.setdefault(name, deque())))
    return found


class Lines(Generic[L]):
    """The lines of one or two streams of a process: `async for line in process.lines()`.

    Each is a `bytes` or, in text mode, a `str`, that also knows its `stream`, and whether it is `continued`. May be
    left and taken up again at any time; ends with the streams.
    """

    def __init__(self, sources: Sequence[Source], check: Callable[[], object] = lambda: None) -> None:
        self._sources = deque(sources)
        self._check = check

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> L:
        self._check()
        while self._sources:
            source = self._sources[0]
            piece = await source.next() if len(self._sources) == 1 else self._whatever_is_there()
            if piece is WAITING:
                await wait_for_one([source.wait() for source in self._sources])
                continue
            # The one that was asked last is asked last next time, so that none has to wait for ever.
            source = self._sources.popleft()
            if piece is not None:
                self._sources.append(source)
                return source.line(piece)  # type: ignore[no-any-return]
        raise StopAsyncIteration

    def _whatever_is_there(self) -> Any:
        """A piece of whichever stream has one; that is the first in the row then."""
        for _ in range(len(self._sources)):
            piece = self._sources[0].next_at_once()
            if piece is not WAITING:
                return piece
            self._sources.rotate(-1)
        return WAITING


async def wait_for_one(waits: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Until one has ended; the others are cancelled and have ended too when this returns."""
    tasks = [asyncio.ensure_future(helper(wait)) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    errors = [error for task in tasks if not task.cancelled() and (error := task.exception())]
    if errors:
        raise errors[0]
