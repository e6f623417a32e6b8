"""A stall is told of once, by name, and nothing else is taken for one."""

from __future__ import annotations

import asyncio
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.errors import TaskStallWarning
from loopwright.loops import TaskLimitReport, _stall, task_limit
from loopwright.loops._limit_foreign import front_of
from tests.loops.limited import limited, run, until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Use = Callable[[asyncio.Task[Any]], Awaitable[Any]]

pytestmark = pytest.mark.usefixtures("queue")


async def directly(task: asyncio.Task[Any]) -> None:
    await task


async def gathered(task: asyncio.Task[Any]) -> None:
    await asyncio.gather(asyncio.sleep(0), task)


async def waited_for_all(task: asyncio.Task[Any]) -> None:
    await asyncio.wait([task])


async def shielded(task: asyncio.Task[Any]) -> None:
    await asyncio.shield(task)


async def in_time(task: asyncio.Task[Any]) -> None:
    await asyncio.wait_for(task, 3600)


async def without_time(task: asyncio.Task[Any]) -> None:
    await asyncio.wait_for(task, None)


async def timed(task: asyncio.Task[Any]) -> None:
    async with asyncio.timeout(3600):
        await task


async def through_a_child(task: asyncio.Task[Any]) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(directly(task))


async def looked_at(*tasks: asyncio.Task[Any]) -> None:
    """Until the loop has been about to wait since these have taken their last step."""
    loop: Any = asyncio.get_running_loop()
    front = front_of(loop)
    stalls = (front or loop._ready).limit._stalls
    await asyncio.sleep(0)
    # A loop that queues by itself looks only where there might be a stall.
    await until(
        lambda: (front and not stalls.possible()) or not any(seat() in tasks for seat in stalls._stepped),
    )


