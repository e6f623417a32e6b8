"""What a process printed, kept for whoever asks, in bounded memory.

A full buffer gives up its oldest part. To stop reading instead, as streams do, would make the process wait for a reader
who may never come: somebody who only wants to know when it ends.
"""

from __future__ import annotations

import asyncio
import codecs
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loopwright.errors import WatcherStartError
from loopwright.observe._events import Events
from loopwright.process import LineSplitter

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Output", "OutputEvent"]


#: Bytes that are read at once: what Linux keeps in a pipe by default (pipe(7)).
CHUNK = 65_536


@dataclass(frozen=True, slots=True)
class OutputEvent:
    """A line that a process printed and that matches a pattern."""

    pid: int
    line: str
    """The line, without its newline; of a very long one, the piece of at most 64 KiB in which the pattern was found."""
    match: re.Match[str]
    """What `pattern.search(line)` gave."""


class Output:
    """The newest `limit` bytes not yet read, and whoever waits for certain lines."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept = bytearray()
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._splitter = LineSplitter()
        self._wanted: dict[Events[OutputEvent], tuple[re.Pattern[str], Callable[[str, re.Match[str]], object]]] = {}
        self._waiters: set[asyncio.Future[None]] = set()
        self._ended = False
        self.dropped = 0

    def feed(self, data: bytes) -> None:
        """Something was printed."""
        if self._wanted:
            for line, _ in self._splitter.feed(data):
                self._tell(line)
        else:
            # Nobody looks at lines, and to cut thousands of them would hold the loop. Only the one that has not ended
            # yet can come to matter.
            _, newline, rest = data.rpartition(b"\n")
            if newline:
                self._splitter = LineSplitter()
            for _ in self._splitter.feed(rest):
                pass
        self._kept += data
        excess = len(self._kept) - self._limit
        if excess > 0:
            # Not into the middle of a character: of its continuation bytes (10xxxxxx, RFC 3629) there are 3 at most.
            for byte in self._kept[excess : excess + 3]:
                if byte & 0xC0 != 0x80:
                    break
                excess += 1
            del self._kept[:excess]
            self.dropped += excess
            self._decoder.reset()
        self._wake()

    def not_begun(self, why: str) -> None:
        """The start failed: whoever iterates is told. Callbacks stay, for a start that does not."""
        for events in self._wanted:
            events._end(WatcherStartError(why))

    def end(self) -> None:
        """The last writer has closed it, or nobody reads any more. Idempotent."""
        if self._ended:
            return
        for line, _ in self._splitter.end():
            self._tell(line)
        self._ended = True
        for events in tuple(self._wanted):
            events.close()
        self._wake()

    async def read_from(self, stream: asyncio.StreamReader) -> None:
        """Take everything from a stream to its end, which is not said here: this may be cancelled before it begins."""
        while data := await stream.read(CHUNK):
            self.feed(data)

    async def read(self) -> str:
        """What is there since the last call, waiting until there is something; empty at the end."""
        while True:
            text = self.take()
            if text or self._ended:
                return text
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)

    def take(self) -> str:
        """What is there since the last call; a character of which the rest is not there yet stays."""
        data = bytes(self._kept)
        self._kept.clear()
        return self._decoder.decode(data, final=self._ended)

    def matches(self, pattern: re.Pattern[str], tell: Callable[[str, re.Match[str]], object]) -> Events[OutputEvent]:
        """Have `tell(line, match)` called for every line from now on that matches, until what this gives is closed."""
        events: Events[OutputEvent] = Events(lambda: self._wanted.pop(events, None))
        self._wanted[events] = (pattern, tell)
        if self._ended:
            events.close()
        return events

    def _tell(self, line: str) -> None:
        for pattern, tell in tuple(self._wanted.values()):
            if (match := pattern.search(line)) is not None:
                tell(line, match)

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
