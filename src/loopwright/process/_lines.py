"""Lines out of a stream of bytes, whatever the bytes are."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from loopwright.process._pipes import ReadPipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["LineReceiver", "LineSplitter"]

#: The longest piece that is handed on at once: what Linux keeps in a pipe by default (pipe(7)).
LONGEST = 65_536


class LineSplitter:
    """Cuts bytes into lines of text, in memory bounded by `longest` however long a line is.

    A line longer than that comes in pieces, each but the last marked as continued; a piece is never cut inside a UTF-8
    character. Bytes that are not UTF-8 come out as `\\xNN`, so that nothing is lost and nothing raises.
    """

    def __init__(self, longest: int = LONGEST) -> None:
        if longest < 4:
            raise ValueError(f"a piece must have room for any UTF-8 character, 4 bytes, not {longest}")
        self._longest = longest
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[str, bool]]:
        """The pieces that are complete now, as (text, continued). To be iterated to its end before the next call."""
        *lines, last = data.split(b"\n")
        for line in lines:
            self._rest += line
            yield from self._long_pieces()
            yield (self._take(len(self._rest)), False)
        self._rest += last
        yield from self._long_pieces()

    def end(self) -> Iterator[tuple[str, bool]]:
        """What is left when the stream ends: a last line without a newline, if there is one."""
        if self._rest:
            yield (self._take(len(self._rest)), False)

    def _long_pieces(self) -> Iterator[tuple[str, bool]]:
        while len(self._rest) > self._longest:
            yield self._take(_whole_characters(self._rest, self._longest)), True

    def _take(self, length: int) -> str:
        text = self._rest[:length].decode("utf-8", "backslashreplace")
        del self._rest[:length]
        return text


def _whole_characters(data: bytearray, length: int) -> int:
    """The greatest length, at most 3 less than the one given, that does not end inside a UTF-8 character."""
    for less in range(min(4, length)):
        if data[length - less] & 0xC0 != 0x80:  # not a continuation byte (RFC 3629): a character begins here
            return length - less
    return length


class LineReceiver:
    """Reads a pipe on a loop: calls `on_line(text, continued)`, and sets `ended` at its end.

    An error that `on_line` raises is told to the loop's exception handler, and the next line comes as ever.
    """

    def __init__(self, on_line: Callable[[str, bool], object], loop: asyncio.AbstractEventLoop) -> None:
        self._splitter = LineSplitter()
        self._on_line = on_line
        self._loop = loop
        self._pipe: ReadPipe | None = None
        self.ended: asyncio.Future[None] = loop.create_future()
        """Done when the pipe is closed, by its last writer or by us."""

    def read_from(self, number: int) -> None:
        """Read from the reading end of a pipe; its descriptor is closed with it, also if this raises."""
        self._pipe = ReadPipe(self._loop, number, self._receive)

    def _receive(self, data: bytes) -> None:
        try:
            for text, continued in self._splitter.feed(data) if data else self._splitter.end():
                try:
                    self._on_line(text, continued)
                except Exception as error:  # noqa: BLE001 - one line's error is no reason to lose others, or the end
                    told = {"message": "an error of what was called with a line", "exception": error}
                    self._loop.call_exception_handler(told)
        finally:
            if not data and not self.ended.done():
                self.ended.set_result(None)

    def pause(self) -> None:
        """Read no more for now: the pipe fills, and then its writer waits."""
        if self._pipe is not None:
            self._pipe.pause_reading()

    def resume(self) -> None:
        """Read again. OSError where the loop cannot hear of the pipe any more, which is then at its end."""
        if self._pipe is not None:
            self._pipe.resume_reading()

    def close(self) -> None:
        """Close the pipe, whoever still holds its other end."""
        if self._pipe is not None:
            self._pipe.let_go()
