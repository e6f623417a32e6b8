"""The pipes between a process and the loop that started it.

Theory of operation. Only `add_reader()` and `add_writer()` are asked of a loop, which every loop has, and not its pipe
transports: those of asyncio, uvloop and rloop differ in who closes a descriptor and when (a number that is closed twice
may be somebody else's by then), rloop has none, and asyncio's cost more than starting a process should. What is here is
a transport in asyncio's sense, so that `asyncio.StreamReader` and `StreamWriter` sit on it as they are. A descriptor is
closed at once when it is let go of, here and nowhere else.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import subprocess
import warnings
from typing import TYPE_CHECKING, Any

from loopwright.process._write_protocol import WriteProtocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from loopwright.process._outlet import Outlet

__all__ = ["PIPE", "ReadPipe", "WritePipe", "let_all_go", "unheard"]

PIPE = subprocess.PIPE
#: What is read at once: all that a pipe holds by default (pipe(7)).
CHUNK = 65_536
#: Bytes waiting to be written from which on `drain()` waits, and down to which it does; asyncio's own marks.
HIGH, LOW = 65_536, 16_384
#: After how many seconds it is looked again whether an end of a pipe has gone.
LOOKS = (0.001, 0.01, 0.1)


class ReadPipe(asyncio.ReadTransport):
    """This side of a pipe or terminal that the process writes to. `receive(data)` gets what comes, b"" at the end.

    `fail(error)` is called instead of that where the loop cannot hear of it any more.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        number: int,
        receive: Callable[[bytes], object],
        fail: Callable[[OSError], object] | None = None,
    ) -> None:
        super().__init__()
        self._loop = loop
        self._number = -1
        self._receive = receive
        self._fail = fail
        self._reading = True
        try:
            os.set_blocking(number, False)
            loop.add_reader(number, self._on_readable)
        except BaseException:
            os.close(number)
            raise
        self._number = number

    def __repr__(self) -> str:
        state = "closed" if self._number < 0 else f"descriptor {self._number}"
        return f"<{type(self).__name__} {state}>"

    def __del__(self) -> None:
        if getattr(self, "_number", -1) >= 0:  # a loop was closed, and whoever held this is gone with it
            _close_dropped(self)

    def is_closing(self) -> bool:
        """Whether it is closed, or at its end."""
        return self._number < 0

    def is_reading(self) -> bool:
        """Whether it reads now."""
        return self._reading and self._number >= 0

    def pause_reading(self) -> None:
        """Read no more for now: the pipe fills, and then its writer waits."""
        if self.is_reading():
            self._reading = False
            self._loop.remove_reader(self._number)

    def resume_reading(self) -> None:
        """Read again. Where the loop cannot hear of it any more it is closed; OSError if nobody is to be told of it."""
        if not self._reading and self._number >= 0:
            try:
                self._loop.add_reader(self._number, self._on_readable)
            except OSError as error:
                if self._fail is None:
                    self.close()
                    raise
                # Not raised: it is a read that resumes, and would lose what it has taken.
                try:
                    self._close_number()
                finally:
                    self._fail(unheard(error))
                return
            self._reading = True

    def close(self) -> None:
        """Let go of it at once; what is still in it is lost. Idempotent. The receiver hears an end.

        OSError, after that, if somebody else has closed the number.
        """
        if self._number >= 0:
            try:
                self._close_number()
            finally:
                self._receive(b"")

    let_go = close

    def process_ended(self) -> None:
        """What it left is read as it comes."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """`fileno` is its descriptor, -1 once it is closed."""
        return self._number if name == "fileno" else default

    def _on_readable(self) -> None:
        # Once more after a short read: what a program wrote at its end comes with the end in one pass of the loop.
        if self._read() and self._reading and self._number >= 0:
            self._read()

    def _read(self) -> bool:
        """Read what is there; whether that was something, and less than is read at once."""
        try:
            data = os.read(self._number, CHUNK)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            if error.errno != errno.EIO:  # which is how a terminal says that its last user has closed it
                self.close()  # or the loop would call again and again
                raise
            data = b""
        if data:
            self._receive(data)
        else:
            self.close()
        return 0 < len(data) < CHUNK

    def _close_number(self) -> None:
        number, self._number = self._number, -1
        if self._reading and not self._loop.is_closed():
            self._loop.remove_reader(number)
        os.close(number)


class WritePipe(asyncio.WriteTransport):
    """This side of a pipe that the process reads from."""

    def __init__(self, loop: asyncio.AbstractEventLoop, number: int) -> None:
        super().__init__()
        os.set_blocking(number, False)
        self._loop = loop
        self._number = number
        self._protocol = WriteProtocol(asyncio.StreamReader(loop=loop), loop=loop)
        self._buffer = bytearray()
        self._closing = False
        self._full = False
        self._high, self._low = HIGH, LOW
        self._protocol.connection_made(self)

    def __repr__(self) -> str:
        state = "closed" if self._number < 0 else f"descriptor {self._number}, {len(self._buffer)} bytes to write"
        return f"<{type(self).__name__} {state}>"

    def __del__(self) -> None:
        if getattr(self, "_number", -1) >= 0:
            _close_dropped(self)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """asyncio's own for streams, which a StreamWriter asks whether it may go on writing."""
        return self._protocol

    def is_closing(self) -> bool:
        """Whether nothing more may be written."""
        return self._closing

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """`fileno` is its descriptor, -1 once it is closed."""
        return self._number if name == "fileno" else default

    def get_write_buffer_size(self) -> int:
        """How many bytes wait to be written."""
        return len(self._buffer)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """The marks (low, high) between which `drain()` waits, in bytes."""
        return self._low, self._high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """As `asyncio.WriteTransport`. ValueError unless high >= low >= 0."""
        high = (HIGH if low is None else 4 * low) if high is None else high
        low = high // 4 if low is None else low
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        self._high, self._low = high, low
        self._tell_of_fullness()

    def can_write_eof(self) -> bool:
        """True: closing a pipe is what ends it."""
        return True

    def write_eof(self) -> None:
        """`close()`, after what is still to be written."""
        self.close()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write now what the pipe takes, and the rest when it takes more. Nothing is written after its end."""
        if self._closing or not data:
            return
        if not self._buffer:
            try:
                data = memoryview(data).cast("B")[os.write(self._number, data) :]
            except (BlockingIOError, InterruptedError):
                pass  # it is full: the rest, here all of it, goes into the buffer
            except OSError as error:
                self._lose(error)
                return
            if not data:
                return
            self._loop.add_writer(self._number, self._on_writable)
        self._buffer += data
        self._tell_of_fullness()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """`write()` all of it."""
        self.write(b"".join(list_of_data))

    def close(self) -> None:
        """Close it when all is written. Idempotent."""
        self._closing = True
        if not self._buffer and self._number >= 0:
            self._lose(None)

    def abort(self) -> None:
        """Close it at once, whatever was still to be written. Idempotent."""
        if self._number >= 0:
            self._lose(None)

    let_go = abort

    def process_ended(self, again: Sequence[float] = LOOKS) -> None:
        """Close it if nobody holds the other end any more: what asyncio's transport does when it hears of that.

        It is looked `again` after so many seconds each: a program that is being started beside it may have a copy of
        the other end until it runs.
        """
        if self._number < 0:
            return
        ends = select.poll()
        ends.register(self._number, 0)  # POLLERR is told in any case: the last reader has gone (poll(2))
        if any(event & select.POLLERR for _, event in ends.poll(0)):
            self._lose(BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) if self._buffer else None)
        elif again:
            self._loop.call_later(again[0], self.process_ended, again[1:])

    def _on_writable(self) -> None:
        try:
            del self._buffer[: os.write(self._number, self._buffer)]
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lose(error)
            return
        self._tell_of_fullness()
        if not self._buffer:
            self._loop.remove_writer(self._number)
            if self._closing:
                self._lose(None)

    def _tell_of_fullness(self) -> None:
        if not self._full and len(self._buffer) > self._high:
            self._full = True
            self._protocol.pause_writing()
        elif self._full and len(self._buffer) <= self._low:
            self._full = False
            self._protocol.resume_writing()

    def _lose(self, error: OSError | None) -> None:
        """Let go of the descriptor, and tell the protocol in a callback of its own, as asyncio's transports do."""
        number, self._number = self._number, -1
        self._closing = True
        waiting, self._buffer = bool(self._buffer), bytearray()
        if self._loop.is_closed():
            os.close(number)
            return
        try:
            if waiting:
                self._loop.remove_writer(number)
            os.close(number)
        finally:  # also where somebody else has closed the number
            self._loop.call_soon(self._protocol.connection_lost, error)


def let_all_go(pipes: Sequence[Outlet | ReadPipe | WritePipe]) -> None:
    """Let go of each, also if that fails for one, of which somebody else has closed the number: OSError after that."""
    for count, pipe in enumerate(pipes, 1):
        try:
            pipe.let_go()
        except BaseException:
            let_all_go(pipes[count:])
            raise


def unheard(error: BaseException) -> OSError:
    """What is told whoever reads a pipe that the loop cannot hear of: another error, which holds none of his frames."""
    number = getattr(error, "errno", None) or errno.EIO
    return OSError(number, f"the loop cannot hear of this pipe: {error!r}")


def _close_dropped(pipe: ReadPipe | WritePipe) -> None:
    """Close what was dropped open. The number is forgotten first: the writer on it may close it, too, when collected.

    Not until then is it told: where warnings are errors, the warning is the last thing that is done.
    """
    told, number, pipe._number = f"unclosed {pipe!r}", pipe._number, -1
    os.close(number)
    warnings.warn(told, ResourceWarning, source=pipe, stacklevel=3)
