"""What `loopwright up` writes by: in order, whole, bounded, and without holding the loop."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.cli._sink import Sink
from tests.cli.sinks import PIPE_HOLDS, Pipe, stuck

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture
def run(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> Run:
    """Runs a coroutine on a new loop, of each kind."""

    def run_it(main: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(main)

    return run_it


def test_a_slow_reader_gets_every_line_in_order_and_the_queue_stays_bounded(pipe: Pipe, run: Run) -> None:
    lines = [f"line {number} {'.' * (number % 90)}" for number in range(6000)]
    limit = 32_000

    full = threading.Event()

    def read() -> bytes:
        full.wait(30)
        return pipe.read_all(0.0005)

    async def main() -> None:
        sink = Sink(pipe.writing, limit=limit)
        pipe.close_writing()
        reader = asyncio.create_task(asyncio.to_thread(read))
        most = 0
        for line in lines:
            await sink.wait_for_room()
            sink.write(line)
            most = max(most, sink.queued)
            if sink.full:
                full.set()
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
        async with asyncio.timeout(20):
            while not got_signal.is_set():  # noqa: ASYNC110 - another thread hears it, in its own time
                await asyncio.sleep(0.005)
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
