"""Signals to a process and to its group, of which it is known who is in it."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
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


def sh(script: str, *args: str) -> list[str]:
    return ["/bin/sh", "-c", script, "sh", *args]


async def line(process: Process) -> str:
    """The next line of its output."""
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().rstrip("\n")


# --- signals


def test_signals_after_the_end_are_not_sent(run: Run) -> None:
    async def main() -> None:
        process = await spawn(sh("exit 0"), process_group=0)
        await process.wait()
        assert not process.send_signal(signal.SIGTERM)
        assert not process.terminate()
        assert not process.kill()
        assert not process.signal_group(signal.SIGKILL)
        assert process.group_members() == ()
        await process.wait_group()

    run(main())


def test_a_signal_between_its_end_and_the_news_of_it(run: Run, soon: Soon, runs: Runs) -> None:
    """The loop has not heard yet, the pid is a zombie's: the signal goes nowhere, and to nobody else."""

    async def main() -> None:
        async with await spawn(sh("exit 0"), process_group=0) as process:
            soon(lambda: not runs(process.pid))  # holds the loop meanwhile
            assert process.status is None
            process.kill()
            process.signal_group(signal.SIGKILL)
            assert (await process.wait()).success

    run(main())


def test_no_such_signal(run: Run) -> None:
    async def main() -> None:
        async with await spawn(["sleep", "100"]) as process:
            with pytest.raises(OSError, match="Invalid argument"):
                process.send_signal(1000)
            assert process.send_signal(0)
            assert process.status is None

    run(main())


# --- groups


def test_a_process_without_a_group_of_its_own(run: Run) -> None:
    async def main() -> None:
        async with await spawn(["sleep", "100"]) as process:
            with pytest.raises(ValueError, match="leads no process group"):
                process.signal_group(signal.SIGTERM)
            with pytest.raises(ValueError, match="leads no process group"):
                await process.wait_group()
            assert process.group_members() == ()

    run(main())


@pytest.mark.parametrize("option", [{"start_new_session": True}, {"process_group": 0}])
def test_the_whole_group_is_signalled(run: Run, soon: Soon, option: dict[str, Any]) -> None:
    async def main() -> None:
        async with await spawn(sh("sleep 100 & sleep 100 & echo; wait"), stdout=PIPE, **option) as process:
            await line(process)
            soon(lambda: len(process.group_members()) == 3)
            assert process.pid in process.group_members()
            assert process.signal_group(signal.SIGTERM)
            await process.wait_group()
            assert process.group_members() == ()
            assert process.status is not None
            assert process.status.signal == signal.SIGTERM

    run(main())


def test_a_group_whose_leader_died_first(run: Run, runs: Runs) -> None:
    async def main() -> None:
        async with await spawn(sh("sleep 100 & echo $!"), stdout=PIPE, start_new_session=True) as process:
            with process.hold_group(), process.hold_group():
                left = int(await line(process))
                assert (await process.wait()).success
                waiting = asyncio.create_task(process.wait_group())
                await asyncio.sleep(0.05)
                assert not waiting.done()
                assert process.group_members() == (left,)
                assert os.getpgid(process.pid) == process.pid  # the number still is its own
                assert process.signal_group(signal.SIGKILL)
                await waiting
                assert process.group_members() == ()
                assert not runs(left)
            os.kill(process.pid, 0)  # the block holds it as well, so its number is still not anybody else's
        assert not process.signal_group(signal.SIGKILL)
        with pytest.raises(ProcessLookupError):
            os.kill(process.pid, 0)

    run(main())


def test_zombies_count_as_gone(run: Run, soon: Soon) -> None:
    """A parent that does not wait for its children must not make its group look alive for ever."""

    async def main() -> None:
        # After exec the shell's child has a parent that never heard of it.
        script = "sleep 100 & echo $!; exec sleep 100"
        async with await spawn(sh(script), stdout=PIPE, start_new_session=True) as process:
            child = int(await line(process))
            soon(lambda: Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n")
            soon(lambda: sorted(process.group_members()) == sorted((process.pid, child)))
            os.kill(child, signal.SIGKILL)
            soon(lambda: process.group_members() == (process.pid,))
            assert os.getpgid(child) == process.pid  # it is there, a zombie
            process.kill()
            await process.wait_group()

    run(main())


def test_a_name_that_looks_like_the_fields_after_it(run: Run, tmp_path: Path) -> None:
    """In /proc/PID/stat the name stands in parentheses and may hold parentheses, spaces and states."""
    odd = tmp_path / "a) Z 1 (b"
    odd.symlink_to("/bin/sleep")

    async def main() -> None:
        async with await spawn([odd, "100"], process_group=0) as process:
            assert process.group_members() == (process.pid,)
            assert process.signal_group(signal.SIGTERM)
            await process.wait_group()

    run(main())
