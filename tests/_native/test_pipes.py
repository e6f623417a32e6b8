"""The native loop's pipe transports. What they do is asyncio's, which is asked for it here."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import pytest

from loopwright import _native

if _native.LoopCore is None:
    pytest.skip(str(_native.MISSING), allow_module_level=True)

from loopwright.loops._native_loop import NativeEventLoop
from tests._native.pipes import KINDS, Log, Stage, on, settle, until

if TYPE_CHECKING:
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
    await until(lambda: ("data",) in log.seen)  # a terminal passes it on when the kernel comes to it
    await settle()
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
