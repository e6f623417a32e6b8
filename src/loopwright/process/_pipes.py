"""The pipes between a process and the loop that started it.

Theory of operation. asyncio's loops and uvloop differ in who closes a descriptor that was joined to them, and when:
asyncio closes the file object one pass of the loop after `close()`; libuv closes the number itself, and uvloop closes
the file object after that, or, if joining was cancelled, not at all. A number that is closed twice may be somebody
else's by then. So the file object here closes its number only while that still is the pipe it was made for, and
"closed" is what the protocol's `connection_lost()` says, not a count of passes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PIPE", "Pipe", "PipeFile", "Pipes"]

PIPE = subprocess.PIPE


class Pipe:
    """This side of a pipe, joined to a loop."""

    # Told its direction: uvloop's transports are asyncio's by what they do, not by inheritance, and the one for
    # reading has an abort() too, which raises.
    def __init__(self, transport: Any, protocol: _Protocol, *, writing: bool) -> None:
        self.transport = transport
        self.protocol = protocol
        self.writing = writing
        self.closed = protocol.closed
        """Done when the descriptor is closed, or about to be in the same callback of the loop."""

    def close(self) -> None:
        """Let go of it at once, whatever was still to be written. Idempotent; `closed` tells when it is done."""
        if not self.writing:
            self.transport.close()
        # asyncio's abort() is not idempotent: a pipe that closes already must not be told again (it would call
        # connection_lost() twice), unless it only waits for somebody to read the rest.
        elif not self.transport.is_closing() or self.transport.get_write_buffer_size():
            self.transport.abort()

    async def close_and_wait(self) -> None:
        """`close()`, and wait for it."""
        self.close()
        await asyncio.wait([self.closed])


class Pipes:
    """Makes the pipes of one process: `undo` closes this side's ends, `childs_ends` the other's."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, undo: contextlib.AsyncExitStack, childs_ends: contextlib.ExitStack
    ) -> None:
        self._loop = loop
        self._undo = undo
        self._childs_ends = childs_ends
        self.made: list[Pipe] = []

    async def for_reading(self, wish: Any) -> tuple[Any, asyncio.StreamReader | None]:
        """What the child is given for an output, and the reader if that `wish` was PIPE."""
        if not _is_pipe(wish):
            return wish, None
        ours, childs = os.pipe()
        self._childs_ends.callback(os.close, childs)
        reader = asyncio.StreamReader(loop=self._loop)
        await self._join(self._loop.connect_read_pipe, ours, reader, writing=False)
        return childs, reader

    async def for_writing(self, wish: Any) -> tuple[Any, asyncio.StreamWriter | None]:
        """What the child is given for its input, and the writer if that `wish` was PIPE."""
        if not _is_pipe(wish):
            return wish, None
        childs, ours = os.pipe()
        self._childs_ends.callback(os.close, childs)
        reader = asyncio.StreamReader(loop=self._loop)  # which gets nothing, and which the protocol asks for
        pipe = await self._join(self._loop.connect_write_pipe, ours, reader, writing=True)
        return childs, asyncio.StreamWriter(pipe.transport, pipe.protocol, None, self._loop)

    async def _join(
        self, connect: Callable[..., Any], number: int, reader: asyncio.StreamReader, *, writing: bool
    ) -> Pipe:
        file = PipeFile(number)
        protocol = _Protocol(reader, self._loop)
        try:
            transport, _ = await connect(lambda: protocol, file)
        except BaseException:
            file.close()
            raise
        pipe = Pipe(transport, protocol, writing=writing)
        self.made.append(pipe)
        self._undo.push_async_callback(pipe.close_and_wait)
        return pipe


class PipeFile:
    """As much of a file object as loops ask of a pipe; closes its number once, and only if that is still its pipe."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._inode = os.fstat(number).st_ino

    def fileno(self) -> int:
        return self._number

    def close(self) -> None:
        number, self._number = self._number, -1
        with contextlib.suppress(OSError):  # EBADF: libuv has closed it
            if number >= 0 and os.fstat(number).st_ino == self._inode:
                os.close(number)


class _Protocol(asyncio.StreamReaderProtocol):
    """asyncio's own for streams, for one direction, that also tells when the pipe was closed."""

    def __init__(self, reader: asyncio.StreamReader, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(reader, loop=loop)
        self.closed: asyncio.Future[None] = loop.create_future()

    def eof_received(self) -> bool:
        """A pipe has one direction, so its end is the end: uvloop would otherwise keep it open for writing."""
        super().eof_received()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if not self.closed.done():
            self.closed.set_result(None)


def _is_pipe(wish: Any) -> bool:
    return type(wish) is int and wish == PIPE
