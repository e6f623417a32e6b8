"""Programs that have ended by the time that their loop is told that they run, as most of many at once have."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from loopwright import _native, process
from loopwright._core import ExitStatus, StatusLost
from loopwright.process import PIPE, Process, spawn
from loopwright.watchers import FastChildWatcher, PidfdChildWatcher, SafeChildWatcher, ThreadedChildWatcher
from tests.kin import childless

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Run = Callable[[Coroutine[Any, Any, Any]], Any]
    Descriptors = Callable[[], set[tuple[int, str]]]

MANY = 100


def sh(line: str) -> list[str]:
    return ["/bin/sh", "-c", line]


async def many(lines: list[str], **options: Any) -> list[Process]:
    return list(await asyncio.gather(*(spawn(sh(line), **options) for line in lines)))


async def nothing_is_left(descriptors: Descriptors, before: set[tuple[int, str]]) -> None:
    """Soon: a child is reaped in the pass after the one in which it was told of. A loop's timer stays with it."""
    deadline = time.monotonic() + 20
    while left := {each for each in descriptors() - before if "timerfd" not in each[1]}:
        assert time.monotonic() < deadline, left
        await asyncio.sleep(0.01)


@pytest.mark.skipif(_native.MISSING is not None, reason="where nothing is compiled all are told of as they end")
def test_some_have_ended_when_spawn_returns_and_are_done_with(run: Run) -> None:
    async def main() -> None:
        for _ in range(20):
            found = await many([f"exit {code}" for code in range(MANY)])
            early = [process for process in found if process.status is not None]
            if early:
                break
        assert early
        for each in early:
            code = found.index(each)
            assert each.returncode == code
            assert each.status is not None
            assert each.status.usage is not None
            assert not each.send_signal(signal.SIGKILL)
            assert (await each.wait()).returncode == code
            assert (await each.wait(timeout=1)).returncode == code
            assert not (await each.end()).left
            async with each:
                pass
        for each in found:
            await each.wait()

    run(main())
    assert childless()


def test_every_status_is_the_right_one(run: Run, descriptors: Descriptors) -> None:
    async def main() -> None:
        before = descriptors()
        lines = [f"{random.choice(['', 'sleep 0.003;', 'sleep 0.03;'])} exit {code}" for code in range(MANY)]
        for each, code in zip(await many(lines), range(MANY), strict=True):
            assert (await each.wait()).returncode == code
        await nothing_is_left(descriptors, before)

    run(main())
    assert childless()


@pytest.mark.parametrize("how", ["communicate", "read", "lines", "nobody"])
@pytest.mark.parametrize("text", [False, True])
def test_all_of_its_output_is_there(run: Run, descriptors: Descriptors, how: str, *, text: bool) -> None:
    async def output_of(number: int) -> Any:
        each = await spawn(sh(f"echo {number}; echo more"), stdout=PIPE, **({"text": True} if text else {}))
        if how == "communicate":
            return (await each.communicate())[0]
        if how == "read":
            assert each.stdout is not None
            await asyncio.sleep(0)
            return await each.stdout.read()
        if how == "lines":
            end: Any = "\n" if text else b"\n"
            return (end * 0).join([line + end async for line in each.lines()])
        await each.wait()
        return None

    async def main() -> None:
        before = descriptors()
        found = await asyncio.gather(*(output_of(number) for number in range(MANY)))
        wanted: list[Any] = [f"{number}\nmore\n" for number in range(MANY)]
        if not text:
            wanted = [each.encode() for each in wanted]
        assert found == ([None] * MANY if how == "nobody" else wanted)
        await nothing_is_left(descriptors, before)

    run(main())


def test_more_than_a_pipe_holds_among_many(run: Run) -> None:
    async def size_of(number: int) -> int:
        size = 1_000_000 if number % 10 == 0 else 10
        each = await spawn(sh(f"head -c {size} /dev/zero"), stdout=PIPE)
        return size - len((await each.communicate())[0])

    async def main() -> None:
        assert set(await asyncio.gather(*(size_of(number) for number in range(MANY)))) == {0}

    run(main())


def test_an_input_that_nobody_read(run: Run) -> None:
    async def feed(number: int) -> tuple[Any, int | None]:
        each = await spawn(sh(f"exit {number}" if number % 2 else "cat"), stdin=PIPE, stdout=PIPE)
        output, _ = await each.communicate(b"x" * 100)
        return output, each.returncode

    async def main() -> None:
        found = await asyncio.gather(*(feed(number) for number in range(MANY)))
        assert found == [(b"", number) if number % 2 else (b"x" * 100, 0) for number in range(MANY)]

    run(main())


