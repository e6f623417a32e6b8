"""The contract of task schedulers, as tests for any loop that takes them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from loopwright.loops import PriorityLanes, TaskScheduler, deadline, group, groups, priority
from loopwright.testing._scheduler_loops import SchedulerLoops
from loopwright.testing._scheduler_stage import spin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loopwright.loops import ReadyStep

__all__ = ["TaskSchedulerContract"]


class _LastFirst(TaskScheduler):
    def __init__(self) -> None:
        self.seen: list[int] = []

    def select(self, ready: Sequence[ReadyStep]) -> int:
        self.seen.append(len(ready))
        return len(ready) - 1


class _Failing(TaskScheduler):
    def select(self, ready: Sequence[ReadyStep]) -> int:
        raise LookupError(f"cannot choose from {len(ready)}")


class TaskSchedulerContract(SchedulerLoops):
    """What every loop that takes task schedulers promises, as a class of tests.

    Subclass it and say what is to be tested; every method whose name begins with `test_` is then a test, for pytest as
    it is, for unittest with `unittest.TestCase` as a further base::

        class TestMyLoop(TaskSchedulerContract):
            def make_loop(self):  # asyncio.SelectorEventLoop() unless you say otherwise
                return MyEventLoop()

            def set_scheduler(self, loop, scheduler, max_tasks=None):  # schedule() unless you say otherwise
                loop.set_task_scheduler(scheduler, max_tasks)

    A test fails with an AssertionError. Each checks that nothing is left behind in the whole process (`LeakCheck`), so
    they must run one at a time in a process, and without `-O`.
    """

    # Lanes

    def test_urgent_work_overtakes_what_is_queued_already(self) -> None:
        with self.stage("priority") as stage:

            async def main() -> None:
                made = []
                for lane in ("bulk", "low", None, "high", "urgent"):
                    with priority(lane):
                        made += [stage.task(lane), stage.task(lane)]
                await asyncio.gather(*made)

            stage.run(main())
            assert stage.log == [lane for lane in ("urgent", "high", None, "low", "bulk") for _ in range(2)]

    def test_urgent_work_overtakes_within_one_pass(self) -> None:
        with self.stage("priority") as stage:

            async def first() -> None:
                stage.log.append("first")
                with priority("urgent"):
                    made.append(stage.task("urgent"))

            made: list[Any] = []

            async def main() -> None:
                with priority("bulk"):
                    made.append(asyncio.ensure_future(first()))
                    made.extend(stage.task(f"bulk {number}") for number in range(20))
                await asyncio.sleep(0)
                await asyncio.wait(made)

            stage.run(main())
            assert stage.log[:3] == ["first", "urgent", "bulk 0"]

    def test_no_step_overtakes_a_callback_that_was_queued_before_it(self) -> None:
        with self.stage("priority") as stage:

            async def main() -> None:
                future = asyncio.get_running_loop().create_future()
                future.add_done_callback(lambda _: stage.log.append("callback"))
                with priority("urgent"):
                    urgent = asyncio.ensure_future(_awaiting(future, stage.log))
                await asyncio.sleep(0)
                with priority("bulk"):
                    bulk = stage.task("bulk")
                future.set_result(None)
                await asyncio.gather(urgent, bulk)

            stage.run(main())
            assert stage.log == ["callback", "woken", "bulk"]

    def test_a_task_that_wishes_anew_is_there_from_its_next_step_on(self) -> None:
        with self.stage("priority") as stage:

            async def rising() -> None:
                stage.log.append("in bulk")
                with priority("urgent"):
                    await asyncio.sleep(0)
                    stage.log.append("in urgent")

            async def main() -> None:
                with priority("bulk"):
                    tasks = [asyncio.ensure_future(rising()), *(stage.task("other") for _ in range(5))]
                await asyncio.gather(*tasks)

            stage.run(main())
            assert stage.log[:2] == ["in bulk", "in urgent"]

    def test_without_wishes_every_scheduler_keeps_the_order_of_asyncio(self) -> None:
        def play(scheduler: str) -> list[Any]:
            with self.stage(scheduler) as stage:

                async def main() -> None:
                    future = stage.loop.create_future()
                    tasks = [stage.task(number, 3) for number in range(5)]
                    stage.loop.call_soon(stage.log.append, "a callback")
                    tasks.append(asyncio.ensure_future(_awaiting(future, stage.log)))
                    await asyncio.sleep(0)
                    stage.loop.call_soon(future.set_result, None)
                    future.add_done_callback(lambda _: stage.log.append("a done callback"))
                    tasks[0].add_done_callback(lambda _: stage.loop.call_soon(stage.log.append, "another"))
                    await asyncio.gather(*tasks)

                stage.run(main())
                return stage.log

        expected = play("fifo")
        for scheduler in ("priority", "fair", "deadline"):
            assert play(scheduler) == expected, scheduler

    def test_bulk_work_goes_on_under_a_flood_of_urgent_work(self) -> None:
        with self.stage(PriorityLanes(aging=0.001, aged_every=10)) as stage:

            async def flood() -> None:
                while "bulk" not in stage.log:  # noqa: ASYNC110 - it is to stay ready
                    await asyncio.sleep(0)

            async def main() -> None:
                with priority("bulk"):
                    bulk = stage.task("bulk")
                with priority("urgent"):
                    urgent = [asyncio.ensure_future(flood()) for _ in range(3)]
                await asyncio.gather(bulk, *urgent)

            stage.run(main())

    # Shares

    def test_a_noisy_group_cannot_starve_another(self) -> None:
        with self.stage("fair") as stage:
            enough = asyncio.Event()

            async def busy() -> None:
                while not enough.is_set():
                    spin(0.0002)
                    await asyncio.sleep(0)

            async def main() -> None:
                with group("noisy", weight=1):
                    tasks = [asyncio.ensure_future(busy()) for _ in range(100)]
                with group("quiet", weight=2):
                    tasks.append(asyncio.ensure_future(busy()))
                await asyncio.sleep(0.3)
                before = groups()
                while groups()["noisy"].cpu_time - before["noisy"].cpu_time < 0.05:  # noqa: ASYNC110 - an account tells nobody
                    await asyncio.sleep(0.05)
                after = groups()
                enough.set()
                await asyncio.gather(*tasks)
                used = [after[name].cpu_time - before[name].cpu_time for name in ("noisy", "quiet")]
                assert 1.5 < used[1] / used[0] < 2.7, f"{used} should be as 1 to 2"
                assert after["noisy"].ready > 90
                assert (after["quiet"].weight, after["noisy"].weight) == (2, 1)
                assert after["quiet"].steps > before["quiet"].steps

            stage.run(main())

    def test_other_callbacks_are_accounted_to_their_group_and_waiting_to_nobody(self) -> None:
        with self.stage("fair") as stage:

            async def main() -> None:
                with group("callbacks"):
                    stage.loop.call_soon(spin, 0.02)
                await asyncio.sleep(0.3)
                account = groups()
                assert 0.015 < account["callbacks"].cpu_time < 0.25
                assert account["callbacks"].steps == 0
                assert account[None].cpu_time < 0.25

            stage.run(main())
            assert groups(stage.loop)["callbacks"].ready == 0

    # Deadlines

    def test_the_earliest_deadline_first_and_what_has_none_last(self) -> None:
        with self.stage("deadline") as stage:

            async def main() -> None:
                made = [stage.task("none")]
                for seconds in (300.0, 100.0, -1.0, 200.0):
                    with deadline(seconds):
                        made.append(stage.task(seconds))
                await asyncio.gather(*made)

            stage.run(main())
            assert stage.log == [-1.0, 100.0, 200.0, 300.0, "none"]

    # One's own

    def test_a_select_of_ones_own_sees_what_is_ready_and_chooses(self) -> None:
        scheduler = _LastFirst()
        with self.stage(scheduler) as stage:

            async def main() -> None:
                await asyncio.gather(*(stage.task(number) for number in range(4)))

            stage.run(main())
            assert stage.log == [3, 2, 1, 0]
            assert 4 in scheduler.seen

    def test_a_select_that_fails_is_told_of_once_and_first_in_goes_first_out(self) -> None:
        with self.stage(_Failing()) as stage:
            told: list[dict[str, Any]] = []
            stage.loop.set_exception_handler(lambda _, context: told.append(context))

            async def main() -> None:
                await asyncio.gather(*(stage.task(number) for number in range(4)))

            stage.run(main())
            assert stage.log == [0, 1, 2, 3]
            assert [type(context.get("exception")) for context in told] == [LookupError]

    # A bound on tasks

    def test_tasks_beyond_the_bound_wait_by_their_lanes(self) -> None:
        for scheduler in ("fifo", "priority"):
            with self.stage(scheduler, 1) as stage:

                async def main() -> None:
                    made = []
                    for lane in (None, "bulk", "low", "urgent"):
                        with priority(lane):
                            made.append(stage.task(lane, 3))
                    await asyncio.gather(*made)

                stage.run(main())
                assert stage.log == [lane for lane in (None, "urgent", "low", "bulk") for _ in range(3)], scheduler


async def _awaiting(future: asyncio.Future[Any], log: list[Any]) -> None:
    await future
    log.append("woken")
