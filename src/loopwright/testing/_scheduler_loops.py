"""The contract of task schedulers: all that a loop does otherwise goes on as asyncio documents it."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time
import weakref
from typing import Any

from loopwright.loops import priority
from loopwright.testing._scheduler_stage import LIMIT, SchedulerTests, Stage, spin

__all__ = ["SchedulerLoops"]

ALL = ("fifo", "priority", "fair", "deadline")


class SchedulerLoops(SchedulerTests):
    """Stopping, closing, threads, errors and fairness, under every scheduler."""

    # Fairness between steps, timers, I/O and other callbacks

    def test_timers_and_threads_are_heard_while_a_thousand_steps_stay_ready(self) -> None:
        for scheduler in ALL[1:]:
            with self.stage(scheduler) as stage:
                enough = asyncio.Event()

                async def bulk(enough: asyncio.Event) -> None:
                    while not enough.is_set():
                        spin(0.0001)
                        await asyncio.sleep(0)

                async def main(scheduler: str, stage: Stage, enough: asyncio.Event) -> None:
                    with priority("bulk"):
                        tasks = [asyncio.ensure_future(bulk(enough)) for _ in range(1000)]
                    late = []
                    heard = asyncio.Event()
                    loop = stage.loop
                    for _ in range(20):
                        due = loop.time() + 0.001
                        loop.call_at(due, lambda due=due: late.append(loop.time() - due))  # type: ignore[misc]
                        await asyncio.sleep(0.002)
                    threading.Thread(target=loop.call_soon_threadsafe, args=(heard.set,)).start()
                    await heard.wait()
                    enough.set()
                    await asyncio.gather(*tasks)
                    # A pass over all of them takes 100 ms, and lateness within a pass 0.5 ms.
                    late.sort()
                    assert len(late) == 20
                    assert late[10] < 0.05, f"{scheduler}: timers are {late[10] * 1000:.1f} ms late"

                stage.run(main(scheduler, stage, enough))

    def test_callbacks_that_go_on_for_ever_leave_steps_their_turn_and_the_other_way_round(self) -> None:
        for scheduler in ALL:
            with self.stage(scheduler) as stage:
                turns = {"callback": 0, "step": 0}

                def again(loop: asyncio.AbstractEventLoop, turns: dict[str, int]) -> None:
                    turns["callback"] += 1
                    if min(turns.values()) < 100:
                        loop.call_soon(again, loop, turns)

                async def main(turns: dict[str, int]) -> None:
                    loop = asyncio.get_running_loop()
                    loop.call_soon(again, loop, turns)
                    while min(turns.values()) < 100:
                        turns["step"] += 1
                        await asyncio.sleep(0)

                stage.run(main(turns))

    def test_callbacks_stay_first_in_first_out_among_themselves(self) -> None:
        for scheduler in ALL:
            with self.stage(scheduler) as stage:

                async def main() -> None:
                    for number in range(50):
                        stage.loop.call_soon(stage.log.append, number)
                        if number % 5 == 0:
                            with priority("urgent"):
                                stage.task("step")
                    await asyncio.sleep(0.01)

                stage.run(main())
                assert [each for each in stage.log if each != "step"] == list(range(50))

    # Stopping, running again, closing

    def test_a_loop_that_is_stopped_runs_what_was_ready_and_nothing_since(self) -> None:
        for scheduler in ALL:
            for count in (3, 5000):
                with self.stage(scheduler) as stage:
                    tasks = [stage.task(number, 2) for number in range(count)]
                    stage.loop.call_soon(stage.loop.stop)
                    stage.loop.call_soon(stage.log.append, "after stop")
                    stage.loop.run_forever()
                    assert sorted(each for each in stage.log if each != "after stop") == list(range(count))
                    assert "after stop" in stage.log
                    stage.log.clear()
                    stage.loop.stop()
                    stage.loop.run_forever()
                    assert sorted(stage.log) == list(range(count))
                    assert all(task.done() for task in tasks)

    def test_urgent_steps_that_come_after_a_stop_wait_for_the_next_run(self) -> None:
        with self.stage("priority") as stage:

            async def stopping() -> None:
                stage.loop.stop()
                with priority("urgent"):
                    made.append(stage.task("urgent", 2))
                stage.log.append("stopped")

            made: list[Any] = []
            with priority("bulk"):
                made.append(stage.loop.create_task(stopping()))
                made.extend(stage.task(number) for number in range(3000))
            stage.loop.run_forever()
            assert {*range(3000), "stopped"} <= set(stage.log)
            assert "urgent" not in stage.log
            stage.run(asyncio.wait_for(made[-1], LIMIT))
            while not all(task.done() for task in made):
                stage.run(asyncio.sleep(0))
            assert stage.log.count("urgent") == 2

    def test_an_exception_out_of_a_callback_leaves_a_loop_that_goes_on(self) -> None:
        for scheduler in ALL:
            with self.stage(scheduler) as stage:

                def interrupt() -> None:
                    raise KeyboardInterrupt

                tasks = [stage.task(number, 3) for number in range(10)]
                stage.loop.call_soon(interrupt)
                try:
                    stage.loop.run_forever()
                except KeyboardInterrupt:
                    pass
                else:
                    raise AssertionError("a KeyboardInterrupt was swallowed")
                stage.run(_all_of(tasks))
                assert sorted(stage.log) == sorted(list(range(10)) * 3)

    def test_closing_with_steps_queued(self) -> None:
        for scheduler in ALL:
            with self.stage(scheduler) as stage:
                coroutine = stage.stepping("never")
                stage.loop.call_soon(stage.log.append, "never")
                task = stage.loop.create_task(coroutine)
                task._log_destroy_pending = False  # type: ignore[attr-defined] # or it is said, which is asyncio's way
                stage.loop.close()
                coroutine.close()
                assert stage.log == []
                assert stage.loop.is_closed()
                del task, coroutine
                gc.collect()

    def test_a_loop_that_is_dropped_is_collected(self) -> None:
        for scheduler in ALL:
            with self.stage(scheduler) as stage:
                stage.run(_all_of([stage.task(1)]))
                gone = weakref.ref(stage.loop)
                stage.loop.close()
            del stage
            gc.collect()
            assert gone() is None, scheduler

    # Tasks, as ever

    def test_cancelling_and_all_tasks(self) -> None:
        for scheduler in ALL:
            with self.stage(scheduler) as stage:

                async def main() -> None:
                    before_it_began = stage.task("never")
                    waiting = asyncio.ensure_future(asyncio.sleep(LIMIT))
                    await asyncio.sleep(0)
                    late = stage.task("never")
                    assert {waiting, late} <= asyncio.all_tasks()
                    for task in (waiting, late):
                        task.cancel()
                    results = await asyncio.gather(before_it_began, waiting, late, return_exceptions=True)
                    assert [type(result) for result in results[1:]] == [asyncio.CancelledError] * 2
                    handle = stage.loop.call_soon(stage.log.append, "cancelled")
                    handle.cancel()
                    await asyncio.sleep(0)

                stage.run(main())
                assert stage.log == ["never"]  # the one that had begun before anybody cancelled

    def test_many_threads_call_at_once(self) -> None:
        for scheduler in ALL:
            with self.stage(scheduler) as stage:
                stage.run(_called_from_threads(stage))

    def test_debug_mode_names_the_step_that_is_slow(self) -> None:
        for scheduler in ALL:
            with self.stage(scheduler) as stage:
                stage.loop.set_debug(True)
                stage.loop.slow_callback_duration = 0.01
                said: list[str] = []
                listener = logging.Handler()
                listener.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign] # noqa: B023

                async def slow() -> None:
                    time.sleep(0.02)  # noqa: ASYNC251 - that is the fault

                logger = logging.getLogger("asyncio")
                logger.addHandler(listener)
                try:
                    stage.run(_all_of([stage.loop.create_task(slow())]))
                finally:
                    logger.removeHandler(listener)
                assert any("slow()" in each and "took" in each for each in said), said


async def _called_from_threads(stage: Stage) -> None:
    heard: list[list[int]] = [[] for _ in range(4)]

    def call(numbers: list[int]) -> None:
        for number in range(2000):
            stage.loop.call_soon_threadsafe(numbers.append, number)

    tasks = [stage.task(number, 200) for number in range(5)]
    threads = [threading.Thread(target=call, args=(numbers,)) for numbers in heard]
    for thread in threads:
        thread.start()
    await asyncio.gather(*tasks)
    while sum(map(len, heard)) < 8000:  # noqa: ASYNC110 - nobody tells of the last
        await asyncio.sleep(0.001)
    for thread in threads:
        thread.join()
    for numbers in heard:
        assert numbers == list(range(2000)), "what one thread calls keeps its order"


async def _all_of(tasks: Any) -> Any:
    return await asyncio.gather(*tasks)