def test_its_number_is_its_own_for_another_pass(run: Run) -> None:
    """For those who go on with the number: a handler of theirs hears of the end, whichever came first."""

    async def main() -> None:
        with contextlib.closing(PidfdChildWatcher()) as watcher:
            found: dict[int, int] = {}
            ended = asyncio.Event()

            def note(pid: int, returncode: int) -> None:
                found[pid] = returncode
                if len(found) == MANY:
                    ended.set()

            async def one(code: int) -> tuple[int, int]:
                each = await spawn(sh(f"exit {code}"))
                watcher.add_child_handler(each.pid, note)
                return each.pid, code

            wanted = dict(await asyncio.gather(*(one(code) for code in range(MANY))))
            await ended.wait()
            assert found == wanted

    run(main())


def test_its_input_is_closed(run: Run, descriptors: Descriptors) -> None:
    """As if it had ended later, though nobody writes or closes it."""

    async def main() -> None:
        before = descriptors()
        found = await many(["exit 3"] * MANY, stdin=PIPE)
        for each in found:
            await each.wait()
        await nothing_is_left(descriptors, before)

    run(main())


def test_somebody_else_reaps_them(run: Run) -> None:
    """Statuses are right or lost, and whoever waits is told."""

    async def main() -> None:
        def steal() -> None:
            while going:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(-1, os.WNOHANG)

        going = [True]
        thief = threading.Thread(target=steal)
        thief.start()
        try:
            statuses = [await each.wait() for each in await many([f"exit {code}" for code in range(MANY)])]
        finally:
            going.clear()
            thief.join()
        for code, status in enumerate(statuses):
            assert isinstance(status, StatusLost) or status.returncode == code

    run(main())


@pytest.mark.parametrize("kind", [PidfdChildWatcher, SafeChildWatcher, ThreadedChildWatcher])
def test_a_watcher_that_was_named_hears_of_each(run: Run, kind: Any) -> None:
    class Counting(kind):  # type: ignore[misc]
        heard = 0

        def watch_child(self, child: Any, on_exit: Any, /) -> None:
            def count(status: ExitStatus | StatusLost) -> None:
                self.heard += 1
                on_exit(status)

            super().watch_child(child, count)

    async def main() -> None:
        with contextlib.closing(Counting()) as watcher:
            watcher.attach_loop(asyncio.get_running_loop())
            found = await many([f"exit {code}" for code in range(30)], watcher=watcher)
            assert [(await each.wait()).returncode for each in found] == list(range(30))
            assert watcher.heard == 30

    run(main())


def test_beside_a_watcher_that_reaps_every_child(run: Run) -> None:
    async def main() -> None:
        with contextlib.closing(FastChildWatcher()) as watcher, watcher:
            watcher.attach_loop(asyncio.get_running_loop())
            found = await many([f"exit {code}" for code in range(MANY)])
            assert [(await each.wait()).returncode for each in found] == list(range(MANY))

    run(main())


def test_a_leader_keeps_its_group_number(run: Run) -> None:
    """It has ended, and what it started has not: its group can still be ended."""

    async def main() -> None:
        found = await many(["sleep 1000 & exit 3"] * 20, start_new_session=True)
        for each in found:
            assert (await each.wait()).returncode == 3
            assert not (await each.end(grace=0)).left
            assert each.group_members() == ()

    run(main())


def test_the_kernel_reaps_them_itself(run: Run) -> None:
    """SIGCHLD is ignored: none can be known, and none is waited for in vain."""

    async def main() -> None:
        before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        try:
            found = await many(["exit 3"] * MANY)
            statuses = [await each.wait() for each in found]
        finally:
            signal.signal(signal.SIGCHLD, before)
        assert {type(status) for status in statuses} == {StatusLost}

    run(main())


def test_run_and_pipelines_of_them(run: Run) -> None:
    async def main() -> None:
        done = await asyncio.gather(*(process.run(sh(f"echo {number}; exit {number}")) for number in range(MANY)))
        assert [(each.stdout, each.returncode) for each in done] == [
            (f"{number}\n".encode(), number) for number in range(MANY)
        ]
        echo = process.cmd("echo", "one") | process.cmd("cat") | process.cmd("cat")
        assert {each.stdout for each in await asyncio.gather(*(echo.run() for _ in range(30)))} == {b"one\n"}

    run(main())
