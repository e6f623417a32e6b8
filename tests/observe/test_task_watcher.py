"""Told of the tasks that a task starts, and waiting for them; on every loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.errors import CallerError, WatcherClosedError, WatcherStartError
from loopwright.observe import TaskWatcher
from loopwright.process import Process, spawn

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Run = Callable[[Coroutine[Any, Any, Any]], Any]


async def passes(count: int = 5) -> None:
    """Some passes of the loop."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], object]) -> None:
    """Waits for what is about to come; the time limit of `run` says if it does not."""
    while not condition():  # noqa: ASYNC110 - a condition of any kind
        await asyncio.sleep(0.001)


def names(watcher: TaskWatcher) -> set[str]:
    return {task.get_name() for task in watcher.tasks}


def test_told_of_every_way_to_start_a_task(run: Run) -> None:
    async def main() -> None:
        started, done = [], []

        async def child() -> None:
            await asyncio.sleep(0)

        async with TaskWatcher() as watcher:
            watcher.on_task_started(lambda task: started.append(task))
            watcher.on_task_done(lambda task: done.append(task))
            await asyncio.create_task(child())
            await asyncio.gather(child(), child())
            async with asyncio.TaskGroup() as group:
                group.create_task(child())
            await asyncio.wait_for(asyncio.ensure_future(child()), 5)
            await watcher.wait()
            await passes()
        assert len(started) == 5
        assert set(done) == set(started)
        await asyncio.create_task(child())
        await passes()
        assert len(started) == 5

    run(main())


def test_grandchildren_and_callbacks_are_found_and_strangers_are_not(run: Run) -> None:
    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        async def leaf() -> None:
            await stop.wait()

        async def child() -> None:
            loop.call_soon(lambda: kept.append(loop.create_task(leaf(), name="by callback")))
            kept.append(asyncio.create_task(leaf(), name="grandchild"))
            await asyncio.to_thread(asyncio.run_coroutine_threadsafe, leaf(), loop)
            await stop.wait()

        async def stranger() -> None:
            await go.wait()
            kept.append(asyncio.create_task(leaf(), name="stranger's"))

        kept: list[asyncio.Task[None]] = []
        go = asyncio.Event()
        other = asyncio.create_task(stranger())
        await passes()
        async with TaskWatcher() as watcher:
            kept.append(asyncio.create_task(child(), name="child"))
            go.set()
            await until(lambda: len(watcher.tasks) >= 4)
            await other
            assert {"child", "grandchild", "by callback"} < names(watcher)
            assert "stranger's" not in names(watcher)
            assert len(watcher.tasks) == 4
            tree = watcher.tree()
            assert tree.state == "running"
            assert [node.name for node in tree.children] == ["child"]
            assert len(tree.children[0].children) == 3
            assert "    grandchild (" in str(tree)
            stop.set()
            await watcher.wait()
            assert watcher.tree().children == ()
        await asyncio.gather(*kept)

    run(main())


def test_another_task_can_be_watched(run: Run) -> None:
    async def main() -> None:
        go, stop = asyncio.Event(), asyncio.Event()

        async def parent() -> None:
            await go.wait()
            await asyncio.create_task(stop.wait(), name="its child")

        task = asyncio.create_task(parent())
        await passes()
        with pytest.raises(CallerError):
            TaskWatcher(task).start().start()
        async with TaskWatcher(task) as watcher:
            mine = asyncio.create_task(stop.wait(), name="mine")
            go.set()
            await passes()
            assert names(watcher) == {"its child"}
            stop.set()
            await watcher.wait()
        await asyncio.gather(task, mine)

    run(main())


def test_wait_and_cancel_by_a_task_of_the_tree_spare_itself_and_its_ancestors(run: Run) -> None:
    async def main() -> None:
        async def inner() -> int:
            asked = watcher.cancel("enough")
            await watcher.wait()
            return asked

        async def outer() -> int:
            return await asyncio.create_task(inner())

        async with TaskWatcher() as watcher:
            sleepers = [asyncio.create_task(asyncio.sleep(1000)) for _ in range(3)]
            await passes()
            assert await asyncio.create_task(outer()) == 3
            assert all(sleeper.cancelled() for sleeper in sleepers)

    run(main())


def test_processes_are_told_to_the_tree_that_started_them(run: Run) -> None:
    async def main() -> None:
        seen: list[Process] = []

        async def starts() -> Process:
            async with await spawn(["true"]) as process:
                await process.wait()
            return process

        async def stranger() -> None:
            await go.wait()
            await starts()

        go = asyncio.Event()
        other = asyncio.create_task(stranger())
        await passes()
        async with TaskWatcher() as watcher:

            @watcher.on_process_started
            async def told(process: Process) -> None:
                seen.append(process)

            mine = await starts()
            childs = await asyncio.create_task(starts())
            go.set()
            await other
            await passes()
        await starts()
        assert seen == [mine, childs]

    run(main())


def test_handler_that_raises_meets_the_exception_handler_and_starts_nothing_watched(run: Run) -> None:
    async def main() -> None:
        complaints: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["exception"]))
        async with TaskWatcher() as watcher:

            @watcher.on_task_started
            async def raises(task: asyncio.Task[Any]) -> None:
                await asyncio.create_task(passes())
                raise ZeroDivisionError(task.get_name())

            @watcher.on_task_started
            def raises_too(task: asyncio.Task[Any]) -> None:
                raise KeyError(task.get_name())

            await asyncio.create_task(passes(), name="one")
            await until(lambda: len(complaints) >= 2)
            await passes(20)
        assert sorted(map(repr, complaints)) == ["KeyError('one')", "ZeroDivisionError('one')"]

    run(main())


def test_misuse(run: Run) -> None:
    async def main() -> None:
        watcher = TaskWatcher()
        with pytest.raises(WatcherStartError, match="async with"):
            await watcher.wait()
        with pytest.raises(ValueError, match="1 or more"):
            TaskWatcher(limit=0)
        with pytest.raises(TypeError, match="brackets"):
            watcher.on_task_done(passes())  # type: ignore[type-var]
        async with watcher:
            with pytest.raises(WatcherStartError, match="already"):
                watcher.start()
        watcher.close()
        with pytest.raises(WatcherClosedError):
            watcher.on_task_done(print)
        assert asyncio.get_running_loop().get_task_factory() is None
        assert "closed" in repr(watcher)

    run(main())
