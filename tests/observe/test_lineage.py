"""Whose child a task is, among other factories, eager tasks and contexts; on every loop."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import sys
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.observe import TaskWatcher

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Run = Callable[[Coroutine[Any, Any, Any]], Any]

eager = pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")


async def passes(count: int = 5) -> None:
    """Some passes of the loop."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], object]) -> None:
    """Waits for what is about to come; the time limit of `run` says if it does not."""
    while not condition():  # noqa: ASYNC110 - a condition of any kind
        await asyncio.sleep(0)


def names(watcher: TaskWatcher) -> set[str]:
    return {task.get_name() for task in watcher.tasks}


def test_watching_keeps_no_task_alive(run: Run) -> None:
    async def main() -> None:
        complaints: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["message"]))

        class Ring:
            future: asyncio.Future[None]

        async def forgotten(ring: Ring) -> None:
            await ring.future

        async with TaskWatcher(limit=1):
            ring = Ring()
            ring.future = asyncio.get_running_loop().create_future()
            gone = weakref.ref(asyncio.create_task(forgotten(ring)))
            await passes()
            assert gone() is not None
            del ring
            gc.collect()
            assert gone() is None
            # The place that it had is free again.
            await asyncio.create_task(passes())
        assert any("destroyed" in complaint for complaint in complaints)

    run(main())


def test_factories_are_chained_and_put_back(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        made = []

        def before(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
            task = asyncio.Task(coro, loop=loop, **options)
            made.append(task)
            return task

        loop.set_task_factory(before)
        first, second = TaskWatcher(), TaskWatcher()
        first.start()
        second.start()
        stop = asyncio.Event()
        task = asyncio.create_task(stop.wait(), name="both")
        assert names(first) == names(second) == {"both"}
        first.close()  # not the way they came
        stop.set()
        await second.wait()
        assert made == [task]
        second.close()
        assert loop.get_task_factory() is before

    run(main())


def test_factory_that_hides_tasks_hides_them_and_nothing_worse(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        async with TaskWatcher() as watcher:
            ours = loop.get_task_factory()

            async def hidden() -> None:
                await stop.wait()
                await asyncio.create_task(passes(), name="its child")

            loop.set_task_factory(lambda loop, coro, **options: asyncio.Task(coro, loop=loop, **options))
            task = asyncio.create_task(hidden())
            assert watcher.tasks == ()
            loop.set_task_factory(ours)
            stop.set()
            await until(lambda: watcher.tasks)
            assert names(watcher) == {"its child"}
            await task
            mine = lambda loop, coro, **options: ours(loop, coro, **options)  # noqa: E731
            loop.set_task_factory(mine)
        assert loop.get_task_factory() is mine
        await asyncio.create_task(passes())
        assert watcher.tasks == ()

    run(main())


def make_eager(loop: asyncio.AbstractEventLoop) -> None:
    factory: Any = asyncio.eager_task_factory  # type: ignore[attr-defined, unused-ignore]
    takes = inspect.signature(factory).parameters
    if not isinstance(loop, asyncio.SelectorEventLoop) and not {"kwargs", "eager_start"} & set(takes):
        pytest.skip("uvloop gives the factory an eager_start, which that of Python 3.12 to 3.13.2 does not take")
    loop.set_task_factory(factory)


@eager
def test_eager_tasks(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        make_eager(loop)
        stop = asyncio.Event()

        begun = []

        async def child() -> None:
            begun.append(asyncio.current_task())
            await asyncio.create_task(stop.wait(), name="grandchild")

        async with TaskWatcher(limit=1) as watcher:
            tasks = [asyncio.create_task(child(), name=f"child {number}") for number in range(2)]
            if not begun:  # uvloop 0.23 begins no task eagerly
                assert not isinstance(loop, asyncio.SelectorEventLoop)
                await passes()
            tree = watcher.tree()
            assert [node.state for node in tree.children] == ["running", "held"]
            assert [node.name for node in tree.children[0].children] == ["grandchild"]
            stop.set()
            await watcher.wait()
        await asyncio.gather(*tasks)

    run(main())


def test_given_context_is_left_as_it_is(run: Run) -> None:
    async def main() -> None:
        context = contextvars.copy_context()
        before = dict(context)
        async with TaskWatcher() as watcher:
            task = asyncio.create_task(passes(), context=context, name="in its own")
            assert names(watcher) == {"in its own"}
            await task
        assert dict(context) == before

    run(main())


@eager
def test_eager_task_in_a_context_of_its_own(run: Run) -> None:
    """Its first steps are taken before anybody knows it, where no variable of ours is set."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        make_eager(loop)
        context = contextvars.copy_context()
        stop = asyncio.Event()

        async def child() -> None:
            await asyncio.create_task(stop.wait(), name="grandchild")

        async with TaskWatcher() as watcher:
            task = asyncio.create_task(child(), context=context)
            await passes()
            assert [node.name for node in watcher.tree().children[0].children] == ["grandchild"]
            stop.set()
            await watcher.wait()
        await task

    run(main())
