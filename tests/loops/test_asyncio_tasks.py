"""What is leant on of asyncio's private parts is there, on the Python that runs."""

from __future__ import annotations

import asyncio
import asyncio.base_events
import asyncio.base_subprocess
import asyncio.selector_events
import asyncio.staggered
import asyncio.subprocess
import collections
import sys
from typing import Any

import pytest

from loopwright.loops import _asyncio_tasks as tasks


async def nothing() -> None:
    await asyncio.sleep(0)


def handles_of(make: Any) -> tuple[asyncio.Task[Any], list[bool]]:
    """A task that is run to its end, and of each handle that it queued whether that was its first step."""
    seen: list[bool] = []
    made: list[asyncio.Task[Any]] = []

    class Queue(collections.deque[Any]):
        def append(self, handle: Any) -> None:
            task = getattr(handle._callback, "__self__", None)
            if isinstance(task, asyncio.Task | asyncio.tasks._PyTask) and task.get_name() == "it":  # type: ignore[attr-defined]
                seen.append(tasks.is_first_step(handle, task))
            super().append(handle)

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        ready, loop._ready = loop._ready, Queue()
        loop._ready.extend(ready)
        made.append(make(loop))
        loop.call_soon(made[0].get_name)
        await asyncio.wait(made)

    asyncio.run(main())
    return made[0], seen


async def work() -> None:
    await asyncio.sleep(0)
    await asyncio.sleep(0.001)


@pytest.mark.parametrize("kind", [asyncio.Task, asyncio.tasks._PyTask], ids=["c", "python"])  # type: ignore[attr-defined]
def test_the_first_step_of_a_task(kind: Any) -> None:
    _, seen = handles_of(lambda loop: kind(work(), loop=loop, name="it"))
    assert seen == [True, False, False, False]  # and its name, sleep(0), the wake-up


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are of Python 3.12")
def test_an_eager_task_has_none() -> None:
    _, seen = handles_of(lambda loop: asyncio.eager_task_factory(loop, work(), name="it"))  # type: ignore[attr-defined]
    assert seen == [False, False, False]


def test_asyncios_own_coroutines_are_where_they_were() -> None:
    modules = (asyncio.base_events, asyncio.base_subprocess, asyncio.selector_events, asyncio.staggered)
    missing = set()
    for name in tasks._HOUSEKEEPING:
        outer, _, inner = name.partition(".")
        found = next((vars(module)[outer] for module in (*modules, asyncio.subprocess) if outer in vars(module)), None)
        if inner.startswith("<locals>."):
            codes = [const for const in found.__code__.co_consts if hasattr(const, "co_name")] if found else []
            found = next((code for code in codes if code.co_qualname == name), None)
        elif found is not None:
            found = getattr(found, inner, None)
        if found is None:
            missing.add(name)
    assert missing == {"IocpProactor.accept.<locals>.accept_coro"}  # of Windows


@pytest.mark.parametrize("name", ["_feed_stdin", "nothing"])
def test_coroutines_of_others_by_the_same_name_are_not_asyncios(name: str) -> None:
    class Process:
        async def _feed_stdin(self) -> None:
            pass

    async def main() -> None:
        Process._feed_stdin.__code__ = Process._feed_stdin.__code__.replace(co_qualname="Process._feed_stdin")
        task = asyncio.create_task(Process()._feed_stdin() if name == "_feed_stdin" else nothing())
        assert not tasks.is_housekeeping(task)
        await task

    asyncio.run(main())


def test_the_loop_tells_when_it_is_about_to_wait_until_it_is_told_not_to() -> None:
    idle: list[bool] = []

    async def main() -> int:
        loop: Any = asyncio.get_running_loop()
        calls = 0

        def told() -> bool:
            nonlocal calls
            calls += 1
            if calls == 1:
                loop.call_soon(idle.append, True)
            return calls == 1

        stop = tasks.on_idle(loop, told)
        await asyncio.sleep(0)
        assert not calls
        while calls < 2:  # noqa: ASYNC110 - a machine that stands still for so long leaves nothing to wait for
            await asyncio.sleep(0.001)
        assert idle == [True]
        stop()
        assert "select" not in vars(loop._selector)
        before = calls
        await asyncio.sleep(0.001)
        return calls - before

    assert asyncio.run(main()) == 0


def test_who_comes_between_is_left_alone() -> None:
    loop: Any = asyncio.SelectorEventLoop()
    first, second = tasks.on_idle(loop, lambda: False), tasks.on_idle(loop, lambda: False)
    mine = vars(loop._selector)["select"]
    first()
    assert vars(loop._selector)["select"] is mine
    second()
    assert vars(loop._selector)["select"] is not mine
    loop.run_until_complete(asyncio.sleep(0.001))
    loop.close()


def test_a_loop_without_a_selector_is_never_about_to_wait() -> None:
    tasks.on_idle(asyncio.AbstractEventLoop(), lambda: True)()
