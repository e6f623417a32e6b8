from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import pty
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.cli._sink import Sink
from loopwright.errors import CallerError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    Run = Callable[[Coroutine[Any, Any, None]], None]

PIPE_HOLDS = 1 << 16


@pytest.fixture
def run(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> Run:
    """Runs a coroutine on a new loop, of each kind."""

    def run_it(main: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(main)

    return run_it


class Pipe:
    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()

    def read_all(self, slowly: float = 0.0) -> bytes:
        """All until no writer is left; to be called in a thread."""
        chunks = []
        while chunk := os.read(self.reading, 4096 if slowly else 1 << 20):
            chunks.append(chunk)
            time.sleep(slowly)
        return b"".join(chunks)

    def read_exactly(self, count: int, at_once: int = 1 << 20) -> bytes:
        got = b""
        while len(got) < count:
            got += os.read(self.reading, min(at_once, count - len(got)))
        return got

    def close_reading(self) -> None:
        if self.reading >= 0:
            os.close(self.reading)
            self.reading = -1

    def close_writing(self) -> None:
        if self.writing >= 0:
            os.close(self.writing)
            self.writing = -1


@pytest.fixture
def pipe(no_leaks: None) -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close_reading()
    made.close_writing()


async def stuck(sink: Sink) -> None:
    """Wait until the writer has filled the pipe and stands still."""
    before = -1
    while sink.queued != before:
        before = sink.queued
        await asyncio.sleep(0.05)


def test_a_slow_reader_gets_every_line_in_order_and_the_queue_stays_bounded(pipe: Pipe, run: Run) -> None:
    lines = [f"line {number} {'.' * (number % 90)}" for number in range(6000)]
    limit = 32_000

    async def main() -> None:
        sink = Sink(pipe.writing, limit=limit)
        pipe.close_writing()
        reader = asyncio.create_task(asyncio.to_thread(pipe.read_all, 0.0005))
        most = 0
        for line in lines:
            await sink.wait_for_room()
            sink.write(line)
            most = max(most, sink.queued)
        assert await sink.close(30)
        assert (await reader).decode().splitlines() == lines
        assert limit <= most < limit + 200, "it was full, and never more than a line over"

    run(main())


def test_many_producers_are_all_let_in_again(pipe: Pipe, run: Run) -> None:
    async def produce(sink: Sink, who: int) -> None:
        for number in range(100):
            await sink.wait_for_room()
            sink.write(f"{who} {number} {'.' * 100}")

    async def main() -> None:
        sink = Sink(pipe.writing, limit=5000)
        pipe.close_writing()
        reader = asyncio.create_task(asyncio.to_thread(pipe.read_all, 0.0005))
        await asyncio.gather(*(produce(sink, who) for who in range(50)))
        assert await sink.close(30)
        got = [line.split()[:2] for line in (await reader).decode().splitlines()]
        assert len(got) == 5000
        for who in range(50):
            assert [number for name, number in got if name == str(who)] == [str(n) for n in range(100)]

    run(main())


def test_the_loop_keeps_ticking_while_nobody_reads(pipe: Pipe, run: Run) -> None:
    async def main() -> None:
        sink = Sink(pipe.writing)
        text = "x" * 999
        # A write() that waited for a reader would wait for ever: there is none yet.
        for _ in range(500):
            sink.write(text)
            await asyncio.sleep(0)
        await stuck(sink)
        assert sink.queued >= 500_000 - 2 * PIPE_HOLDS
        assert not sink.full
        reader = asyncio.to_thread(pipe.read_exactly, 500_000)
        got, whole = await asyncio.gather(reader, sink.close(30))
        assert whole
        assert got == b"%s\n" % text.encode() * 500

    run(main())


def test_room_is_waited_for_without_a_tick_and_comes_when_half_is_read(pipe: Pipe, run: Run) -> None:
    async def main() -> None:
        sink = Sink(pipe.writing, limit=300_000)
        sink.write("x" * 400_000)
        await stuck(sink)
        assert sink.full
        given_up = asyncio.create_task(sink.wait_for_room())
        waiting = asyncio.create_task(sink.wait_for_room())
        await asyncio.sleep(0.05)
        given_up.cancel()
        await asyncio.wait([given_up])
        assert not waiting.done()
        await asyncio.to_thread(pipe.read_exactly, 320_000)
        await asyncio.wait_for(waiting, 10)
        assert sink.queued <= 150_000
        pipe.read_exactly(80_001)
        assert await sink.close(10)

    run(main())


def test_one_line_may_be_larger_than_the_queue(pipe: Pipe, run: Run) -> None:
    async def main() -> None:
        sink = Sink(pipe.writing, limit=1000)
        await sink.wait_for_room()
        sink.write("x" * 3_000_000)
        got, whole = await asyncio.gather(asyncio.to_thread(pipe.read_exactly, 3_000_001), sink.close(30))
        assert whole
        assert got == b"x" * 3_000_000 + b"\n"

    run(main())


def test_a_reader_that_goes_away_is_told_of_once_and_holds_nobody(pipe: Pipe, run: Run) -> None:
    told: list[tuple[OSError, threading.Thread]] = []

    async def main() -> None:
        sink = Sink(
            pipe.writing,
            limit=100_000,
            on_broken=lambda error: told.append((error, threading.current_thread())),
        )
        sink.write("x" * 400_000)
        await stuck(sink)
        waiting = asyncio.create_task(sink.wait_for_room())
        await asyncio.sleep(0)
        pipe.close_reading()
        await asyncio.wait_for(waiting, 10)
        for _ in range(1000):
            sink.write("nobody reads this")
        await sink.wait_for_room()
        assert sink.queued == 0
        assert not await sink.close(10)
        assert isinstance(sink.broken, BrokenPipeError)

    run(main())
    assert [(type(error), thread) for error, thread in told] == [(BrokenPipeError, threading.main_thread())]


def test_a_full_disk_is_told_of(run: Run) -> None:
    told: list[OSError] = []

    async def main() -> None:
        full = os.open("/dev/full", os.O_WRONLY)
        sink = Sink(full, on_broken=told.append)
        sink.write("x")
        assert not await sink.close(10)
        os.close(full)

    run(main())
    assert [error.errno for error in told] == [errno.ENOSPC]


def test_a_terminal_that_hangs_up_is_told_of(run: Run) -> None:
    told: list[OSError] = []

    async def main() -> None:
        master, slave = pty.openpty()
        sink = Sink(slave, on_broken=told.append)
        sink.write("hello")
        assert (await asyncio.to_thread(os.read, master, 100)) == b"hello\r\n"
        os.close(master)
        sink.write("is anybody there")
        assert not await sink.close(10)
        os.close(slave)

    run(main())
    assert [error.errno for error in told] == [errno.EIO]


def test_a_stuck_terminal_holds_up_the_end_for_no_longer_than_agreed(pipe: Pipe, run: Run) -> None:
    async def main() -> None:
        sink = Sink(pipe.writing)
        sink.write("x" * 200_000)
        before = time.monotonic()
        assert not await sink.close(0.1)
        assert 0.09 <= time.monotonic() - before < 2
        got, whole = await asyncio.gather(asyncio.to_thread(pipe.read_exactly, 200_001), sink.close(10))
        assert whole, "and may be waited for again"
        assert len(got) == 200_001

    run(main())


def test_what_is_left_when_the_loop_has_closed_is_written_all_the_same(pipe: Pipe, run: Run) -> None:
    sinks = []

    async def main() -> None:
        sinks.append(sink := Sink(pipe.writing, limit=100_000))
        sink.write("x" * 200_000)
        assert not await sink.close(0.05)

    run(main())
    pipe.close_writing()
    assert len(pipe.read_all()) == 200_001
    sinks[0]._thread.join(10)
    assert not sinks[0]._thread.is_alive()


@pytest.mark.parametrize("nonblocking", [False, True])
def test_the_flags_that_others_share_are_left_alone_and_either_way_works(
    pipe: Pipe, run: Run, nonblocking: bool
) -> None:
    os.set_blocking(pipe.writing, not nonblocking)
    flags = fcntl.fcntl(pipe.writing, fcntl.F_GETFL)

    text = "".join(f"{number:06}" for number in range(50_000))

    async def main() -> None:
        sink = Sink(pipe.writing)
        sink.write(text)
        await stuck(sink)
        assert 0 < sink.queued < 300_001
        assert fcntl.fcntl(pipe.writing, fcntl.F_GETFL) == flags
        got, whole = await asyncio.gather(asyncio.to_thread(pipe.read_exactly, 300_001, 10_000), sink.close(10))
        assert whole
        assert got == text.encode() + b"\n"

    run(main())
    assert fcntl.fcntl(pipe.writing, fcntl.F_GETFL) == flags


@pytest.mark.long
def test_a_wait_for_a_nonblocking_pipe_takes_no_processor_time(pipe: Pipe, run: Run) -> None:
    os.set_blocking(pipe.writing, False)

    async def main() -> None:
        sink = Sink(pipe.writing)
        sink.write("x" * 300_000)
        await stuck(sink)
        before = time.process_time()
        await asyncio.sleep(0.3)
        assert time.process_time() - before < 0.2  # polling would take all of the 0.3
        pipe.close_reading()
        assert not await sink.close(10)

    run(main())


def test_a_signal_that_interrupts_a_write_loses_nothing(pipe: Pipe, run: Run) -> None:
    got_signal = threading.Event()
    before = signal.signal(signal.SIGUSR1, lambda *_: got_signal.set())

    async def main() -> None:
        sink = Sink(pipe.writing)
        sink.write("x" * 300_000)
        await stuck(sink)
        assert sink._thread.ident is not None
        signal.pthread_kill(sink._thread.ident, signal.SIGUSR1)
        await asyncio.sleep(0.05)
        assert got_signal.is_set()
        got, whole = await asyncio.gather(asyncio.to_thread(pipe.read_exactly, 300_001), sink.close(10))
        assert whole
        assert got == b"x" * 300_000 + b"\n"

    try:
        run(main())
    finally:
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [("ascii", rb"gr\xfc\xdfe \u65e5 \udc80"), ("utf-8", "grüße 日 ".encode() + rb"\udc80")],
)
def test_an_encoding_that_lacks_a_letter_does_not_end_the_show(
    pipe: Pipe, run: Run, encoding: str, expected: bytes
) -> None:
    async def main() -> None:
        sink = Sink(pipe.writing, encoding=encoding)
        sink.write("grüße 日 \udc80")
        assert await sink.close(10)

    run(main())
    assert os.read(pipe.reading, 1000) == expected + b"\n"


def test_after_the_end_a_line_is_refused_and_not_lost_in_silence(pipe: Pipe, run: Run) -> None:
    async def main() -> None:
        sink = Sink(pipe.writing)
        assert await sink.close(10)
        assert await sink.close(10)
        with pytest.raises(CallerError, match="closed"):
            sink.write("too late")

    run(main())


def test_a_descriptor_that_is_not_open_is_an_error_at_once(run: Run) -> None:
    async def main() -> None:
        reading, writing = os.pipe()
        os.close(reading)
        os.close(writing)
        with pytest.raises(OSError, match="Bad file descriptor"):
            Sink(writing)

    run(main())


def test_the_number_may_be_reused_while_the_writer_is_stuck(pipe: Pipe, run: Run) -> None:
    async def main() -> None:
        sink = Sink(pipe.writing)
        sink.write("x" * 200_000)
        await stuck(sink)
        number = pipe.writing
        other_reading, other_writing = os.pipe()
        os.dup2(other_writing, number)  # what a program does that puts its stdout elsewhere
        os.close(other_writing)
        got, whole = await asyncio.gather(asyncio.to_thread(pipe.read_exactly, 200_001), sink.close(10))
        assert whole
        assert len(got) == 200_001
        pipe.close_writing()
        assert os.read(other_reading, 10) == b""
        os.close(other_reading)

    run(main())
