"""The queue in a loop's `_ready`: random programs run as on a loop of asyncio's, and none of what is queued is lost."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loopwright.loops import PriorityLanes, deadline, group, priority, schedule
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
                    waited = not future.done()
                    await future
                    assert not waited or "the future is done" in log
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
                assert_no_step_overtakes_a_callback(log, number, program)


def assert_no_step_overtakes_a_callback(log: list[Any], number: int, program: list[str]) -> None:
    """What a task has called soon has run when the task, which has given way since, goes on."""
    called: list[Any] = []
    gave_way = False
    for place, action in enumerate(program):
        if gave_way:
            here = log.index(((number, place), action))
            assert all(log.index((name, "called")) < here for name in called)
        if action == "call soon" and not gave_way:
            called.append((number, place))
        gave_way = gave_way or action == "give way"


@pytest.mark.parametrize("scheduler", ["priority", "fair", "deadline"])
def test_done_callbacks_go_before_the_task_that_waits_as_asyncio_itself_needs_it(scheduler: str) -> None:
    """`sock_connect()` takes its writer away in one, and complains where a transport has the socket by then."""
    told: list[Any] = []

    async def connect(port: int, urgent: bool) -> None:
        with priority("urgent" if urgent else "bulk"), deadline(0.1 if urgent else 9), group("a" if urgent else "b"):
            for _ in range(3):
                _, writer = await asyncio.ensure_future(asyncio.open_connection("127.0.0.1", port))
                writer.close()
                await writer.wait_closed()

    async def main() -> None:
        schedule(asyncio.get_running_loop(), scheduler)
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            await asyncio.gather(*(connect(port, bool(number % 2)) for number in range(20)))

    asyncio.run(main())
    assert told == []


@pytest.mark.parametrize("scheduler", ["priority", "fair"])
def test_what_came_in_a_pass_goes_before_who_waits_for_it_also_where_that_stops_the_loop(scheduler: str) -> None:
    loop = asyncio.SelectorEventLoop()
    schedule(loop, scheduler)
    log: list[Any] = []

    async def waits() -> None:
        await future
        log.append("urgent")

    async def sets() -> None:
        future.set_result(None)

    async def bulk() -> None:
        log.append("bulk")

    future = loop.create_future()
    for word in ("one", "two", "three"):
        future.add_done_callback(lambda _, word=word: log.append(word))  # type: ignore[misc]
    future.add_done_callback(lambda _: loop.stop())
    with priority("urgent"):
        tasks = [loop.create_task(waits())]
    tasks.append(loop.create_task(sets()))
    with priority("bulk"):
        tasks += [loop.create_task(bulk()) for _ in range(4)]
    loop.run_forever()
    loop.run_until_complete(asyncio.wait(tasks))
    loop.close()
    assert sorted(log) == ["bulk"] * 4 + ["one", "three", "two", "urgent"]
    if scheduler == "priority":
        assert log[:4] == ["one", "two", "three", "urgent"], "in the places of bulk steps"
    assert [each for each in log if each != "bulk"] == ["one", "two", "three", "urgent"]


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


def test_fewer_steps_than_were_counted_end_the_pass_and_not_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.SelectorEventLoop()
    schedule(loop, "fair")
    steps = loop._ready.steps  # type: ignore[attr-defined]
    counted = steps.ready
    monkeypatch.setattr(steps, "ready", lambda most: counted(most) + 3)
    assert loop.run_until_complete(asyncio.sleep(0.001, 5)) == 5
    loop.close()
