"""Writing to a process and reading from it at once, to the end or until something comes in between.

Theory of operation. An exchange holds what was read and how far the input got, so that one which was broken off by a
timeout or a cancellation can be gone on with and has lost nothing. A process and whoever inherited its pipes are two:
the pipes end with the last that holds them, which may be a daemon that lives for ever. `linger` bounds the wait for
those: its clock is set running by the news of the exit, not by a task that waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING

from loopwright._core import helper
from loopwright.errors import OutputLimitError, ProcessTimeoutError, TextModeError
from loopwright.process._capture import Capture
from loopwright.process._options import check_seconds
from loopwright.process._text import BLOCK, WAITING, TextReader, TextWriter, at_once, wrong_type
from loopwright.process._words import command_words, held_words

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence
    from typing import Any

    from loopwright.process._process import Process
    from loopwright.process._text import TextMode

__all__ = ["AFTER_END", "Exchange", "Talk"]

#: How long what a process wrote is waited for that was ended by us. It is in the pipe by then; seconds.
AFTER_END = 0.2


class Exchange:
    """One input, and the outputs by their names ("stdout", "stderr"), any of which may be missing."""

    def __init__(
        self,
        writer: asyncio.StreamWriter | TextWriter | None,
        readers: Mapping[str, asyncio.StreamReader | TextReader | None],
        mode: TextMode | None,
        data: Any = None,
        limit: int | None = None,
        *,
        truncate: bool = False,
    ) -> None:
        self._writer = writer.buffer if isinstance(writer, TextWriter) else writer
        self._readers = {name: reader for name, reader in readers.items() if reader is not None}
        self._mode = mode
        self._rest = memoryview(encoded(data, mode))
        self._truncate = truncate
        self._limit = limit
        self._captures = {name: Capture(limit) for name in self._readers}
        self._before: dict[str, list[Any]] = {name: [] for name in self._readers}

    def put_before(self, name: str, pieces: Sequence[Any]) -> None:
        """What was taken out of a stream already, by somebody else, and belongs in front."""
        self._before[name] += pieces

    async def run(self, processes: Sequence[Process], linger: float | None) -> None:
        """Until all is written and read, or, if `linger` is given, that many seconds after the last process ended."""
        if linger is None:
            await self._all()
            return
        loop = asyncio.get_running_loop()
        running = {process for process in processes if process.status is None}
        over = False

        def ended(process: Process) -> None:
            running.discard(process)
            # Where the exit came together with the end of the pipe, this is on its way already, and not taken back.
            if not running and not over:
                clock.reschedule(loop.time() + linger)

        try:
            async with asyncio.timeout(None if running else linger) as clock:
                with contextlib.ExitStack() as forget:
                    for process in tuple(running):
                        forget.callback(process._when_ended(partial(ended, process)))
                    try:
                        await self._all()
                    finally:
                        over = True
        except TimeoutError:
            if not clock.expired():
                raise
            # What came in the very moment, to a task that was told in the same moment to stop.
            for name in self._readers:
                self._collect_at_once(name)

    async def what_is_there(self) -> None:
        """Read what an ended process left in its pipes, without waiting for others that hold them."""
        self._truncate = True  # it has been decided already that this ends with an error
        self._rest = memoryview(b"")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(AFTER_END):
                await together(*(self._collect(name) for name in self._readers))
        for name in self._readers:
            self._collect_at_once(name)

    def output(self, name: str, process: Process) -> Any:
        """All that a stream brought, decoded in text mode (which may raise); None if there is no such stream.

        `process` has written it, and has ended; both are said in a note if it cannot be decoded.
        """
        if name not in self._readers:
            return None
        reader, capture = self._readers[name], self._captures[name]
        if capture.omitted:
            return self.so_far(name)
        data = capture.parts()[0]
        try:
            value: Any = reader.finish(data) if isinstance(reader, TextReader) else data
        except UnicodeDecodeError as error:
            error.add_note(
                f"in the {name} of `{command_words(process.args)}`, which {process.status}; errors='backslashreplace' "
                "or 'replace' takes whatever comes, and without text= and encoding= it is given as bytes"
            )
            raise
        return type(value)().join([*self._before[name], value])

    def so_far(self, name: str) -> Any:
        """What a stream brought until now; what is left out is marked, and what cannot be decoded written as it is."""
        if name not in self._readers:
            return None
        capture = self._captures[name]
        head, tail = capture.parts()
        mark = f"\n[... {capture.omitted} bytes left out ...]\n" if capture.omitted else ""
        if self._mode is None:
            return b"".join([*self._before[name], head, mark.encode(), tail])
        return "".join([*self._before[name], self._mode.decode_part(head), mark, self._mode.decode_part(tail)])

    def omitted(self, name: str) -> int:
        """How many bytes are left out of what `output()` gives."""
        return self._captures[name].omitted if name in self._captures else 0

    async def _all(self) -> None:
        reading = [self._collect(name) for name in self._readers]
        await together(*reading, *([] if self._writer is None else [self._feed(self._writer)]))

    async def _feed(self, writer: asyncio.StreamWriter) -> None:
        # As subprocess and asyncio do: a program that does not read its input (`head`) has not failed for it.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            # In blocks: a transport keeps a copy of whatever it is given that the pipe does not take.
            while self._rest:
                block, self._rest = self._rest[:BLOCK], self._rest[BLOCK:]
                writer.write(block)
                await writer.drain()
            writer.close()
            await writer.wait_closed()

    async def _collect(self, name: str) -> None:
        stream = self._stream(name)
        while block := await stream.read(BLOCK):
            self._take(name, block)

    def _collect_at_once(self, name: str) -> None:
        stream = self._stream(name)
        while (block := at_once(stream.read(BLOCK))) and block is not WAITING:
            self._take(name, block)

    def _stream(self, name: str) -> asyncio.StreamReader:
        reader = self._readers[name]
        return reader.buffer if isinstance(reader, TextReader) else reader

    def _take(self, name: str, block: bytes) -> None:
        capture = self._captures[name]
        capture.add(block)
        if capture.over and not self._truncate:
            raise OutputLimitError(f"wrote more than {self._limit} bytes to its {name}")


class Talk:
    """A process's side of `communicate()`: what one call left unfinished, the next goes on with."""

    def __init__(self, exchange: Exchange | None = None) -> None:
        self._exchange = exchange

    async def communicate(
        self, process: Process, data: Any, timeout: float | None, linger: float | None
    ) -> tuple[Any, Any]:
        exchange = self._exchange
        check_seconds("timeout", timeout)
        check_seconds("linger", linger)
        if data is not None and process.stdin is None:
            raise ValueError(f"process {process.pid} was started without stdin=PIPE, so there is nothing to write to")
        if exchange is None:
            streams = {"stdout": process.stdout, "stderr": process.stderr}
            exchange = self._exchange = Exchange(process.stdin, streams, process._text_mode, data)
            for name, stream in streams.items():
                if stream is not None:
                    exchange.put_before(name, _take_kept(process, name))
        elif data is not None:
            raise ValueError(
                f"process {process.pid} is being sent the input of an earlier communicate(): call it without one now"
            )
        try:
            async with asyncio.timeout(timeout) as clock:
                await exchange.run((process,), linger)
                await process.wait()
        except TimeoutError:
            if timeout is None or not clock.expired():
                raise
            words = f"`{command_words(process.args)}` (process {process.pid})"
            raise ProcessTimeoutError(
                f"{words} was not done after {timeout:g} s"
                if process.status is None
                else held_words(words, process.status, timeout),
                process.args,
                timeout,
                exchange.so_far("stdout"),
                exchange.so_far("stderr"),
            ) from None
        self._exchange = None
        return exchange.output("stdout", process), exchange.output("stderr", process)


