"""Whole trees of real processes, ended: escapees, those that ignore signals or breed, and never a stranger."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import textwrap
import time
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.errors import WrongLoopError
from loopwright.process import PIPE, Guarantee, Process, StatusLost, _ending, _proc, spawn
from loopwright.process._ending import DOUBTFUL, FORBIDDEN

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Run = Callable[[Coroutine[Any, Any, Any]], Any]
    Runs = Callable[[int], bool]
    Soon = Callable[..., None]

BEGINNING = """
import os, signal, sys, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
def say(*words): print(*words, flush=True)
"""


def python(code: str, *args: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", BEGINNING + textwrap.dedent(code), *args]


def sh(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]


async def numbers(process: Process) -> list[int]:
    """The next line of its output."""
    assert process.stdout is not None
    return [int(word) for word in (await process.stdout.readline()).split()]


STUBBORN = "trap '' TERM INT HUP; echo $$; while :; do sleep 0.05; done"


@pytest.mark.parametrize("group", [False, True])
def test_what_ends_when_asked_is_not_killed(run: Run, group: bool) -> None:
    async def main() -> None:
        process = await spawn(["sleep", "100"], start_new_session=group)
        ended = await process.end()
        assert ended.status is process.status is not None
        assert ended.status.signal == signal.SIGTERM
        assert (ended.killed, ended.left) == ((), ())
        assert ended.guarantee is process.guarantee is (Guarantee.GROUP if group else Guarantee.PROCESS)
        assert not ended.proved

    run(main())


def test_another_signal(run: Run) -> None:
    async def main() -> None:
        process = await spawn(["sleep", "100"])
        ended = await process.end(signal=signal.SIGINT)
        assert ended.status is not None
        assert ended.status.signal == signal.SIGINT

    run(main())


@pytest.mark.parametrize("group", [False, True])
def test_who_ignores_sigterm_is_killed_after_the_grace_period(run: Run, runs: Runs, group: bool) -> None:
    async def main() -> None:
        process = await spawn(sh(STUBBORN), stdout=PIPE, start_new_session=group)
        async with process:
            [pid] = await numbers(process)
            began = time.monotonic()
            ended = await process.end(grace=0.3)
            assert time.monotonic() - began >= 0.3
            assert ended.status is not None
            assert ended.status.signal == signal.SIGKILL
            assert process.pid in ended.killed
            assert not runs(pid)

    run(main())


def test_stopped_processes_hear_that_they_are_to_end(run: Run, soon: Soon) -> None:
    async def main() -> None:
        process = await spawn(["sleep", "100"])
        process.send_signal(signal.SIGSTOP)
        soon(lambda: (seen := _proc.read(process.pid)) is not None and seen.stopped)
        ended = await process.end(grace=20)
        assert ended.status is not None
        assert ended.status.signal == signal.SIGTERM
        assert ended.killed == ()

    run(main())


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


@pytest.mark.parametrize("grace", [0.0, 0.1])
def test_a_session_of_its_own_does_not_save_it(run: Run, runs: Runs, grace: float) -> None:
    """While its parent lives, whatever sessions are between."""

    async def main() -> None:
        code = ESCAPES + "escape(again=False); escape(again=False); signal.pause()"
        async with await spawn(python(code), stdout=PIPE, start_new_session=True) as process:
            pids = [*await numbers(process), *await numbers(process)]
            assert process.group_members() == (process.pid,)
            ended = await process.end(grace=grace)
            assert not any(map(runs, pids))
            assert set(pids) <= set(ended.killed)
            assert ended.left == ()

    run(main())


def test_an_orphan_that_was_seen_before_is_known(run: Run, runs: Runs) -> None:
    """Its parent ends when asked, and it does not: by then its only link to the tree is that it was seen in it."""

    async def main() -> None:
        code = ESCAPES + "escape(again=False); signal.pause()"
        async with await spawn(python(code), stdout=PIPE, start_new_session=True) as process:
            [pid] = await numbers(process)
            ended = await process.end(grace=0.2)
            assert ended.status is not None
            assert ended.status.signal == signal.SIGTERM
            assert ended.killed == (pid,)
            assert not runs(pid)

    run(main())


def test_two_hundred_forks_in_a_burst(run: Run, runs: Runs) -> None:
    async def main() -> None:
        code = """
        say(os.getpid())
        for number in range(200):
            if not os.fork():
                if number % 2: os.setsid()
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                while True: time.sleep(1)
        while True: time.sleep(1)
        """
        async with await spawn(python(code), stdout=PIPE, start_new_session=True) as process:
            await numbers(process)
            ended = await process.end(grace=0)
            assert ended.left == ()
            assert not [pid for pid in ended.killed if runs(pid)]

    run(main())


@pytest.mark.parametrize("grace", [0.0, 0.05])
def test_those_that_breed_while_they_are_killed(run: Run, grace: float) -> None:
    """Each forks on, every child in a session of its own. They hold a pipe, which tells when the last is gone."""
    code = """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    say("go")
    for _ in range(3):
        if not os.fork():
            os.setsid()
            for _ in range(300):
                if not os.fork():
                    os.setsid()
                    for _ in range(2):
                        if not os.fork():
                            os.setsid()
                            break
                    time.sleep(100)
                time.sleep(0.002)
            time.sleep(100)
    time.sleep(100)
    """

    async def main() -> None:
        async with await spawn(python(code), stdout=PIPE, start_new_session=True) as process:
            assert process.stdout is not None
            await process.stdout.readline()
            await asyncio.sleep(0.1)
            ended = await process.end(grace=grace)
            assert ended.left == ()
            assert len(ended.killed) > 3
            assert await asyncio.wait_for(process.stdout.read(), 10) == b""

    run(main())


# --- after its leader


@pytest.mark.parametrize("held", [False, True], ids=["reaped", "held"])
def test_a_leader_that_died_first(run: Run, runs: Runs, held: bool) -> None:
    async def main() -> None:
        process = await spawn(sh("sleep 100 & echo $!; exit 3"), stdout=PIPE, start_new_session=True)
        with process.hold_group() if held else contextlib.nullcontext():
            [pid] = await numbers(process)
            assert (await process.wait()).code == 3
            if not held:
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
        process = await spawn(sh("sleep 100 & echo $!; sleep 0.1"), stdout=PIPE, start_new_session=True)
        [left] = await numbers(process)
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


# --- any number of times, at the same time, cancelled


def test_again_and_again(run: Run) -> None:
    async def main() -> None:
        process = await spawn(["sleep", "100"])
        first = await process.end()
        assert await process.end() == first
        assert await process.end(grace=0) == first

    run(main())


def test_by_many_at_once_with_the_shortest_grace(run: Run) -> None:
    async def main() -> None:
        async with await spawn(sh(STUBBORN), stdout=PIPE) as process:
            await numbers(process)
            began = time.monotonic()
            answers = await asyncio.gather(*(process.end(grace=grace) for grace in (60, 0.2, 50)))
            assert time.monotonic() - began < 20
            assert len({id(answer) for answer in answers}) == 1

    run(main())


@pytest.mark.parametrize("when", [0, 1, 2, 5, 0.05])
def test_cancelled(run: Run, runs: Runs, when: float) -> None:
    """Whenever: by then all is over, and the cancellation is not lost."""

    async def main() -> None:
        code = ESCAPES + "escape(again=False)\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile 1: time.sleep(1)"
        async with await spawn(python(code), stdout=PIPE, start_new_session=True) as process:
            [pid] = await numbers(process)
            ending = asyncio.create_task(process.end(grace=60))
            if when == 0.05:
                await asyncio.sleep(when)
            for _ in range(int(when)):
                await asyncio.sleep(0)
            ending.cancel()
            await asyncio.wait({ending})
            assert ending.cancelled()
            if when:  # else it was cancelled before it had begun
                assert process.status is not None
                assert not runs(pid)
                assert not runs(process.pid)
        assert not runs(pid)

    run(main())


def test_a_runner_that_ends_meanwhile(runs: Runs, loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """asyncio.run() cancels every task there is, the one that ends the tree too."""
    pids: list[int] = []

    async def main() -> None:
        process = await spawn(sh(STUBBORN + " & " + STUBBORN), start_new_session=True, stdout=PIPE)
        pids.extend([*await numbers(process), process.pid])
        asyncio.create_task(one(process)).add_done_callback(lambda task: pids.append(0))
        await asyncio.sleep(0.02)

    async def one(process: Process) -> None:
        async with process:
            await process.end(grace=60)

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
    assert pids.pop() == 0
    assert not any(map(runs, pids))


def test_on_another_loop(run: Run) -> None:
    async def main() -> None:
        async with await spawn(["sleep", "100"]) as process:

            def elsewhere() -> None:
                with asyncio.Runner() as runner, pytest.raises(WrongLoopError, match="cannot end"):
                    runner.run(process.end())

            await asyncio.to_thread(elsewhere)
            assert process.status is None

    run(main())


# --- what the kernel will not do on demand


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
