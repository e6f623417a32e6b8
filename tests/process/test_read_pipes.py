"""The reading side of pipes: no more than is asked for, errors and ends told once."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import pty
import select
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.process._pipes import ReadPipe, WritePipe

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Run = Callable[[Coroutine[Any, Any, Any]], Any]

SMALL = 4096  # the least that a pipe can hold, on machines with pages of 4 KiB


def a_pipe() -> tuple[int, int]:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, SMALL)
    return reading, writing


def writer_of(number: int) -> tuple[WritePipe, asyncio.StreamWriter]:
    loop = asyncio.get_running_loop()
    pipe = WritePipe(loop, number)
    return pipe, asyncio.StreamWriter(pipe, pipe.get_protocol(), None, loop)


def reader_of(number: int, limit: int = 65_536) -> tuple[ReadPipe, asyncio.StreamReader]:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(loop=loop, limit=limit)
    pipe = ReadPipe(loop, number, lambda data: reader.feed_data(data) if data else reader.feed_eof())
    reader.set_transport(pipe)
    return pipe, reader


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - nobody sets an event for it
            await asyncio.sleep(0.001)


def test_no_more_is_read_than_is_asked_for(run: Run) -> None:
    async def main() -> None:
        reading, writing = a_pipe()
        pipe, reader = reader_of(reading, limit=1000)
        sender, writer = writer_of(writing)
        writer.write(bytes(500_000))
        writer.write_eof()
        # Only then has the sender filled what the last reading made room for.
        await until(lambda: not pipe.is_reading() and not select.select([], [writing], [], 0)[1])
        left = sender.get_write_buffer_size()
        await asyncio.sleep(0.02)
        assert sender.get_write_buffer_size() == left > 400_000
        assert len(await reader.read()) == 500_000
        assert pipe.is_closing()
        await writer.wait_closed()

    run(main())


def test_pausing_and_resuming(run: Run) -> None:
    async def main() -> None:
        reading, writing = a_pipe()
        pipe, reader = reader_of(reading)
        for _ in range(2):
            pipe.pause_reading()
        assert not pipe.is_reading()
        os.write(writing, b"hello\n")
        await asyncio.sleep(0.02)
        assert not reader._buffer  # type: ignore[attr-defined]
        for _ in range(2):
            pipe.resume_reading()
        assert await reader.readline() == b"hello\n"
        pipe.pause_reading()
        pipe.close()
        assert await reader.read() == b""
        os.close(writing)

    run(main())


def test_a_terminal_whose_last_user_is_gone_has_ended(run: Run) -> None:
    async def main() -> None:
        ours, theirs = pty.openpty()
        pipe, reader = reader_of(ours)
        os.write(theirs, b"bye")
        os.close(theirs)
        assert await reader.read() == b"bye"
        assert pipe.is_closing()

    run(main())


def test_an_error_of_reading_is_told_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the loop would call again, and tell again, for ever. No pipe fails to be read on demand."""

    async def main() -> None:
        told: list[BaseException | None] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: told.append(context.get("exception")))
        reading, writing = a_pipe()
        pipe, reader = reader_of(reading)
        real = os.read

        def broken(number: int, size: int) -> bytes:
            if number == reading:
                raise OSError(errno.EISDIR, "it fails")
            return real(number, size)

        monkeypatch.setattr(os, "read", broken)
        os.write(writing, b"x")
        assert await reader.read() == b""
        await asyncio.sleep(0.02)
        assert [getattr(each, "errno", None) for each in told] == [errno.EISDIR]
        assert pipe.is_closing()
        os.close(writing)

    run(main())


@pytest.mark.parametrize("waiting", [False, True])
def test_a_number_that_somebody_else_has_closed(run: Run, *, waiting: bool) -> None:
    """It is said, by an error, and those who read or wait for the end are told of an end."""

    async def main() -> None:
        reading, writing = a_pipe()
        pipe, reader = reader_of(reading)
        sender, writer = writer_of(writing)
        if waiting:
            pipe.pause_reading()
            writer.write(bytes(2 * SMALL))
        for number, end in ((reading, pipe.close), (writing, sender.abort)):
            os.close(number)
            with pytest.raises(OSError, match="Bad file descriptor"):
                end()
            end()
        async with asyncio.timeout(20):
            assert await reader.read() == b""
            await writer.wait_closed()

    run(main())
