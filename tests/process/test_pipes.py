"""The two transports: asyncio's promises of flow control, ends and closing, kept on any loop."""

from __future__ import annotations

import asyncio
import fcntl
import gc
import os
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.process import PIPE, spawn
from loopwright.process._pipes import HIGH, LOW, ReadPipe, WritePipe

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Run = Callable[[Coroutine[Any, Any, Any]], Any]

SMALL = 4096  # the least that a pipe can hold, on machines with pages of 4 KiB


def a_pipe() -> tuple[int, int]:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, SMALL)
    return reading, writing


def is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


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


async def read_all(number: int) -> bytes:
    return await asyncio.to_thread(lambda: b"".join(iter(lambda: os.read(number, 65_536), b"")))


def test_drain_waits_between_the_marks(run: Run) -> None:
    async def main() -> None:
        reading, writing = a_pipe()
        pipe, writer = writer_of(writing)
        assert pipe.get_write_buffer_limits() == (LOW, HIGH)
        writer.write(bytes(SMALL + HIGH))
        await writer.drain()
        assert pipe.get_write_buffer_size() == HIGH
        writer.write(b"1")
        draining = asyncio.ensure_future(writer.drain())
        await asyncio.sleep(0.02)
        assert not draining.done()
        read = 0
        while pipe.get_write_buffer_size() > LOW:
            assert not draining.done()
            read += len(os.read(reading, SMALL))
            await asyncio.sleep(0.001)
        await draining
        assert pipe.get_write_buffer_size() > 0
        writer.close()
        assert read + len(await read_all(reading)) == SMALL + HIGH + 1
        await writer.wait_closed()
        assert not is_open(writing)
        os.close(reading)

    run(main())


@pytest.mark.parametrize(("high", "low", "marks"), [(None, None, (LOW, HIGH)), (0, None, (0, 0)), (None, 10, (10, 40))])
def test_marks(run: Run, high: int | None, low: int | None, marks: tuple[int, int]) -> None:
    async def main() -> None:
        reading, writing = a_pipe()
        pipe, writer = writer_of(writing)
        pipe.set_write_buffer_limits(high, low)
        assert pipe.get_write_buffer_limits() == marks
        with pytest.raises(ValueError, match="must be >= low"):
            pipe.set_write_buffer_limits(1, 2)
        writer.write(bytes(SMALL + 1))
        assert pipe.get_write_buffer_size() == 1
        draining = asyncio.ensure_future(writer.drain())
        await asyncio.sleep(0.01)
        assert draining.done() is (marks[1] > 0)
        os.read(reading, SMALL)
        await draining
        pipe.abort()
        await writer.wait_closed()
        os.close(reading)

    run(main())


def test_what_is_written_arrives_in_order_whatever_it_is(run: Run) -> None:
    async def main() -> None:
        reading, writing = a_pipe()
        _, writer = writer_of(writing)
        numbers = memoryview(bytes(range(256)) * 64).cast("I")
        pieces: list[Any] = [b"a" * 10_000, bytearray(b"b" * 10_000), memoryview(b"c" * 10_000), numbers, b"", b"end"]
        everything = asyncio.ensure_future(read_all(reading))
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        first = writer.transport.get_write_buffer_size()
        writer.writelines(pieces[:2])
        assert first <= HIGH
        writer.write_eof()
        writer.write(b"too late")
        await writer.wait_closed()
        assert await everything == b"".join(map(bytes, [*pieces, *pieces[:2]]))
        os.close(reading)

    run(main())


def test_a_view_of_wide_items_on_an_empty_pipe(run: Run) -> None:
    """What was written is counted in bytes, and a view's items may be wider."""

    async def main() -> None:
        reading, writing = a_pipe()
        _, writer = writer_of(writing)
        data = os.urandom(8 * SMALL)
        writer.write(memoryview(data).cast("Q"))
        writer.close()
        assert await read_all(reading) == data
        await writer.wait_closed()
        os.close(reading)

    run(main())


@pytest.mark.parametrize("waiting", [False, True])
def test_its_reader_is_gone(run: Run, waiting: bool) -> None:
    async def main() -> None:
        reading, writing = a_pipe()
        pipe, writer = writer_of(writing)
        if waiting:
            writer.write(bytes(SMALL + HIGH + 1))
            draining = asyncio.ensure_future(writer.drain())
            await asyncio.sleep(0.01)
            os.close(reading)
        else:
            os.close(reading)
            writer.write(b"x")
            draining = asyncio.ensure_future(writer.drain())
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            await draining
        assert pipe.is_closing()
        assert not is_open(writing)
        writer.write(b"nobody")
        with pytest.raises(ConnectionResetError):
            await writer.drain()
        with pytest.raises(BrokenPipeError):
            await writer.wait_closed()
        writer.close()
        pipe.abort()

    run(main())


