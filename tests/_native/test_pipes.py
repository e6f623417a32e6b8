"""The native loop's pipe transports. What they do is asyncio's, which is asked for it here."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import tempfile
import threading
import time
import tty
from typing import TYPE_CHECKING, Any

import pytest

from loopwright import _native

if _native.LoopCore is None:
    pytest.skip(str(_native.MISSING), allow_module_level=True)

from loopwright.loops._native_loop import NativeEventLoop
from tests._native.pipes import ENOUGH, KINDS, Log, Stage, on, played, settle, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Scenes. Each gives what it saw, which is to be the same on either loop.


async def reads(stage: Stage) -> Any:
    transport, log = await stage.read_end()
    assert not os.get_blocking(stage.reading.fileno())
    assert isinstance(transport, asyncio.ReadTransport)
    assert transport.get_extra_info("pipe") is stage.reading
    assert transport.get_protocol() is log
    stage.writing.write(b"hello")
    await until(lambda: log.data == b"hello")
    reading = transport.is_reading(), transport.is_closing()
    stage.writing.close()
    await log.lost
    await settle()
    return reading, transport.is_reading(), transport.is_closing(), log.seen, stage.reading.closed


async def reads_paused(stage: Stage) -> Any:
    transport, log = await stage.read_end(made=lambda transport: transport.pause_reading())
    stage.writing.write(b"hello")
    await asyncio.sleep(0.01)
    before = log.data, transport.is_reading()
    transport.resume_reading()
    transport.resume_reading()
    await until(lambda: log.data == b"hello")
    transport.pause_reading()
    transport.pause_reading()
    transport.close()
    transport.close()
    transport.resume_reading()
    await log.lost
    await settle()
    return before, transport.is_reading(), log.seen, stage.reading.closed


async def reads_at_most(stage: Stage) -> Any:
    transport, log = await stage.read_end()
    transport.max_size = 3
    stage.writing.write(b"abcdefg")
    await until(lambda: log.data == b"abcdefg")
    transport.close()
    await log.lost
    return log.seen


async def reads_and_raises(stage: Stage) -> Any:
    def fail(_transport: Any) -> None:
        raise ValueError("no")

    transport, log = await stage.read_end(made=fail, data=fail)
    stage.writing.write(b"a")
    await asyncio.sleep(0.01)
    still = transport.is_closing(), log.seen[:]
    transport.close()
    await log.lost
    return still


async def reads_and_fails_at_the_end(stage: Stage) -> Any:
    def fail(_transport: Any) -> None:
        raise ValueError("no")

    _, log = await stage.read_end(eof=fail, lost=fail)
    stage.writing.close()
    await log.lost
    await settle()
    return log.seen, stage.reading.closed


async def writes(stage: Stage) -> Any:
    transport, log = await stage.write_end()
    assert not os.get_blocking(stage.writing.fileno())
    assert isinstance(transport, asyncio.WriteTransport)
    assert transport.get_extra_info("pipe") is stage.writing
    for data in (b"a", bytearray(b"b"), memoryview(b"c"), b"", bytearray()):
        transport.write(data)
    transport.writelines([b"d", b"", b"e"])
    first = stage.drain(5), transport.get_write_buffer_size(), transport.can_write_eof()
    transport.write_eof()
    transport.write_eof()
    transport.close()
    await log.lost
    await settle()
    return first, transport.is_closing(), log.seen, stage.writing.closed


async def writes_much(stage: Stage) -> Any:
    transport, log = await stage.write_end()
    taken = stage.fill()
    transport.set_write_buffer_limits(high=1000, low=1000)
    buffer = bytearray(b"b" * 600)
    transport.write(buffer)
    buffer[:] = b"x" * 600
    transport.write(b"c" * 400)
    seen = log.seen[:]
    transport.write(b"d" * 100_000)
    transport.writelines([b"e" * 50_000, b"f" * 50_000])
    size = transport.get_write_buffer_size()
    transport.close()
    transport.write(b"not this")
    stage.drain(taken)
    reader = asyncio.ensure_future(asyncio.to_thread(stage.drain, 201_000))
    data = await reader
    await log.lost
    right = data == b"b" * 600 + b"c" * 400 + b"d" * 100_000 + b"e" * 50_000 + b"f" * 50_000
    return seen, size, right, log.seen, transport.get_write_buffer_limits(), stage.writing.closed


async def aborts_what_is_queued(stage: Stage) -> Any:
    transport, log = await stage.write_end()
    stage.fill()
    transport.write(b"a" * 100_000)
    transport.abort()
    sizes = transport.get_write_buffer_size()
    await log.lost
    await settle()
    return sizes, log.seen, stage.writing.closed


async def loses_its_reader(stage: Stage) -> Any:
    """Which is noticed though nothing is written."""
    transport, log = await stage.write_end()
    stage.reading.close()
    await log.lost
    await settle()
    return transport.is_closing(), log.seen, stage.writing.closed


async def loses_its_reader_with_a_full_buffer(stage: Stage) -> Any:
    transport, log = await stage.write_end()
    stage.fill()
    transport.write(b"a" * 100_000)
    stage.reading.close()
    await log.lost
    await settle()
    return transport.get_write_buffer_size(), log.seen, stage.writing.closed


async def writes_to_nobody(stage: Stage) -> Any:
    """Before the loop had a chance to hear of it."""
    transport, log = await stage.write_end()
    stage.reading.close()
    transport.write(b"a")
    closing = transport.is_closing()
    await log.lost
    await settle()
    return closing, log.seen, stage.writing.closed


async def raises_while_pausing(stage: Stage) -> Any:
    def fail(_transport: Any) -> None:
        raise ValueError("no")

    transport, log = await stage.write_end(pause=fail, resume=fail)
    taken = stage.fill()
    transport.set_write_buffer_limits(high=0)
    transport.write(b"a")
    stage.drain(taken)
    await until(lambda: transport.get_write_buffer_size() == 0)
    transport.abort()
    await log.lost
    return log.seen


async def changes_protocols(stage: Stage) -> Any:
    transport, log = await stage.read_end()
    other = Log()
    transport.set_protocol(other)
    assert transport.get_protocol() is other
    stage.writing.write(b"for the other")
    await until(lambda: bool(other.data))
    transport.close()
    await other.lost
    return log.seen, other.seen


async def is_something_that_is_written_to(stage: Stage) -> Any:
    transport, log = await stage.write_end()
    names = "pause_reading", "resume_reading", "is_reading"
    for name in names:
        with pytest.raises(NotImplementedError):
            getattr(transport, name)()
    transport.pause_reading = lambda: "put there"  # asyncio's have a dict
    transport.close()
    await log.lost
    return transport.pause_reading(), isinstance(transport, asyncio.Transport)


SCENES = (
    reads,
    reads_paused,
    reads_at_most,
    reads_and_raises,
    reads_and_fails_at_the_end,
    writes,
    writes_much,
    aborts_what_is_queued,
    loses_its_reader,
    loses_its_reader_with_a_full_buffer,
    writes_to_nobody,
    raises_while_pausing,
    changes_protocols,
    is_something_that_is_written_to,
)
#: A terminal's other side is not missed until something is written, and what was written is lost with it; it takes
#: another amount each time.
NOT_ON_TERMINALS = {loses_its_reader, loses_its_reader_with_a_full_buffer, writes_much, raises_while_pausing}


@pytest.mark.parametrize("debug", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_is_as_on_asyncio(scene: Any, kind: str, debug: bool, tmp_path: Path) -> None:
    if kind == "pty" and scene in NOT_ON_TERMINALS:
        pytest.skip("not so on terminals")
    expected = on(asyncio.SelectorEventLoop, scene, kind, tmp_path, debug)
    assert on(NativeEventLoop, scene, kind, tmp_path, debug) == expected


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
            while sent:
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
