"""The native loop's pipe transports, where they are not asyncio's or asyncio's cannot be asked."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import tempfile
import threading
import time
import tty
from typing import TYPE_CHECKING

import pytest

from loopwright import _native

if _native.LoopCore is None:
    pytest.skip(str(_native.MISSING), allow_module_level=True)

from loopwright.loops._native_loop import NativeEventLoop
from tests._native.pipes import ENOUGH, Log, Stage, on, played, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=NativeEventLoop) as runner:
        yield runner


@pytest.mark.parametrize("method", ["connect_read_pipe", "connect_write_pipe"])
def test_refuses_a_regular_file(method: str, runner: asyncio.Runner, tmp_path: Path) -> None:
    async def connect() -> None:
        with tempfile.TemporaryFile(dir=tmp_path) as file:
            with pytest.raises(ValueError, match="pipes"):
                await getattr(asyncio.get_running_loop(), method)(asyncio.Protocol, file)
            assert not file.closed

    runner.run(connect())


@pytest.mark.parametrize("end", ["read_end", "write_end"])
def test_warns_when_dropped_unclosed(end: str, runner: asyncio.Runner, tmp_path: Path) -> None:
    async def drop() -> None:
        stage = Stage("pty", tmp_path)  # whose writing end nobody watches
        transport, log = await getattr(stage, end)(made=lambda t: t.pause_reading() if end == "read_end" else None)
        log.transport = None
        held = [transport]
        del transport
        with pytest.warns(ResourceWarning, match="unclosed transport <(Read|Write)PipeTransport fd="):
            held.clear()
        assert (stage.reading if end == "read_end" else stage.writing).closed
        stage.close()

    runner.run(drop())


def test_a_terminal_may_have_one_of_each(runner: asyncio.Runner) -> None:
    async def talk() -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = pty.openpty()
        tty.setraw(theirs)
        with os.fdopen(ours, "r+b", buffering=0) as terminal:
            writing, other = await loop.connect_write_pipe(Log, terminal)
            reading, log = await loop.connect_read_pipe(Log, terminal)
            writing.set_write_buffer_limits(high=0)
            sent = 0
            while not writing.get_write_buffer_size():  # until its writing side is watched, too
                writing.write(b"w" * 1000)
                sent += 1000
            os.write(theirs, b"hello")
            await until(lambda: log.data == b"hello")
            os.set_blocking(theirs, False)  # what is left in the transport is written when the loop hears of room
            while sent:
                with contextlib.suppress(BlockingIOError):
                    sent -= len(os.read(theirs, sent))
                await asyncio.sleep(0)
            await until(lambda: writing.get_write_buffer_size() == 0)
            os.close(theirs)
            await log.lost
            assert log.seen[-1] == ("lost", OSError)  # EIO, which is no news to anybody
            assert reading.is_closing()
            writing.abort()
            await other.lost

    runner.run(talk())


def test_resumes_at_the_low_water_mark(runner: asyncio.Runner, tmp_path: Path) -> None:
    """As is documented; asyncio's transport of pipes does so when all is written."""

    async def write() -> None:
        stage = Stage("pipe", tmp_path)
        fcntl.fcntl(stage.writing, 1031, 65536)  # F_SETPIPE_SZ
        transport, log = await stage.write_end()
        stage.fill()
        transport.set_write_buffer_limits(high=200_000, low=150_000)
        transport.write(b"a" * 200_001)
        assert log.seen[-1] == ("pause",)
        stage.drain(65536)
        await until(lambda: log.seen[-1] == ("resume",))
        assert 0 < transport.get_write_buffer_size() <= 150_000
        transport.abort()
        await log.lost
        stage.close()

    runner.run(write())


def test_warns_of_writes_after_the_end(
    runner: asyncio.Runner, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def write(stage: Stage) -> int:
        transport, log = await stage.write_end()
        transport.close()
        count = 0
        while not caplog.records and count < 20:
            transport.write(b"lost")
            count += 1
        await log.lost
        return count

    expected = on(asyncio.SelectorEventLoop, write, "pipe", tmp_path)
    caplog.clear()
    assert on(NativeEventLoop, write, "pipe", tmp_path) == expected
    assert "pipe closed by peer" in caplog.text


def test_does_not_stop_threads_where_somebody_has_it_block(runner: asyncio.Runner, tmp_path: Path) -> None:
    """Whoever has the same open file may; then the call waits, but others run."""

    async def write() -> None:
        stage = Stage("pipe", tmp_path)
        transport, log = await stage.write_end()
        taken = stage.fill()
        os.set_blocking(stage.writing.fileno(), True)

        def read() -> None:
            time.sleep(0.02)
            stage.drain(taken + 5)

        reader = threading.Thread(target=read)
        reader.start()
        transport.write(b"hello")
        reader.join(ENOUGH)
        assert not reader.is_alive()
        transport.close()
        await log.lost
        stage.close()

    runner.run(write())


def test_refuses_to_write_what_are_no_bytes(runner: asyncio.Runner, tmp_path: Path) -> None:
    async def write(stage: Stage) -> None:
        transport, log = await stage.write_end()
        with pytest.raises(TypeError, match="'str'"):
            transport.write("text")
        transport.close()
        await log.lost

    runner.run(played(write, "pipe", tmp_path))
