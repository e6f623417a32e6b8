"""Whole trees of real processes, ended under hardships: a leader that is gone, numbers given again, signals refused."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.process import PIPE, Process, StatusLost, _emptiness, _ending, _proc, spawn
from loopwright.process._ended import DOUBTFUL, FORBIDDEN
from tests.process.trees import numbers, python, sh

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Run = Callable[[Coroutine[Any, Any, Any]], Any]
    Runs = Callable[[int], bool]
    Soon = Callable[..., None]

ESCAPES = """
def escape(*, again):
    if not os.fork():
        os.setsid()
        if again and os.fork():
            time.sleep(0.1 if again == "parent lives" else 0)
            os._exit(0)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        say(os.getpid())
        while True: time.sleep(1)
"""


# --- after its leader


@pytest.mark.parametrize("held", [False, True], ids=["reaped", "held"])
def test_a_leader_that_died_first(run: Run, runs: Runs, held: bool) -> None:
    async def main() -> None:
        process = await spawn(sh("sleep 100 & echo $!; exit 3"), stdout=PIPE, start_new_session=True)
        with process.hold_group() if held else contextlib.nullcontext():
            [pid] = await numbers(process)
            assert (await process.wait()).code == 3
            if not held:
                await asyncio.sleep(0.01)  # it is reaped after whoever waited has heard of it
                with pytest.raises(ProcessLookupError):
                    os.kill(process.pid, 0)
            ended = await process.end()
            assert ended.status is not None
            assert ended.status.code == 3
            assert ended.left == ()
            assert not runs(pid)
        async with process:  # for its pipe
            pass

    run(main())


def recycled(process: Process, world: Callable[[], dict[int, _proc.Seen]], stranger: int) -> dict[int, _proc.Seen]:
    """A world in which the number of a process that was reaped has come to lead a stranger's group and session."""
    found = world()
    seen = found[stranger]
    found[stranger] = _proc.Seen(seen.pid, seen.started, seen.parent, process.pid, process.pid, seen.state)
    return found


@pytest.mark.parametrize("session", [True, False])
def test_a_recycled_group_number(run: Run, runs: Runs, monkeypatch: pytest.MonkeyPatch, session: bool) -> None:
    """The kernel will not hand out a certain number on demand, so what /proc says is made to say it."""
    look = _proc.look

    async def main() -> None:
        options: dict[str, Any] = {"start_new_session": True} if session else {"process_group": 0}
        process = await spawn(["true"], **options)
        await process.wait()
        await asyncio.sleep(0.05)
        async with await spawn(["sleep", "100"]) as stranger:
            monkeypatch.setattr(_emptiness, "anybody", lambda _number: True)  # as the kernel would say then
            monkeypatch.setattr(_proc, "look", lambda: recycled(process, look, stranger.pid))
            for _ in range(2):
                ended = await process.end(grace=0.05)
                assert runs(stranger.pid)
                assert ended.killed == ()
                assert [(left.pid, left.why) for left in ended.left] == [(stranger.pid, DOUBTFUL)]
                assert not ended.proved
            monkeypatch.setattr(_proc, "look", look)
            assert (await process.end()).left == ()

    run(main())


def test_a_status_that_somebody_took(run: Run, runs: Runs) -> None:
    """With it the number went back, so what is in its group may be anybody: it is named."""

    async def main() -> None:
        process = await spawn(sh("sleep 100 & echo $!; wait"), stdout=PIPE, start_new_session=True)
        [left] = await numbers(process)
        os.kill(process.pid, signal.SIGKILL)
        os.waitpid(process.pid, 0)  # noqa: ASYNC222 - before the loop sees it
        assert isinstance(await process.wait(), StatusLost)
        ended = await process.end(grace=0.05)
        assert ended.killed == ()
        assert [one.pid for one in ended.left] == [left]
        assert runs(left)
        os.kill(left, signal.SIGKILL)
        async with process:
            pass

    run(main())


def test_a_pid_that_came_to_mean_another_is_not_signalled(runs: Runs) -> None:
    pid = os.posix_spawnp("sleep", ["sleep", "100"], os.environ)
    try:
        seen = _proc.read(pid)
        assert seen is not None
        assert _proc.send(_proc.Identity(pid, seen.started - 1), signal.SIGKILL) is _proc.Sent.GONE
        assert runs(pid)
        assert _proc.send(seen.identity, signal.SIGKILL) is _proc.Sent.YES
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert _proc.send(seen.identity, signal.SIGKILL) is _proc.Sent.GONE


# --- what the kernel will not do on demand


@pytest.mark.long
def test_who_may_not_be_signalled_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with await spawn(["sleep", "100"]) as process:
            with monkeypatch.context() as patch:
                patch.setattr(_ending, "_send", lambda *_: _proc.Sent.REFUSED)
                ended = await process.end(grace=0.01)
            assert [(left.pid, left.why) for left in ended.left] == [(process.pid, FORBIDDEN)]
            assert ended.status is None
            assert not ended.proved
            assert "process" in str(ended.left[0])
            assert (await process.end(grace=0)).left == ()  # it may be now

    run(main())


@pytest.mark.long
def test_without_descriptors(run: Run, monkeypatch: pytest.MonkeyPatch, runs: Runs) -> None:
    """One is needed for each signal: what was not sent for want of one is sent as soon as there is one."""
    left = [6]
    open_one = os.pidfd_open

    def scarce(pid: int, flags: int = 0) -> int:
        left[0] -= 1
        if left[0] >= 0:
            raise OSError(24, "Too many open files")
        return open_one(pid, flags)

    async def main() -> None:
        code = ESCAPES + "escape(again=False); signal.pause()"
        async with await spawn(python(code), stdout=PIPE) as process:
            [pid] = await numbers(process)
            with monkeypatch.context() as patch:
                patch.setattr(os, "pidfd_open", scarce)
                ended = await process.end(grace=0.05)
            assert left[0] < 0
            assert ended.left == ()
            assert not runs(pid)

    run(main())


@pytest.mark.parametrize("group", [False, True])
def test_without_proc(run: Run, monkeypatch: pytest.MonkeyPatch, group: bool) -> None:
    async def main() -> None:
        monkeypatch.setattr(_proc, "look", dict)
        async with await spawn(["sleep", "100"], start_new_session=group) as process:
            ended = await process.end(grace=0.01)
            assert ended.status is not None
            assert ended.left == ()

    run(main())
