"""`async with` a process: none is left behind, however the block is left."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.process import PIPE, Process, spawn

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Factory = Callable[[], asyncio.AbstractEventLoop]
    Run = Callable[[Coroutine[Any, Any, Any]], Any]
    Descriptors = Callable[[], set[tuple[int, str]]]
    Runs = Callable[[int], bool]
    Soon = Callable[..., None]

MIB = 1 << 20


def sh(script: str, *args: str) -> list[str]:
    return ["/bin/sh", "-c", script, "sh", *args]


async def line(process: Process) -> str:
    """The next line of its output."""
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().rstrip("\n")


def test_the_block_kills_what_still_runs(run: Run, runs: Runs, descriptors: Descriptors) -> None:
    async def main() -> None:
        before = descriptors()
        async with await spawn(["sleep", "100"], stdin=PIPE, stdout=PIPE, stderr=PIPE) as process:
            pass
        assert process.status is not None
        assert process.status.signal == signal.SIGKILL
        assert not runs(process.pid)
        assert descriptors() == before

    run(main())


def test_the_block_kills_the_whole_group(run: Run, soon: Soon, runs: Runs) -> None:
    async def main() -> None:
        async with await spawn(sh("sleep 100 & echo $!; wait"), stdout=PIPE, start_new_session=True) as process:
            child = int(await line(process))
        soon(lambda: not runs(child))

    run(main())


def test_an_exception_in_the_block(run: Run, descriptors: Descriptors) -> None:
    async def main() -> None:
        before = descriptors()
        with pytest.raises(ZeroDivisionError):
            async with await spawn(["cat"], stdin=PIPE, stdout=PIPE) as process:
                raise ZeroDivisionError
        assert process.status is not None
        assert descriptors() == before

    run(main())


def test_the_block_closes_a_pipe_that_a_grandchild_never_reads(run: Run, descriptors: Descriptors) -> None:
    """It was written more than the pipe holds, so the rest can never be written."""

    async def main() -> None:
        before = descriptors()
        for closed_before in (False, True):
            script = "exec 3<&0; sleep 100 <&3 >&- & echo $!"  # sh gives what it puts in the background /dev/null
            async with await spawn(sh(script), stdin=PIPE, stdout=PIPE) as process:
                assert process.stdin is not None
                process.stdin.write(bytes(MIB))
                grandchild = int(await line(process))
                if closed_before:
                    process.stdin.close()
                await process.wait()
            assert descriptors() == before
            os.kill(grandchild, signal.SIGKILL)

    run(main())


@pytest.mark.parametrize("times", [1, 2, 5])
def test_a_block_that_is_cancelled(run: Run, runs: Runs, descriptors: Descriptors, times: int) -> None:
    """However often: what it was to kill is dead and waited for when the task ends, which ends as cancelled."""

    async def block(inside: asyncio.Future[Process]) -> None:
        async with await spawn(["cat"], stdin=PIPE, stdout=PIPE, process_group=0) as process:
            inside.set_result(process)
            await asyncio.sleep(100)

    async def main() -> None:
        before = descriptors()
        inside: asyncio.Future[Process] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(block(inside))
        process = await inside
        for _ in range(times):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert process.status is not None
        assert not runs(process.pid)
        assert descriptors() == before

    run(main())


def test_leaving_the_block_cancelled_only_then(run: Run, runs: Runs) -> None:
    """The cancellation comes while the block is being left, and must not get lost."""

    async def block(inside: asyncio.Future[Process]) -> None:
        async with await spawn(["sleep", "100"]) as process:
            inside.set_result(process)

    async def main() -> None:
        inside: asyncio.Future[Process] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(block(inside))
        process = await inside
        assert process.status is None
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert process.status is not None
        assert not runs(process.pid)

    run(main())


def test_one_process_in_two_blocks(run: Run) -> None:
    async def main() -> None:
        process = await spawn(["cat"], stdin=PIPE, stdout=PIPE)
        async with process:
            assert await process.communicate(b"once") == (b"once", None)
        async with process:
            assert process.status is not None

    run(main())


def test_a_block_ends_the_group_of_a_process_that_has_ended_itself(run: Run) -> None:
    async def main() -> None:
        async with await spawn(["sh", "-c", "sleep 1000 & exit 3"], start_new_session=True) as process:
            assert (await process.wait()).code == 3
            assert process.group_members()
        assert not process.group_members()

    run(main())


def test_a_block_closes_all_pipes_though_one_cannot_be(
    run: Run, descriptors: Descriptors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where somebody else has closed its number. Not in earnest, for it might be another's again by then."""

    async def main() -> None:
        before = descriptors()
        process = await spawn(["sleep", "100"], stdin=PIPE, stdout=PIPE, stderr=PIPE)
        assert process.stdin is not None
        assert process.stdout is not None
        number, close = process.stdin.get_extra_info("fileno"), os.close
        # So that no pipe ends with the process, before the block does.
        modes = (os.O_RDONLY | os.O_NONBLOCK, os.O_WRONLY, os.O_WRONLY)
        held = [os.open(f"/proc/{process.pid}/fd/{each}", mode) for each, mode in enumerate(modes)]

        def close_and_fail(each: int) -> None:
            close(each)
            if each == number:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))

        reading = asyncio.ensure_future(process.stdout.read())
        with pytest.raises(OSError, match="Bad file descriptor"):
            async with process:
                monkeypatch.setattr(os, "close", close_and_fail)
        monkeypatch.undo()
        async with asyncio.timeout(20):
            assert await reading == b""
            await process.stdin.wait_closed()
        for each in held:
            close(each)
        assert descriptors() == before

    run(main())
