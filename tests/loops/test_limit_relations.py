"""Who is counted: not the task that a loop runs for; children ride in their parent's slot; eager tasks do not ask."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from loopwright.loops import TaskLimitReport, task_limit
from tests.loops import limited as limits
from tests.loops.limited import Gauge, limited, run

eager = pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are of Python 3.12")

pytestmark = pytest.mark.usefixtures("queue")


def skip_without_eager_factories() -> None:
    if limits.kind == "uvloop":
        pytest.skip("uvloop 0.23 hands the factory an eager_start: a TypeError up to 3.13, and since then not eager")


async def report() -> TaskLimitReport | None:
    return task_limit()


def test_the_task_of_a_run_is_not_counted() -> None:
    assert run(report(), 1) == TaskLimitReport(1, 0, 0, 0)
    loop = limited(1)
    assert loop.run_until_complete(report()) == TaskLimitReport(1, 0, 0, 0)
    assert loop.run_until_complete(loop.create_task(report())) == TaskLimitReport(1, 0, 0, 0)
    loop.close()


def test_a_runner_runs_many_times() -> None:
    async def main() -> str:
        return await asyncio.create_task(asyncio.sleep(0, "done"))

    with asyncio.Runner(loop_factory=lambda: limited(1)) as runner:
        assert [runner.run(main()) for _ in range(5)] == ["done"] * 5
        assert runner.run(report()) == TaskLimitReport(1, 0, 0, 0)


def test_tasks_made_before_the_run_are_counted_and_the_one_that_it_is_for_is_not() -> None:
    gauge = Gauge()

    async def work() -> None:
        with gauge:
            await asyncio.sleep(0.001)

    async def last(others: list[asyncio.Task[None]]) -> TaskLimitReport | None:
        result = task_limit()
        await asyncio.wait(others)
        return result

    loop = limited(2)
    others = [loop.create_task(work()) for _ in range(10)]
    assert task_limit(loop) == TaskLimitReport(2, 2, 0, 8)
    main = loop.create_task(last(others))
    assert loop.run_until_complete(main) == TaskLimitReport(2, 2, 0, 8)
    assert gauge.most == 2
    loop.close()


def test_the_first_task_made_before_the_run_may_be_the_one_that_it_is_for() -> None:
    loop = limited(1)
    first = loop.create_task(report())
    other = loop.create_task(asyncio.sleep(0, "other"))
    assert task_limit(loop) == TaskLimitReport(1, 1, 0, 1)
    assert loop.run_until_complete(first) == TaskLimitReport(1, 1, 0, 0)
    assert loop.run_until_complete(other) == "other"
    loop.close()


def test_a_task_that_waits_since_an_earlier_run_may_be_what_the_next_is_for() -> None:
    async def stuck() -> None:
        await asyncio.get_running_loop().create_future()

    async def main() -> None:
        tasks.append(asyncio.create_task(stuck()))
        tasks.append(asyncio.create_task(report()))
        await asyncio.sleep(0)

    tasks: list[asyncio.Task[Any]] = []
    loop = limited(1)
    loop.run_until_complete(main())
    assert task_limit(loop) == TaskLimitReport(1, 1, 0, 1)
    assert loop.run_until_complete(tasks[1]) == TaskLimitReport(1, 1, 0, 0)
    tasks[0].cancel()
    loop.run_until_complete(asyncio.wait(tasks[:1]))
    loop.close()


def test_a_run_for_several_tasks_counts_them() -> None:
    gauge = Gauge()

    async def work() -> None:
        with gauge:
            await asyncio.sleep(0)

    loop = limited(2)
    tasks = [loop.create_task(work()) for _ in range(10)]

    async def all_of_them() -> None:
        await asyncio.gather(*tasks)

    loop.run_until_complete(all_of_them())
    assert gauge.most == 2
    loop.close()


def test_run_forever_counts_every_task() -> None:
    gauge = Gauge()
    loop = limited(2)

    async def work() -> None:
        with gauge:
            await asyncio.sleep(0)
        if gauge.entered == 10 and not gauge.now:
            loop.stop()

    tasks = [loop.create_task(work()) for _ in range(10)]
    loop.run_forever()
    assert (gauge.most, gauge.entered) == (2, 10)
    loop.run_until_complete(asyncio.wait(tasks))
    loop.close()


def test_children_ride_in_the_slot_of_their_parent() -> None:
    seen = []

    async def grandchild() -> None:
        await asyncio.sleep(0)
        seen.append(task_limit())

    async def child() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(grandchild())

    async def parent() -> None:
        await asyncio.gather(child(), child())
        await asyncio.wait_for(child(), 30)
        async with asyncio.timeout(30):
            await asyncio.create_task(child())

    async def main() -> None:
        await asyncio.create_task(parent())

    run(main(), 1)
    in_wait_for = 2 if sys.version_info < (3, 12) else 1  # which made a task of its own
    assert seen == [TaskLimitReport(1, 1, riding, 0) for riding in (4, 4, in_wait_for, 2)]


def test_a_slot_is_free_when_all_in_it_have_finished() -> None:
    order = []

    async def child() -> None:
        await asyncio.sleep(0.001)
        order.append("child")

    async def parent() -> None:
        children.append(asyncio.create_task(child()))
        order.append("parent")

    async def other() -> None:
        order.append("other")

    async def main() -> None:
        await asyncio.gather(parent(), other())

    children: list[asyncio.Task[None]] = []
    run(main(), 1)
    assert order == ["parent", "child", "other"]


def test_families_wait_as_wholes() -> None:
    families, everybody = Gauge(), Gauge()

    async def child() -> None:
        with everybody:
            await asyncio.sleep(0.001)

    async def parent() -> None:
        with families:
            await asyncio.gather(*(child() for _ in range(5)))

    async def main() -> None:
        await asyncio.gather(*(parent() for _ in range(10)))

    run(main(), 2)
    assert (families.most, everybody.most, everybody.entered) == (2, 10, 50)


def test_a_task_made_by_a_callback_is_nobodys_child() -> None:
    async def parent() -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(lambda: made.append(loop.create_task(report())))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert task_limit() == TaskLimitReport(1, 1, 0, 1)

    async def main() -> None:
        await asyncio.create_task(parent())
        assert await made[0] == TaskLimitReport(1, 1, 0, 0)

    made: list[asyncio.Task[Any]] = []
    run(main(), 1)


def test_a_dispatcher_bounds_its_jobs_by_making_them_in_callbacks() -> None:
    gauge = Gauge()

    async def job() -> None:
        with gauge:
            await asyncio.sleep(0)
            if gauge.entered == 20:
                ended.set()

    async def dispatch() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(20):
            loop.call_soon(loop.create_task, job())

    async def main() -> None:
        nonlocal ended
        ended = asyncio.Event()
        await asyncio.create_task(dispatch())
        await ended.wait()

    ended: asyncio.Event
    run(main(), 2)
    assert (gauge.most, gauge.entered) == (2, 20)


@eager
def test_eager_tasks_begin_at_once_and_are_counted_from_when_they_come_back() -> None:
    skip_without_eager_factories()

    async def work() -> None:
        began.append(True)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await hold

    async def late() -> str:
        return "late"

    async def main() -> None:
        nonlocal hold
        loop = asyncio.get_running_loop()
        hold = loop.create_future()
        loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
        tasks = [asyncio.create_task(work()) for _ in range(3)]
        assert len(began) == 3
        await asyncio.sleep(0)
        assert task_limit() == TaskLimitReport(2, 3, 0, 0)
        assert await asyncio.create_task(late()) == "late"  # ends within create_task()
        loop.set_task_factory(None)
        waits = asyncio.create_task(late())
        await asyncio.sleep(0)
        assert task_limit() == TaskLimitReport(2, 3, 0, 1)
        hold.set_result(None)
        await asyncio.wait(tasks)
        assert await waits == "late"

    began: list[bool] = []
    hold: asyncio.Future[None]
    run(main(), 2)


@eager
def test_children_of_an_eager_task_in_its_first_step_ride() -> None:
    async def begins_eagerly() -> TaskLimitReport | None:
        return await asyncio.Task(report())  # not eager itself

    async def stuck() -> None:
        loop = asyncio.get_running_loop()
        await asyncio.eager_task_factory(loop, begins_eagerly())  # type: ignore[attr-defined]

    async def main() -> None:
        await asyncio.create_task(stuck())

    run(main(), 1)


@eager
def test_an_eager_runner() -> None:
    skip_without_eager_factories()

    async def main() -> int:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(asyncio.sleep(0.001, 1)) for _ in range(20)]
        return sum(task.result() for task in tasks)

    assert run(main(), 2) == 20