def read_before(process: Process, name: str, data: bytes) -> Exchange:
    """An exchange that goes on where somebody else has read the beginning of the only stream there is."""
    exchange = Exchange(None, {name: getattr(process, name)}, None)
    exchange.put_before(name, [data])
    return exchange


def _take_kept(process: Process, name: str) -> list[Any]:
    """What was read of a stream for its lines and not asked for yet. For whoever reads on in another way."""
    kept = (process._pieces or {}).get(name)
    if kept is None:
        return []
    pieces = [piece[0] for piece in kept if piece is not None]
    kept.clear()
    return pieces


def encoded(data: Any, mode: TextMode | None) -> bytes | memoryview:
    """The bytes of an input. TextModeError if it is str where bytes are wanted, or the other way round."""
    if data is None:
        return b""
    if mode is not None:
        if not isinstance(data, str):
            raise TextModeError(wrong_type(data, mode))
        return mode.encode(data)
    try:
        return memoryview(data).cast("B")
    except TypeError:
        raise TextModeError(wrong_type(data, mode)) from None


async def together(*parts: Coroutine[Any, Any, None]) -> None:
    """All at once; the first error ends the others and is raised as it is. One alone needs no task."""
    if len(parts) <= 1:
        for part in parts:
            await part
        return
    try:
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(helper(part))
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
