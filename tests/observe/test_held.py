"""Bounding how many tasks are under way; on every loop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.observe import ProcessWatcher, TaskWatcher
from loopwright.process import PIPE, ProcessPool, spawn
from loopwright.process import run as run_program

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    Run = Callable[[Coroutine[Any, Any, Any]], Any]


async def passes(count: int = 5) -> None:
    """Some passes of the loop."""
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize("limit", [1, 3])
def test_limit_holds_and_keeps_order(run: Run, limit: int) -> None:
    async def main() -> None:
        running, most, order = 0, 0, []

        async def child(number: int) -> int:
            nonlocal running, most
            running += 1
            most = max(most, running)
            order.append(number)
            await asyncio.create_task(asyncio.sleep(0.001))  # a grandchild needs no place of its own
            running -= 1
            return number

        async with TaskWatcher(limit=limit) as watcher:
            results = await asyncio.gather(*(child(number) for number in range(20)))
            assert results == list(range(20))
            await watcher.wait()
        assert most == limit
        assert order == list(range(20))

    run(main())


def test_held_task_can_be_cancelled_before_and_after_its_first_step(run: Run) -> None:
    async def main() -> None:
        stop = asyncio.Event()
        ran = []

        async def child(name: str) -> None:
            ran.append(name)
            await stop.wait()

        async with TaskWatcher(limit=1) as watcher:
            first = asyncio.create_task(child("first"))
            at_once = asyncio.create_task(child("at once"))
            at_once.cancel()
            later = asyncio.create_task(child("later"))
            last = asyncio.create_task(child("last"))
            await passes()
            assert [node.state for node in watcher.tree().children] == ["running", "held", "held"]
            assert "child() running" in repr(last)
            assert "child" in last.get_stack()[0].f_code.co_name
            later.cancel()
            await passes()
            assert at_once.cancelled()
            assert later.cancelled()
            assert ran == ["first"]
            stop.set()
            await watcher.wait()
        assert ran == ["first", "last"]
        await asyncio.gather(first, last)

    run(main())


def test_what_is_held_goes_ahead_when_the_block_is_left(run: Run) -> None:
    async def main() -> None:
        stop = asyncio.Event()
        async with TaskWatcher(limit=1):
            tasks = [asyncio.create_task(stop.wait()) for _ in range(3)]
            await passes()
        await passes()
        stop.set()
        assert await asyncio.gather(*tasks) == [True] * 3

    run(main())


def test_failure_frees_the_place_and_stays_with_its_task(run: Run) -> None:
    async def main() -> None:
        async def fails() -> None:
            raise ZeroDivisionError

        async with TaskWatcher(limit=1) as watcher:
            tasks = [asyncio.create_task(fails()) for _ in range(3)]
            await watcher.wait()
        assert [type(task.exception()) for task in tasks] == [ZeroDivisionError] * 3

    run(main())


#: More than a pipe takes (pipe(7)), to the stream that is read second, before the end of the first.
TALKS = ["sh", "-c", "head -c 200000 /dev/zero >&2; echo done"]


def test_what_reads_two_streams_at_once_is_not_held(run: Run) -> None:
    async def main() -> None:
        told = []
        async with TaskWatcher(limit=1) as watcher:
            watcher.on_task_started(told.append)
            watcher.on_task_done(told.append)
            result = await run_program(TALKS)
            assert (result.stdout, len(result.stderr)) == (b"done\n", 200_000)
            async with ProcessWatcher(TALKS) as process:
                assert watcher.tasks == ()
                assert watcher.cancel() == 0
                assert (await process.wait()).code == 0  # type: ignore[union-attr]
            await passes()
        assert told == []

    run(main())


@contextlib.asynccontextmanager
async def with_no_place_left() -> AsyncIterator[None]:
    go = asyncio.Event()
    async with TaskWatcher(limit=1):
        task = asyncio.create_task(go.wait())
        await passes()
        yield
        go.set()
        await task


def test_what_reads_lines_of_two_streams_is_not_held(run: Run) -> None:
    async def main() -> None:
        command = ["sh", "-c", "sleep 0.1; echo a; echo b >&2"]
        async with with_no_place_left(), await spawn(command, stdout=PIPE, stderr=PIPE) as talks:
            assert sorted([line async for line in talks.lines("stdout", "stderr")]) == [b"a", b"b"]

    run(main())


def test_what_asks_for_room_for_a_pool_is_not_held(run: Run) -> None:
    """Of two calls the second waits for memory, which a task asks after."""

    async def main() -> None:
        async with ProcessPool(2, max_memory=1 << 40) as pool, with_no_place_left(), pool.spawn(["sleep", "1000"]):
            assert (await pool.run(["true"])).returncode == 0

    run(main())


def test_what_ends_a_process_is_not_held(run: Run) -> None:
    async def main() -> None:
        async with with_no_place_left():
            async with await spawn(["sleep", "100"]) as process:
                pass
            assert process.returncode == -signal.SIGKILL

    run(main())


def test_what_a_helper_starts_is_not_of_the_tree(run: Run) -> None:
    async def main() -> None:
        process = await spawn(["sh", "-c", "trap '' TERM; echo; while :; do sleep 100; done"], stdout=PIPE)
        await process.stdout.readline()  # type: ignore[union-attr]
        async with TaskWatcher() as watcher:
            ending = asyncio.create_task(process.end(grace=1000.0))
            await passes()
            [child] = watcher.tree().children
            assert (child.what, child.children) == ("Process.end", ())
            await process.end(grace=0.0)
            await ending

    run(main())
