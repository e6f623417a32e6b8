"""The end of what `loopwright up` writes to, or of what writes: told of once, waited for no longer than agreed."""

from __future__ import annotations

import asyncio
import errno
import os
import pty
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.cli._sink import Sink
from loopwright.errors import CallerError
from tests.cli.sinks import Pipe, stuck

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
        shown = b""
        while not shown.endswith(b"\n"):  # the kernel may give the end of the line by itself
            shown += await asyncio.to_thread(os.read, master, 100)
        assert shown == b"hello\r\n"
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
        assert 0.09 <= time.monotonic() - before < 10
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
