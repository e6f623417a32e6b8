"""The queue in a loop's `_ready`: random programs run as on a loop of asyncio's, and none of what is queued is lost."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loopwright.loops import PriorityLanes, priority, schedule
from loopwright.loops import _asyncio_ready as ready

ACTIONS = ("give way", "call soon", "await a task", "start a task", "set the future", "await the future", "cancel soon")
PROGRAMS = st.lists(st.lists(st.sampled_from(ACTIONS), max_size=6), min_size=1, max_size=6)
WISHES = st.lists(st.sampled_from([None, "urgent", "low", "bulk"]), min_size=6, max_size=6)


async def play(programs: list[list[str]], log: list[Any], wishes: list[Any]) -> None:  # noqa: C901 - a table of actions
    """Tasks that do what their program says, and write down what they do when."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    future.add_done_callback(lambda _: log.append("the future is done"))

    async def child(name: Any) -> None:
        log.append((name, "begins"))
        await asyncio.sleep(0)
        log.append((name, "ends"))

    async def task(number: int, program: list[str]) -> None:
        children = []
        for place, action in enumerate(program):
            name = (number, place)
            log.append((name, action))
            match action:
                case "give way":
                    await asyncio.sleep(0)
                case "call soon":
                    loop.call_soon(log.append, (name, "called"))
                case "await a task":
                    await asyncio.ensure_future(child(name))
                case "start a task":
                    children.append(asyncio.ensure_future(child(name)))
                    children[-1].add_done_callback(lambda _, name=name: log.append((name, "done")))  # type: ignore[misc]
                case "set the future" if not future.done():
                    future.set_result(None)
                case "await the future" if number:
                    await future
                case "cancel soon" if children:
                    loop.call_soon(children[-1].cancel)
        await asyncio.gather(*children, return_exceptions=True)

    tasks = []
    for number, program in enumerate(programs):
        with priority(wishes[number]):
            tasks.append(loop.create_task(task(number, program)))
    await tasks[0]
    if not future.done():
        future.set_result(None)
    await asyncio.gather(*tasks)


def run(scheduler: Any, programs: list[list[str]], wishes: list[Any]) -> list[Any]:
    log: list[Any] = []
    loop = asyncio.SelectorEventLoop()
    try:
        schedule(loop, scheduler)
        loop.run_until_complete(asyncio.wait_for(play(programs, log, wishes), 30))
    finally:
        loop.close()
    return log


@settings(deadline=None)
@given(programs=PROGRAMS)
def test_without_wishes_the_order_is_that_of_asyncio(programs: list[list[str]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ready, "SLICE", math.inf)  # or a machine that stands still for a moment makes a pass end early
        expected = run("fifo", programs, [None] * 6)
        for scheduler in ("priority", "fair", "deadline"):
            assert run(scheduler, programs, [None] * 6) == expected


@settings(deadline=None)
@given(programs=PROGRAMS, wishes=WISHES, slice_length=st.sampled_from([0.0, 1e-5, math.inf]))
def test_nothing_is_lost_whatever_is_wished_and_however_short_a_pass_is(
    programs: list[list[str]], wishes: list[Any], slice_length: float
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ready, "SLICE", slice_length)
        for scheduler in (PriorityLanes(aging=1e-6, aged_every=2), "priority", "fair"):
            log = run(scheduler, programs, wishes)
            for number, program in enumerate(programs):
                mine = [entry[1] for entry in log if entry[0] in [(number, place) for place in range(len(program))]]
                assert [entry for entry in mine if entry in ACTIONS] == program, "in the task's own order"
                assert mine.count("called") == program.count("call soon")
                assert mine.count("done") == program.count("start a task")


@pytest.mark.parametrize("scheduler", ["priority", "fair", "deadline"])
def test_a_pass_is_short_where_steps_are_long(scheduler: str) -> None:
    """Each of many long steps is followed by a look at what else there is."""
    loop = asyncio.SelectorEventLoop()
    schedule(loop, scheduler)
    passes = 0
    select = loop._selector.select  # type: ignore[attr-defined]

    def counting(timeout: float | None = None) -> Any:
        nonlocal passes
        passes += 1
        return select(timeout)

    loop._selector.select = counting  # type: ignore[attr-defined]

    async def long_step() -> None:
        end = loop.time() + 0.002
        while loop.time() < end:
            pass

    async def main() -> None:
        await asyncio.gather(*(long_step() for _ in range(50)))

    try:
        loop.run_until_complete(main())
    finally:
        loop.close()
    assert passes >= 30


def test_a_pass_is_long_where_steps_are_short() -> None:
    """As long as asyncio's: a look at the selector for each would cost more than the steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ready, "SLICE", math.inf)
        passes = 0

        async def main() -> None:
            nonlocal passes
            tasks = [asyncio.ensure_future(asyncio.sleep(0)) for _ in range(1000)]
            while not all(task.done() for task in tasks):
                passes += 1
                await asyncio.sleep(0)

        loop = asyncio.SelectorEventLoop()
        try:
            schedule(loop, "priority")
            loop.run_until_complete(main())
        finally:
            loop.close()
        assert passes <= 4
