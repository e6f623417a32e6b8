"""The bound on tasks, on asyncio's own loop: who starts, who waits, and that nobody is lost."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import random
import threading
import warnings
import weakref
from typing import Any

import pytest

from loopwright.loops import TaskLimitReport, schedule, task_limit
from tests.loops import limited as limits
from tests.loops.limited import Gauge, limited, run, until

pytestmark = pytest.mark.usefixtures("queue")


def test_no_more_than_the_limit_are_under_way() -> None:
    gauge = Gauge()

    async def work() -> None:
        with gauge:
            await asyncio.sleep(0)
            await asyncio.sleep(0.001)

    async def main() -> None:
        await asyncio.gather(*(work() for _ in range(50)))

    run(main(), 3)
    assert (gauge.most, gauge.entered) == (3, 50)


def test_ten_thousand_tasks_end() -> None:
    gauge = Gauge()

    async def work(number: int) -> int:
        with gauge:
            await asyncio.sleep(0)
            return number

    async def main() -> list[int]:
        return await asyncio.gather(*(work(number) for number in range(10_000)))

    assert run(main(), 10) == list(range(10_000))
    assert gauge.most == 10


def test_a_task_that_fails_frees_its_slot() -> None:
    async def fail(number: int) -> None:
        await asyncio.sleep(0)
        raise ValueError(number)

    async def main() -> list[Any]:
        return await asyncio.gather(*map(fail, range(20)), return_exceptions=True)

    assert [error.args for error in run(main(), 2)] == [(number,) for number in range(20)]


def test_contexts_names_and_subclasses_are_kept() -> None:
    variable = contextvars.ContextVar("variable", default="none")

    class Own(asyncio.Task[Any]):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.after = True

        def add_done_callback(self, *args: Any, **kwargs: Any) -> None:
            assert self.after, "called before the constructor was through"
            super().add_done_callback(*args, **kwargs)

    def factory(loop: asyncio.AbstractEventLoop, coro: Any, **kwargs: Any) -> Any:
        kwargs.pop("eager_start", None)
        return Own(coro, loop=loop, **kwargs)

    async def work() -> str:
        return variable.get()

    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(factory)
        contexts = [contextvars.copy_context() for _ in range(5)]
        for number, context in enumerate(contexts):
            context.run(variable.set, str(number))
        tasks = [asyncio.create_task(work(), context=context, name=f"n{n}") for n, context in enumerate(contexts)]
        assert await asyncio.gather(*tasks) == ["0", "1", "2", "3", "4"]
        assert [task.get_name() for task in tasks] == ["n0", "n1", "n2", "n3", "n4"]
        assert all(type(task) is Own for task in tasks)

    run(main(), 2)


def test_tasks_written_in_python_are_counted_like_those_in_c() -> None:
    gauge = Gauge()

    async def work() -> None:
        with gauge:
            await asyncio.sleep(0)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(lambda loop, coro, **kwargs: asyncio.tasks._PyTask(coro, loop=loop, **kwargs))  # type: ignore[attr-defined]
        cancelled = asyncio.create_task(work())
        doomed = [asyncio.create_task(work()) for _ in range(10)]
        doomed[5].cancel()
        await asyncio.wait([cancelled, *doomed])
        assert doomed[5].cancelled()

    run(main(), 2)
    assert (gauge.most, gauge.entered) == (2, 10)


def test_work_from_other_threads_waits_too() -> None:
    gauge = Gauge()
    loop = limited(2)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def work() -> int:
        with gauge:
            await asyncio.sleep(0.001)
            return 1

    futures = [asyncio.run_coroutine_threadsafe(work(), loop) for _ in range(30)]
    assert sum(future.result(30) for future in futures) == 30
    waits = asyncio.run_coroutine_threadsafe(asyncio.sleep(3600), loop)
    waits.cancel()
    made = threading.Event()
    loop.call_soon_threadsafe(lambda: loop.create_task(work()).add_done_callback(lambda _: made.set()))
    assert made.wait(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    assert gauge.most == 2
    loop.close()


@pytest.mark.parametrize("seed", range(20))
def test_of_randomly_cancelled_tasks_none_is_lost(seed: int) -> None:
    chance, gauge, limit = random.Random(seed), Gauge(), 3
    ended: list[str] = []

    async def work(depth: int) -> None:
        with gauge:
            try:
                for _ in range(chance.randrange(4)):
                    await asyncio.sleep(chance.choice((0, 0, 0.0005)))
                if depth and chance.random() < 0.3:
                    gauge.now -= 1  # children ride
                    try:
                        await asyncio.gather(*(ridden(depth - 1) for _ in range(chance.randrange(3))))
                    finally:
                        gauge.now += 1
                if chance.random() < 0.1:
                    raise ZeroDivisionError
            finally:
                ended.append("work")

    async def ridden(depth: int) -> None:
        gauge.now -= 1  # whoever started it is counted
        try:
            await work(depth)
        finally:
            gauge.now += 1

    async def main() -> None:
        tasks: list[asyncio.Task[None]] = []
        for _ in range(150):
            tasks.append(asyncio.create_task(work(2)))
            if chance.random() < 0.4:
                chance.choice(tasks).cancel()
            if chance.random() < 0.2:
                await asyncio.sleep(0)
        report = task_limit()
        assert report is not None
        assert report.started <= limit
        await asyncio.wait(tasks)
        failures = [task.exception() for task in tasks if not task.cancelled()]
        assert {type(failure) for failure in failures} <= {type(None), ZeroDivisionError}
        # gather() does not wait for the rest when one has failed
        await until(lambda: task_limit() == TaskLimitReport(limit, 0, 0, 0))

    run(main(), limit)
    assert gauge.most <= limit
    assert len(ended) == gauge.entered


def test_what_a_task_may_have_called_for_it_is_no_first_step() -> None:
    """`call_soon(task.cancel)` is a method of a task in the queue, as its steps are."""

    async def forever() -> None:
        await asyncio.get_running_loop().create_future()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        tasks = [asyncio.create_task(forever()) for _ in range(3)]
        for task in tasks:
            loop.call_soon(task.cancel)
        await asyncio.wait(tasks)
        ended = tasks[0]
        loop.call_soon(ended.cancel)
        await asyncio.sleep(0)
        report = task_limit()
        assert report is not None
        assert (report.started, report.waiting) == (0, 0)

    run(main(), 1)


def test_a_task_of_another_loop_is_nothing_to_this_one() -> None:
    other, loop = asyncio.new_event_loop(), limited(1)
    task = other.create_task(asyncio.sleep(3600))
    other.run_until_complete(asyncio.sleep(0))
    loop.call_soon(task.get_name)
    loop.run_until_complete(asyncio.sleep(0))
    assert task_limit(loop) == TaskLimitReport(1, 0, 0, 0)
    task.cancel()
    other.run_until_complete(asyncio.wait([task]))
    other.close()
    loop.close()


def test_a_task_that_vanishes_frees_its_slot() -> None:
    done = []

    async def forgotten() -> None:
        await asyncio.get_running_loop().create_future()

    async def work() -> None:
        done.append(True)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        complaints: list[Any] = []
        # rloop gives only the context.
        loop.set_exception_handler(lambda *given: complaints.append(given[-1]["message"]))
        task = asyncio.create_task(forgotten())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waits = asyncio.create_task(work())
        await asyncio.sleep(0)
        assert not done
        seen = weakref.ref(task)
        del task
        gc.collect()
        assert seen() is None
        await waits
        assert complaints == ["Task was destroyed but it is pending!"]

    run(main(), 1)
    assert done


def test_a_closed_loop_forgets_those_that_wait() -> None:
    if limits.kind == "rloop":
        pytest.skip("a closed loop of rloop keeps what it ran last")
    loop = limited(1)
    loop.set_exception_handler(lambda *_: None)

    async def work() -> None:
        pass

    async def main() -> None:
        kept.extend(loop.create_task(work()) for _ in range(3))

    kept: list[asyncio.Task[None]] = []
    loop.run_until_complete(main())
    loop.close()
    assert all(task.cancel.__self__ is task for task in kept)  # type: ignore[attr-defined]
    seen = [weakref.ref(task) for task in kept]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        kept.clear()
        gc.collect()
    # As without a limit: nobody has cancelled them.
    assert [each.category for each in caught] == [RuntimeWarning] * 2  # the first has run
    assert all("never awaited" in str(each.message) for each in caught)
    assert [ref() for ref in seen] == [None] * 3


def test_a_loop_that_is_dropped_leaks_nothing() -> None:
    if limits.kind == "rloop":
        pytest.skip("our loops of rloop are never dropped: see tests/conftest.py")
    loop = limited(1)
    loop.run_until_complete(asyncio.wait([loop.create_task(asyncio.sleep(0, loop)) for _ in range(5)]))
    loop.run_until_complete(asyncio.sleep(0))
    assert task_limit(loop) == TaskLimitReport(1, 0, 0, 0)
    loop.close()
    seen = weakref.ref(loop)
    del loop
    gc.collect()
    assert seen() is None


def test_a_limit_may_be_set_while_tasks_are_under_way_and_lifted_after_the_run() -> None:
    async def main() -> None:
        tasks.append(asyncio.create_task(event.wait()))
        await asyncio.sleep(0)
        schedule(asyncio.get_running_loop(), max_tasks=1)
        tasks.extend(asyncio.create_task(event.wait()) for _ in range(3))
        await asyncio.sleep(0)
        assert task_limit() == TaskLimitReport(1, 1, 0, 2)

    async def rest() -> None:
        assert task_limit() is None
        event.set()
        await asyncio.wait(tasks)

    event = asyncio.Event()
    tasks: list[asyncio.Task[Any]] = []
    loop = asyncio.SelectorEventLoop()
    loop.run_until_complete(main())
    assert repr(loop._ready.limit) == "<TaskLimit 1 of 1 started, 2 waiting>"  # type: ignore[attr-defined]
    schedule(loop)
    assert all(task.cancel.__self__ is task for task in tasks)  # type: ignore[attr-defined]
    loop.run_until_complete(rest())
    loop.close()


def test_without_a_limit_there_is_nothing_to_report() -> None:
    async def main() -> TaskLimitReport | None:
        return task_limit()

    assert asyncio.run(main()) is None
    with pytest.raises(RuntimeError, match="say whose limit is meant"):
        task_limit()
