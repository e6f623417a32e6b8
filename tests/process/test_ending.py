"""Whole trees of real processes, ended: escapees, those that ignore signals or breed, and never a stranger."""

from __future__ import annotations

import asyncio
import signal
import sys
import textwrap
import time
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.errors import WrongLoopError
from loopwright.process import PIPE, Guarantee, Process, _proc, spawn
from tests.process.trees import BEGINNING, numbers, python, sh

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Run = Callable[[Coroutine[Any, Any, Any]], Any]
    Runs = Callable[[int], bool]
    Soon = Callable[..., None]

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


@pytest.mark.parametrize(
    ("attribute", "value", "level"),
    [
        ("namespace", True, Guarantee.NAMESPACE),
        ("death_signal", signal.SIGKILL, Guarantee.DEATH_SIGNAL),
        ("death_signal", signal.SIGTERM, Guarantee.PROCESS),
    ],
)
def test_how_it_was_started_makes_the_level(run: Run, attribute: str, value: Any, level: Guarantee) -> None:
    async def main() -> None:
        process = await spawn(sh(STUBBORN), stdout=PIPE)
        async with process:
            await numbers(process)
            setattr(process._child, attribute, value)
            ended = await process.end(grace=0.05)
            assert ended.guarantee is process.guarantee is level
            assert ended.proved is (level is Guarantee.NAMESPACE)
            assert process.pid in ended.killed

    run(main())


def test_another_signal(run: Run) -> None:
    async def main() -> None:
        process = await spawn(["sleep", "100"])
        ended = await process.end(signal=signal.SIGUSR1)
        assert ended.status is not None
        assert ended.status.signal == signal.SIGUSR1

    run(main())


@pytest.mark.long
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


@pytest.mark.long
def test_an_orphan_that_was_seen_before_is_known(run: Run, runs: Runs) -> None:
    """Its parent ends when asked, and it does not: by then its only link to the tree is that it was seen in it."""

    async def main() -> None:
        code = ESCAPES + "escape(again=False); signal.pause()"
        async with await spawn(python(code), stdout=PIPE, start_new_session=True) as process:
            [pid] = await numbers(process)
            ending = asyncio.create_task(process.end(grace=60))
            await process.wait()
            ended = await process.end(grace=0)
            assert ended is await ending
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


@pytest.mark.long
@pytest.mark.parametrize("grace", [0.0, 0.05])
def test_those_that_breed_while_they_are_killed(run: Run, grace: float) -> None:
    """Each forks on, every child in a session of its own. They hold a pipe, which tells when the last is gone."""
    # Whoever has slept must end: going on with the loop it is in, it would fork on, and so would all of its children.
    # When these tests are killed, nobody is there to end them, and the machine would soon have room for no process.
    code = """
    def linger():
        time.sleep(100)
        os._exit(0)

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for _ in range(3):
        if not os.fork():
            os.setsid()
            for number in range(300):
                if not os.fork():
                    os.setsid()
                    for _ in range(2):
                        if not os.fork():
                            os.setsid()
                            break
                    linger()
                if number == 3:
                    say("go")
                time.sleep(0.002)
            linger()
    linger()
    """

    async def main() -> None:
        async with await spawn(python(code), stdout=PIPE, start_new_session=True) as process:
            assert process.stdout is not None
            for _ in range(3):
                await process.stdout.readline()
            ended = await process.end(grace=grace)
            assert ended.left == ()
            assert len(ended.killed) > 3
            assert await asyncio.wait_for(process.stdout.read(), 10) == b""

    run(main())


@pytest.mark.long
def test_a_process_whose_first_thread_has_ended(run: Run, soon: Soon) -> None:
    """It shows as a zombie, and runs: it holds the pipe."""
    code = """
    import ctypes, platform, threading
    if not os.fork():
        os.setsid()
        threading.Thread(target=time.sleep, args=[1000]).start()
        say(os.getpid())
        ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[platform.machine()], 0)  # exit(2): of this thread
    time.sleep(1000)
    """

    async def main() -> None:
        command = [sys.executable, "-I", "-c", BEGINNING + textwrap.dedent(code)]
        async with await spawn(command, stdout=PIPE, start_new_session=True) as process:
            [pid] = await numbers(process)
            soon(lambda: (seen := _proc.read(pid)) is not None and seen.state == "Z")
            ended = await process.end(grace=0.0)
            assert ended.left == ()
            assert pid in ended.killed
            assert process.stdout is not None
            assert await asyncio.wait_for(process.stdout.read(), 10) == b""

    run(main())


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
