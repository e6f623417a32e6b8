"""Rows of tasks, futures and what stands on them."""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING, Any

from _loops.workloads import Clock, expect, workload

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

NAME: contextvars.ContextVar[str] = contextvars.ContextVar("NAME", default="")


def _timed(loop: asyncio.AbstractEventLoop, main: Coroutine[Any, Any, Any], right: object) -> Clock:
    """Run it and look whether it gives what is right."""
    with Clock() as clock:
        found = loop.run_until_complete(main)
    expect(found, right, "result")
    loop.run_until_complete(_context_is_kept())
    return clock


async def _context_is_kept() -> None:
    """A task has the context in which it was made, over all its steps, and keeps what it sets to itself."""

    async def child() -> tuple[str, str]:
        before = NAME.get()
        NAME.set("inner")
        await asyncio.sleep(0)
        return before, NAME.get()

    NAME.set("outer")
    expect(await asyncio.create_task(child()), ("outer", "inner"), "context of a task")
    expect(NAME.get(), "outer", "context after a task")


def _taking_turns(loop: asyncio.AbstractEventLoop, tasks: int, count: int) -> Clock:
    turns = count // tasks

    async def give_way() -> int:
        done = 0
        for _ in range(turns):
            await asyncio.sleep(0)
            done += 1
        return done

    async def main() -> int:
        made = [loop.create_task(give_way()) for _ in range(tasks)]
        return sum([await task for task in made])

    return _timed(loop, main(), turns * tasks)


@workload("sleep(0), 2 tasks", 50_000)
def do_sleep_0_2(loop: asyncio.AbstractEventLoop, count: int) -> Clock:
    return _taking_turns(loop, 2, count)


@workload("sleep(0), 100 tasks", 50_000)
def do_sleep_0_100(loop: asyncio.AbstractEventLoop, count: int) -> Clock:
    return _taking_turns(loop, 100, count)


async def _answer(number: int) -> int:
    return number


@workload("create_task, and await it", 20_000)
def do_create_task(loop: asyncio.AbstractEventLoop, count: int) -> Clock:
    async def main() -> int:
        total = 0
        for _ in range(count):
            total += await loop.create_task(_answer(1))
        return total

    return _timed(loop, main(), count)


@workload("gather() of 10,000", 10_000)
def do_gather(loop: asyncio.AbstractEventLoop, count: int) -> Clock:
    async def main() -> list[int]:
        return await asyncio.gather(*[_answer(number) for number in range(count)])

    return _timed(loop, main(), list(range(count)))


@workload("TaskGroup of 1,000", 10_000)
def do_task_group(loop: asyncio.AbstractEventLoop, count: int) -> Clock:
    size = min(count, 1_000)

    async def main() -> int:
        total = 0
        for _ in range(count // size):
            async with asyncio.TaskGroup() as group:
                made = [group.create_task(_answer(1)) for _ in range(size)]
            total += sum(task.result() for task in made)
        return total

    return _timed(loop, main(), count)


@workload("a future that wakes its task", 30_000)
def do_future(loop: asyncio.AbstractEventLoop, count: int) -> Clock:
    async def main() -> int:
        total = 0
        for _ in range(count):
            future = loop.create_future()
            loop.call_soon(future.set_result, 1)
            total += await future
        return total

    return _timed(loop, main(), count)


@workload("two Queues between two tasks, to and fro", 10_000)
def do_queue(loop: asyncio.AbstractEventLoop, count: int) -> Clock:
    async def main() -> int:
        there: asyncio.Queue[int] = asyncio.Queue()
        back: asyncio.Queue[int] = asyncio.Queue()

        async def other() -> None:
            for _ in range(count):
                await back.put(await there.get() + 1)

        task = loop.create_task(other())
        number = 0
        for _ in range(count):
            await there.put(number)
            number = await back.get()
        await task
        return number

    return _timed(loop, main(), count)


@workload("asyncio.timeout() around sleep(0)", 10_000)
def do_timeout(loop: asyncio.AbstractEventLoop, count: int) -> Clock:
    async def late() -> bool:
        try:
            async with asyncio.timeout(0.002):
                await asyncio.sleep(3600)
        except TimeoutError:
            return True
        return False

    async def main() -> int:
        done = 0
        for _ in range(count):
            async with asyncio.timeout(3600):
                await asyncio.sleep(0)
            done += 1
        return done

    expect(loop.run_until_complete(late()), True, "a timeout that is over")
    return _timed(loop, main(), count)


@workload("to_thread(), there and back", 300, threads=True)
def do_to_thread(loop: asyncio.AbstractEventLoop, count: int) -> Clock:
    async def main() -> int:
        total = 0
        for _ in range(count):
            total += await asyncio.to_thread(int, "1")
        return total

    loop.run_until_complete(asyncio.to_thread(int))  # starts the thread
    return _timed(loop, main(), count)


@workload("run() of nothing", 50, makes_loops=True)
def do_run(new_loop: Callable[[], asyncio.AbstractEventLoop], count: int) -> Clock:
    async def nothing() -> int:
        return 1

    total = 0
    with Clock() as clock:
        for _ in range(count):
            # What asyncio.run() does, which takes the loop's factory on Python 3.12 and newer alone.
            with asyncio.Runner(loop_factory=new_loop) as runner:
                total += runner.run(nothing())
    expect(total, count, "runs")
    return clock