def stalled(use: Use, slots: int = 1) -> None:
    """Have the tasks in all slots wait so for one that is not let in; after a moment, end them."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        waited_for: asyncio.Future[asyncio.Task[Any]] = loop.create_future()

        async def waits() -> None:
            await use(await waited_for)

        waiting = [asyncio.create_task(waits(), name=f"A{number}") for number in range(slots)]
        await looked_at(*waiting)
        waited_for.set_result(asyncio.create_task(asyncio.sleep(0), name="C"))
        await looked_at(*waiting)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        await asyncio.wait([waited_for.result()])

    run(main(), slots)


@pytest.mark.parametrize(
    "use", [directly, gathered, waited_for_all, shielded, in_time, without_time, timed, through_a_child]
)
def test_it_is_seen_however_they_wait(use: Use, caplog: pytest.LogCaptureFixture) -> None:
    words = r"max_tasks=1: the only slot waits: task .* waits on task C, which wai"
    with pytest.warns(TaskStallWarning, match=words) as caught:
        stalled(use)
    assert caplog.records == [], "it is told once"
    lines = Path(__file__).read_text().splitlines()
    if use is not through_a_child:
        assert (caught[0].filename, lines[caught[0].lineno - 1].strip()) == (__file__, "await use(await waited_for)")
    assert issubclass(TaskStallWarning, RuntimeWarning)


def test_every_slot_is_named_up_to_some() -> None:
    with pytest.warns(TaskStallWarning) as caught:
        stalled(directly, slots=2)
    assert len(caught) == 1
    assert str(caught[0].message).startswith(
        "max_tasks=2: all 2 slots wait: task A0 waits on task C, which waits for a slot;"
        " task A1 waits on task C, which waits for a slot. None of them goes on"
    )
    with pytest.warns(TaskStallWarning, match="all 8 slots wait: task A0 .*; and so on for 3 more"):
        stalled(directly, slots=8)


def test_a_chain_is_named_in_full() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        last: asyncio.Future[asyncio.Task[Any]] = loop.create_future()

        async def second() -> None:
            await (await last)

        async def first(task: asyncio.Task[None]) -> None:
            await task

        tasks = [asyncio.create_task(second(), name="B")]
        tasks.append(asyncio.create_task(first(tasks[0]), name="A"))
        await asyncio.sleep(0)
        last.set_result(asyncio.create_task(asyncio.sleep(0), name="C"))
        await looked_at(*tasks)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    with pytest.warns(TaskStallWarning, match="task A waits on task B, which waits on task C, which waits for a slot"):
        run(main(), 2)


def test_a_task_may_stall_in_its_first_step() -> None:
    async def wait_for(name: str) -> None:
        await tasks[name]

    async def main() -> None:
        tasks["A"] = asyncio.create_task(wait_for("C"), name="A")
        tasks["B"] = asyncio.create_task(wait_for("C"), name="B")
        tasks["C"] = asyncio.create_task(asyncio.sleep(0), name="C")
        with pytest.warns(TaskStallWarning, match="task A waits on task C"):
            await looked_at(tasks["A"])
        tasks["A"].cancel()
        await asyncio.wait(tasks.values())

    tasks: dict[str, asyncio.Task[None]] = {}
    run(main(), 1)


def test_a_task_that_waited_may_stall_in_its_first_step() -> None:
    async def wait_for(name: str) -> None:
        await tasks[name]

    async def started() -> None:
        await until(lambda: task_limit() == TaskLimitReport(1, 1, 0, 1))
        await looked_at(tasks["A"])

    async def main() -> None:
        tasks["first"] = asyncio.create_task(asyncio.sleep(0))
        tasks["A"] = asyncio.create_task(wait_for("C"), name="A")
        tasks["C"] = asyncio.create_task(asyncio.sleep(0), name="C")
        with pytest.warns(TaskStallWarning, match="task A waits on task C"):
            await started()
        tasks["A"].cancel()
        await asyncio.wait(tasks.values())

    tasks: dict[str, asyncio.Task[None]] = {}
    run(main(), 1)


async def first_of(task: asyncio.Task[Any]) -> None:
    await asyncio.wait([task, asyncio.ensure_future(asyncio.sleep(0.005))], return_when=asyncio.FIRST_COMPLETED)


async def for_a_while(task: asyncio.Task[Any]) -> None:
    await asyncio.wait([task], timeout=0.005)


async def for_something_else(task: asyncio.Task[Any]) -> None:
    await asyncio.sleep(0.005)


async def for_its_own(task: asyncio.Task[Any]) -> None:
    await asyncio.gather(*(asyncio.sleep(0.005) for _ in range(5)))


@pytest.mark.parametrize("use", [first_of, for_a_while, for_something_else, for_its_own])
def test_what_may_go_on_is_no_stall(use: Use) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        stalled(use)
    assert not caught


def test_one_slot_that_goes_on_is_enough() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        waited_for: asyncio.Future[asyncio.Task[Any]] = loop.create_future()

        async def waits() -> None:
            await (await waited_for)

        tasks = [asyncio.create_task(waits()), asyncio.create_task(asyncio.sleep(0.05))]
        await asyncio.sleep(0)
        waited_for.set_result(asyncio.create_task(asyncio.sleep(0)))
        await asyncio.wait(tasks)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run(main(), 2)
    assert not caught


def test_where_warnings_are_errors_the_loop_hears_of_it_and_goes_on() -> None:
    heard: list[dict[str, Any]] = []

    def factory() -> asyncio.AbstractEventLoop:
        loop = limited(1)
        # rloop gives only the context.
        loop.set_exception_handler(lambda *given: heard.append(given[-1]))
        return loop

    async def main() -> str:
        waited_for: asyncio.Future[asyncio.Task[Any]] = asyncio.get_running_loop().create_future()

        async def waits() -> None:
            await (await waited_for)

        for _ in range(2):  # told of once
            waiting = asyncio.create_task(waits())
            await asyncio.sleep(0)
            waited_for.set_result(asyncio.create_task(asyncio.sleep(0)))
            await looked_at(waiting)
            waiting.cancel()
            await asyncio.wait([waiting])
            await asyncio.wait([waited_for.result()])
            waited_for = asyncio.get_running_loop().create_future()
        return "alive"

    with warnings.catch_warnings(), asyncio.Runner(loop_factory=factory) as runner:
        warnings.simplefilter("error")
        assert runner.run(main()) == "alive"
    assert [type(context["exception"]) for context in heard] == [TaskStallWarning]


def test_chains_as_long_as_there_are_tasks() -> None:
    """Not by recursion: ten thousand tasks, each of which waits on the next."""

    async def main() -> list[Any]:
        async def wait_on(task: asyncio.Future[Any]) -> None:
            await task

        end: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        tasks: list[asyncio.Future[Any]] = [end]
        for _ in range(10_000):
            tasks.append(asyncio.ensure_future(wait_on(tasks[-1])))
        await asyncio.sleep(0)
        dead_ends: set[asyncio.Task[Any]] = set()
        last, first = tasks[-1], tasks[1]
        assert isinstance(last, asyncio.Task)
        chain = _stall.chain(last, lambda task: task is first, dead_ends)
        assert chain is not None
        assert _stall.chain(last, lambda _: False, dead_ends) is None
        end.set_result(None)
        await asyncio.wait(tasks[1:])
        assert len(dead_ends) == 10_000
        return chain

    assert len(asyncio.run(main())) == 10_000


def test_tasks_that_wait_in_a_circle_are_no_reason_to_go_round_for_ever() -> None:
    async def main() -> None:
        tasks: list[asyncio.Task[Any]] = []

        async def wait_on(number: int) -> None:
            await asyncio.shield(tasks[number])  # or cancelling one would go round for ever itself

        tasks.extend(asyncio.create_task(wait_on(number)) for number in (1, 0))
        await asyncio.sleep(0)
        assert _stall.chain(tasks[0], lambda _: False, set()) is None
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    asyncio.run(main())