@pytest.mark.parametrize("buffered", [0, 100])
def test_abort_throws_away_and_close_does_not(run: Run, buffered: int) -> None:
    async def main() -> None:
        for end in ("abort", "close"):
            reading, writing = a_pipe()
            pipe, writer = writer_of(writing)
            pipe.write(bytes(SMALL + buffered))
            for _ in range(3):
                getattr(pipe, end)()
            assert pipe.is_closing()
            assert is_open(writing) is (end == "close" and buffered > 0)
            assert len(await read_all(reading)) == SMALL + (buffered if end == "close" else 0)
            await writer.wait_closed()
            assert not is_open(writing)
            pipe.abort()
            os.close(reading)

    run(main())


@pytest.mark.parametrize("error", [None, BrokenPipeError])
def test_who_gives_up_waiting_for_the_end_does_not_end_others_waits(
    run: Run, error: type[BrokenPipeError] | None
) -> None:
    async def main() -> None:
        told: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        reading, writing = a_pipe()
        _, writer = writer_of(writing)
        writer.write(bytes(2 * SMALL))
        writer.close()
        given_up, patient = (asyncio.ensure_future(writer.wait_closed()) for _ in range(2))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.wait([given_up])
        late = asyncio.ensure_future(writer.wait_closed())
        await asyncio.sleep(0)
        assert [each.done() for each in (given_up, patient, late)] == [True, False, False]
        if error is None:
            assert len(await read_all(reading)) == 2 * SMALL
        os.close(reading)
        ends = await asyncio.gather(patient, late, writer.wait_closed(), return_exceptions=True)
        assert [type(each) for each in ends] == [type(None) if error is None else error] * 3
        assert told == []

    run(main())


def test_a_number_is_closed_once(run: Run) -> None:
    async def main() -> None:
        reading, writing = a_pipe()
        pipe, writer = writer_of(writing)
        other, reader = reader_of(reading)
        pipe.close()
        other.close()
        again = os.memfd_create("a"), os.memfd_create("b")
        assert set(again) == {reading, writing}
        for each in (pipe, other):
            each.close()
            each.let_go()
            assert each.get_extra_info("fileno") == -1
        other.resume_reading()
        assert await reader.read() == b""
        await writer.wait_closed()
        for number in again:
            assert is_open(number)
            os.close(number)

    run(main())


def test_dropped_unclosed(run: Run) -> None:
    async def main() -> None:
        reading, writing = a_pipe()
        loop = asyncio.get_running_loop()
        kept: list[Any] = [WritePipe(loop, writing)]
        with pytest.warns(ResourceWarning, match=f"unclosed <WritePipe descriptor {writing}"):  # noqa: PT031
            kept.clear()
            gc.collect()
        assert not is_open(writing)
        pipe, _ = reader_of(reading)
        assert f"descriptor {reading}" in repr(pipe)
        pipe.close()
        assert "closed" in repr(pipe)

    run(main())


def test_a_loop_that_is_closed_first(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    loop = loop_factory()
    reading, writing = a_pipe()

    async def make() -> tuple[ReadPipe, WritePipe]:
        pipe = WritePipe(asyncio.get_running_loop(), writing)
        pipe.write(bytes(SMALL + 1))
        return reader_of(reading)[0], pipe

    ends = loop.run_until_complete(make())
    loop.close()
    for end in ends:
        end.let_go()
        end.let_go()
    assert not is_open(reading)
    assert not is_open(writing)


def test_input_is_closed_when_its_last_reader_has_ended(run: Run) -> None:
    """As asyncio's transport does it, so that a process that nobody put into a block leaves no descriptor."""

    async def main() -> None:
        process = await spawn(["true"], stdin=PIPE)
        await process.wait()
        assert process.stdin is not None
        assert process.stdin.is_closing()
        assert process.stdin.get_extra_info("fileno") == -1
        held = await spawn(["sh", "-c", "exec 3<&0; (read x <&3) & exit 0"], stdin=PIPE)
        await held.wait()
        assert held.stdin is not None
        assert not held.stdin.is_closing(), "somebody may still read it"
        held.stdin.close()
        await held.stdin.wait_closed()

    run(main())
