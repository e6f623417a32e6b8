"""Writing to a terminal or pipe that may be slow, without the event loop ever waiting for it.

Theory of operation. A terminal can be paused (Ctrl-S), a pipe's reader can be busy, and `os.write()` then
blocks. Setting O_NONBLOCK is no way out: the flag belongs to the open file description, which is shared with
the shell that started us, and would still be set when we are gone. So a thread of its own does the writing,
and a queue lies between.

The queue has a bound in bytes. `write()` never refuses a line, since its text is in memory already; whoever
produces lines is to `await wait_for_room()` between reads. Then children block on their full pipes, as they
would have on the terminal itself, and neither memory nor lines are lost.

Two counters take the place of a lock, so that no thread can be descheduled while it holds one: `_accepted` is
changed by the loop's thread alone, `_written` by the writer alone. A wake-up cannot be missed, because a
waiter first puts itself into `_waiters` and then looks at the counters, while the writer first changes the
counter and then looks into `_waiters`.
"""

from __future__ import annotations

import asyncio
import os
import queue
import select
import threading
from collections import deque
from typing import TYPE_CHECKING

from loopwright.errors import CallerError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Sink"]

#: How many bytes at most are handed to one `os.write()`: what a Linux pipe holds by default (pipe(7)).
BATCH = 1 << 16


class Sink:
    """Lines for a descriptor, written by a thread named `loopwright-output` in the order in which they came.

    Made inside a running loop, of any kind; all methods belong to that loop's thread. The descriptor is
    duplicated and not closed, nor are its flags touched. OSError if it is not open.

    `on_broken` is called on the loop, once, when the descriptor takes no more (the reader of the pipe has
    gone, the disk is full); from then on everything is discarded.
    """

    def __init__(
        self,
        stream_fd: int,
        *,
        encoding: str = "utf-8",
        limit: int = 1 << 20,
        on_broken: Callable[[OSError], object] | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._encoding = encoding
        self._limit = limit
        self._on_broken = on_broken
        self._broken: OSError | None = None
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._accepted = 0
        self._written = 0
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._closing = False
        self._ended: asyncio.Future[None] = self._loop.create_future()
        # A duplicate: should the writer still be stuck when the program closes its stdout, what it has left
        # must not go into whichever file gets that number next.
        self._fd = os.dup(stream_fd)
        # A daemon: a terminal that is never resumed must not keep the program from ending.
        self._thread = threading.Thread(target=self._run, name="loopwright-output", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # no thread to be had
            os.close(self._fd)
            raise

    @property
    def queued(self) -> int:
        """How many bytes wait to be written."""
        return 0 if self._broken else self._accepted - self._written

    @property
    def full(self) -> bool:
        """Whether producers should pause."""
        return self.queued >= self._limit

    @property
    def broken(self) -> OSError | None:
        """Why the descriptor takes no more, if it does not."""
        return self._broken

    def write(self, line: str) -> None:
        r"""Put `line` and a newline into the queue, which never blocks. CallerError after `close()`.

        What the encoding lacks is written as `\xe9`.
        """
        if self._closing:
            raise CallerError("this sink was closed and takes no more lines")
        if self._broken is None:
            data = f"{line}\n".encode(self._encoding, "backslashreplace")
            self._accepted += len(data)
            self._queue.put(data)

    async def wait_for_room(self) -> None:
        """Return at once if the queue is below its limit, else when half of it is free again.

        Half, so that a slow terminal does not cause a wake-up for every line.
        """
        while self.full:
            room: asyncio.Future[None] = self._loop.create_future()
            self._waiters.append(room)
            if self.queued < self._limit:  # once more, see above
                self._wake()
            try:
                await room
            finally:
                if room in self._waiters:  # cancelled
                    self._waiters.remove(room)

    async def close(self, timeout: float) -> bool:
        """Write what is queued, waiting at most `timeout` seconds; whether all was written.

        After False, a stuck writer still goes on as long as the program lives. May be called again, to wait
        longer.
        """
        if not self._closing:
            self._closing = True
            self._queue.put(None)
        await asyncio.wait([self._ended], timeout=timeout)
        if not self._ended.done():
            return False
        self._thread.join()  # its last act was to say that it has ended
        return self._written == self._accepted

    def _wake(self) -> None:
        while self._waiters:
            room = self._waiters.popleft()
            if not room.done():
                room.set_result(None)

    def _break(self) -> None:
        self._wake()  # first: nobody is to wait for a writer that has ended, whatever the callback does
        if self._broken is not None and self._on_broken is not None:
            self._on_broken(self._broken)

    # What follows runs in the writer's thread.

    def _run(self) -> None:
        try:
            self._write_all()
        except OSError as error:
            self._broken = error
            self._tell(self._break)
        finally:
            os.close(self._fd)
            self._tell(self._ended.set_result, None)

    def _write_all(self) -> None:
        last = False
        while not last:
            batch, last = self._next()
            left = memoryview(batch)
            while left:
                count = self._write_some(left[:BATCH])
                left = left[count:]
                self._written += count
                if self._waiters and self.queued <= self._limit // 2:
                    self._tell(self._wake)

    def _next(self) -> tuple[bytes, bool]:
        """What there is to write, once there is something, up to a batch; and whether it is the last."""
        lines: list[bytes] = []
        length = 0
        while length < BATCH:
            try:
                line = self._queue.get(block=not lines)
            except queue.Empty:
                break
            if line is None:
                return b"".join(lines), True
            lines.append(line)
            length += len(line)
        return b"".join(lines), False

    def _write_some(self, data: memoryview) -> int:
        while True:
            try:
                return os.write(self._fd, data)  # EINTR is dealt with inside (PEP 475)
            except BlockingIOError:
                # Somebody who shares the description has set O_NONBLOCK. Wait as a blocking write would have.
                room = select.poll()
                room.register(self._fd, select.POLLOUT)
                room.poll()

    def _tell(self, callback: Callable[..., object], *args: object) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:
            if not self._loop.is_closed():
                raise
            # A closed loop has nobody left to be told; the lines are written all the same.
