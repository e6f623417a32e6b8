"""This side of a pipe that a process writes to, until somebody wants to read it.

Theory of operation. Joining a pipe to a loop, and being woken for the first bytes, then for the end of the pipe, then
for the end of the process, costs more than starting it. Most programs write little and end soon; whoever wants all of
their output (`communicate()`) need not hear of it before they have ended, for a pipe holds 64 KiB (pipe(7)). So nothing
is made of a pipe until

- somebody takes the stream: then it is an `asyncio.StreamReader` on a `ReadPipe`, as it always was in asyncio;
- the process has ended, and nobody collects its output: then that, too, so that the descriptor goes with the output;
- or somebody collects, and the process has not ended within some milliseconds: it may wait for the pipe to be emptied.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import warnings
from typing import TYPE_CHECKING, Any

from loopwright.process._pipes import CHUNK, ReadPipe, unheard
from loopwright.watchers._hubs import hub_of

if TYPE_CHECKING:
    from loopwright.process._process import Process

__all__ = ["Outlet"]


class Outlet:
    """One pipe. All of it on its loop's thread."""

    __slots__ = ("_collected", "_loop", "_number", "_pipe", "_reader", "_waiter")

    def __init__(self, loop: asyncio.AbstractEventLoop, number: int) -> None:
        os.set_blocking(number, False)
        self._loop = loop
        self._number = number
        self._reader: asyncio.StreamReader | None = None
        self._pipe: ReadPipe | None = None
        #: What `collect()` has read, and not given yet.
        self._collected: list[bytes] = []
        #: Of a `collect()` that waits for the end of the process, or for having to read along.
        self._waiter: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'closed' if self._number < 0 else f'descriptor {self._number}'}>"

    def __del__(self) -> None:
        if getattr(self, "_number", -1) >= 0:  # a loop was closed, and whoever held this is gone with it
            told = f"unclosed {self!r}"
            self._close()
            warnings.warn(told, ResourceWarning, source=self, stacklevel=2)

    def reader(self) -> asyncio.StreamReader:
        """The stream; it is read from now on. OSError, then and from its reads, where the loop cannot hear of it."""
        if self._reader is None:
            self._reader = reader = asyncio.StreamReader(loop=self._loop)

            def receive(data: bytes) -> None:
                if data:
                    reader.feed_data(data)
                else:
                    reader.feed_eof()

            if self._number < 0:
                reader.feed_eof()
            else:
                number, self._number = self._number, -1
                try:
                    self._pipe = ReadPipe(self._loop, number, receive, reader.set_exception)
                except BaseException as error:
                    reader.set_exception(unheard(error))  # who reads is not to wait for ever
                    raise
                reader.set_transport(self._pipe)
        return self._reader

    @property
    def is_untouched(self) -> bool:
        """Whether nobody has taken the stream yet, or collects."""
        return self._reader is None and self._waiter is None and self._number >= 0

    def process_ended(self) -> None:
        """Have what is left in it taken, unless somebody collects it, and the descriptor closed."""
        if self._waiter is not None:
            if not self._waiter.done():
                self._waiter.set_result(None)
        elif self._number >= 0:
            try:
                self.reader()
            except OSError as error:  # maybe nobody asks for it: then this is the only word of it
                told = {"message": "what a process has left in its pipe cannot be read", "exception": error}
                self._loop.call_exception_handler(told)

    async def collect(self, process: Process) -> bytes:
        """All that comes until the end of the pipe and of the process. If it is cancelled, see `collected()`."""
        try:
            if process.status is None:
                self._waiter = self._loop.create_future()
                hub = hub_of(self._loop)
                hub.expect(self)
                try:
                    await self._waiter
                finally:
                    hub.expect_no_more(self)
            # What it wrote, and the end. If there is more, somebody else writes, maybe without an end.
            for _ in range(2):
                if self._number < 0:  # it is read by a stream, or was let go of
                    break
                try:
                    block = os.read(self._number, CHUNK)
                except BlockingIOError:  # somebody else holds it still
                    break
                if not block:
                    self._close()
                    return self.collected()
                self._collected.append(block)
        finally:
            self._waiter = None
        reader = self.reader()
        while block := await reader.read(CHUNK):
            self._collected.append(block)
        await process.wait()
        return self.collected()

    def collected(self) -> bytes:
        """What was read by a `collect()` that did not come to its end."""
        taken = b"".join(self._collected)
        self._collected.clear()
        return taken

    def come_due(self) -> None:
        """Whoever collects has waited for the end of the process long enough: read along."""
        if self._waiter is not None and not self._waiter.done():
            with contextlib.suppress(OSError):  # of which whoever collects hears when reading along
                self.reader()
            self._waiter.set_result(None)

    def let_go(self) -> None:
        """Let go of it at once; what is still in it is lost. Idempotent."""
        if self._pipe is not None:
            self._pipe.let_go()
        elif self._number >= 0:
            self._close()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """`fileno` is its descriptor, -1 once it is closed or read by a stream."""
        return self._number if name == "fileno" else default

    def _close(self) -> None:
        number, self._number = self._number, -1
        os.close(number)
