"""The bound on tasks of loops that queue by themselves: what stands in front of them, and how it goes again.

That the bound holds there as on asyncio's own loop, the other tests of the limit show, by the fixture `queue`.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.errors import CallerError, SchedulerRefusedError, WrongThreadError
from loopwright.loops import NativeEventLoop, TaskLimitReport, priority, schedule, task_limit
from loopwright.loops._limit_foreign import front_of
from loopwright.policies import LoopHandle
from tests.conftest import RLOOP, UVLOOP, factory_of
from tests.loops.limited import Gauge

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[[], Any]


@pytest.fixture(params=["native", UVLOOP, RLOOP])
def make(request: pytest.FixtureRequest) -> Make:
    """Makes loops that queue by themselves."""
    return factory_of(request.param)


def ours(loop: Any) -> list[str]:
    return [name for name in ("call_soon", "close", "_loopwright_limit") if name in vars(loop)]


async def stuck() -> None:
    await asyncio.get_running_loop().create_future()


def test_nothing_is_in_front_of_a_loop_without_a_bound(make: Make) -> None:
    loop = make()
    schedule(loop)
    schedule(loop, "fifo")
    assert ours(loop) == []
    loop.close()


def test_it_goes_with_the_bound_and_starts_all_that_wait(make: Make) -> None:
    loop = make()
    gauge = Gauge()

    async def work() -> None:
        with gauge:
            await asyncio.sleep(0)

    schedule(loop, max_tasks=2)
    tasks = [loop.create_task(work()) for _ in range(10)]
    front = front_of(loop)
    schedule(loop, max_tasks=2)  # changes nothing
    assert front_of(loop) is front
    assert task_limit(loop) == TaskLimitReport(2, 2, 0, 8)
    schedule(loop)
    assert (ours(loop), task_limit(loop)) == ([], None)
    loop.run_until_complete(asyncio.wait(tasks))
    assert gauge.most == 10
    loop.close()


def test_another_bound_takes_the_place_of_one(make: Make) -> None:
    loop = make()
    schedule(loop, max_tasks=1)
    schedule(loop, max_tasks=2)
    tasks = [loop.create_task(stuck()) for _ in range(5)]
    assert task_limit(loop) == TaskLimitReport(2, 2, 0, 3)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.wait(tasks))
    loop.close()


def test_while_the_loop_runs_it_may_come_but_not_go(make: Make) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        schedule(loop, max_tasks=3)
        with pytest.raises(SchedulerRefusedError, match="max_tasks=3, which can be replaced only while it does not"):
            schedule(loop)
        with pytest.raises(SchedulerRefusedError, match="max_tasks=3, which can be replaced only while it does not"):
            schedule(loop, max_tasks=4)
        assert task_limit() == TaskLimitReport(3, 0, 0, 0)

    with asyncio.Runner(loop_factory=make) as runner:
        runner.run(main())
        assert len(ours(runner.get_loop())) == 3


def test_what_stood_there_before_stands_there_again(make: Make) -> None:
    loop = make()
    heard: list[Any] = []

    def mine(callback: Any, *args: Any, context: Any = None) -> Any:
        heard.append(callback)
        return type(loop).call_soon(loop, callback, *args, context=context)

    loop.call_soon = mine
    schedule(loop, max_tasks=1)
    loop.run_until_complete(asyncio.sleep(0))
    assert heard
    schedule(loop)
    assert loop.call_soon is mine
    assert ours(loop) == ["call_soon"]
    loop.close()


def test_what_somebody_puts_in_front_of_it_stays_and_the_bound_goes_all_the_same(make: Make) -> None:
    loop = make()
    schedule(loop, max_tasks=1)
    before = loop.call_soon

    def mine(callback: Any, *args: Any, context: Any = None) -> Any:
        return before(callback, *args, context=context)

    loop.call_soon = mine
    schedule(loop)
    assert loop.call_soon is mine
    schedule(loop, max_tasks=2)  # once more, in front of both
    tasks = [loop.create_task(stuck()) for _ in range(5)]
    assert task_limit(loop) == TaskLimitReport(2, 2, 0, 3)
    loop.call_soon = mine
    schedule(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.wait(tasks))
    loop.close()


@pytest.mark.filterwarnings("ignore:coroutine 'stuck' was never awaited")
def test_a_closed_loop_holds_nothing_and_takes_nothing(make: Make) -> None:
    loop = make()
    loop.set_exception_handler(lambda *_: None)
    schedule(loop, max_tasks=1)
    tasks = [loop.create_task(asyncio.sleep(0)), loop.create_task(stuck())]
    loop.run_until_complete(tasks[0])
    tasks.append(loop.create_task(stuck()))
    held = weakref.ref(tasks[2])
    assert task_limit(loop) == TaskLimitReport(1, 1, 0, 1)
    with pytest.raises(RuntimeError):
        loop.run_until_complete(refused_to_close())
    tasks[1].cancel()
    loop.run_until_complete(asyncio.wait(tasks[1:2]))
    tasks[2].cancel()
    loop.run_until_complete(asyncio.wait(tasks[2:]))
    loop.close()
    loop.close()
    assert ours(loop) == []
    tasks.clear()
    assert held() is None or held().done()  # type: ignore[union-attr]
    if type(loop).__name__ == "TidyLoop":
        return  # rloop queues in a closed loop, too
    coroutine = stuck()
    with pytest.raises(RuntimeError, match=r"(?i)closed"):
        asyncio.Task(coroutine, loop=loop)
    coroutine.close()


async def refused_to_close() -> None:
    asyncio.get_running_loop().close()
    raise AssertionError("a running loop cannot be closed")


def test_debug_mode_still_complains_of_other_threads() -> None:
    loop = factory_of("uvloop")()  # rloop does not check
    loop.set_debug(True)
    schedule(loop, max_tasks=1)
    loop.set_exception_handler(lambda *_: None)  # that tasks which could not begin are destroyed
    raised: list[str] = []

    def elsewhere() -> None:
        for coroutine in (stuck(), stuck()):
            try:
                loop.create_task(coroutine)
            except RuntimeError as error:
                raised.append(str(error))
            finally:
                coroutine.close()

    async def main() -> None:
        holding = asyncio.create_task(stuck())
        await asyncio.sleep(0)
        thread = threading.Thread(target=elsewhere)
        thread.start()
        while thread.is_alive():  # noqa: ASYNC110 - a thread tells nobody
            await asyncio.sleep(0.001)
        assert task_limit() == TaskLimitReport(1, 1, 0, 0)
        holding.cancel()

    loop.run_until_complete(main())
    assert ["Non-thread-safe" in error for error in raised] == [True, True]
    loop.close()


def test_a_loop_that_waits_is_not_woken(make: Make) -> None:
    """While tasks wait for slots and nothing goes on, nothing of ours is queued again and again."""
    loop = make()
    queued: list[Any] = []

    def counting(callback: Any, *args: Any, context: Any = None) -> Any:
        queued.append(callback)
        return type(loop).call_soon(loop, callback, *args, context=context)

    loop.call_soon = counting
    schedule(loop, max_tasks=1)

    async def main() -> None:
        tasks = [asyncio.create_task(stuck()) for _ in range(3)]
        await asyncio.sleep(0.02)
        queued.clear()
        await asyncio.sleep(0.2)
        # This task's step has it looked for a stall, and then wakes up; hundreds would have been queued by now.
        assert 1 <= len(queued) < 10
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    loop.run_until_complete(main())
    loop.close()


def test_who_waits_starts_by_its_lane(make: Make) -> None:
    order: list[str] = []

    async def work(name: str) -> None:
        order.append(name)

    async def main() -> None:
        tasks = [asyncio.create_task(work("first")), asyncio.create_task(work("bulk"))]
        with priority("urgent"):
            tasks.append(asyncio.create_task(work("urgent")))
        await asyncio.wait(tasks)

    loop = make()
    schedule(loop, max_tasks=1)
    loop.run_until_complete(main())
    loop.close()
    assert order == ["first", "urgent", "bulk"]


@pytest.mark.parametrize("name", ["priority", "fair", "deadline"])
def test_a_scheduler_stays_refused(make: Make, name: str) -> None:
    loop = make()
    why = "native scheduling comes later" if isinstance(loop, NativeEventLoop) else "ready queue of its own"
    with pytest.raises(SchedulerRefusedError, match=f"cannot take the scheduler .*{why}.*'asyncio'"):
        schedule(loop, name, max_tasks=3)
    assert ours(loop) == []
    schedule(loop, max_tasks=3)
    with pytest.raises(SchedulerRefusedError, match="cannot take the scheduler"):
        schedule(loop, name)
    assert len(ours(loop)) == 3
    loop.close()


class OwnPasses(asyncio.SelectorEventLoop):
    """Takes no scheduler, as nobody knows what it does with its queue."""

    def _run_once(self) -> None:
        super()._run_once()  # type: ignore[misc]


def test_any_loop_whose_tasks_are_asyncios_can_be_bounded() -> None:
    gauge = Gauge()

    async def work() -> None:
        with gauge:
            await asyncio.sleep(0.001)

    async def main() -> None:
        await asyncio.gather(*(work() for _ in range(20)))

    loop = OwnPasses()
    schedule(loop, max_tasks=3)
    loop.run_until_complete(main())
    loop.close()
    assert (gauge.most, gauge.entered) == (3, 20)


class Sealed(asyncio.SelectorEventLoop):
    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_loopwright"):
            raise AttributeError(name)
        super().__setattr__(name, value)

    _run_once = OwnPasses._run_once


class NoFutures(asyncio.AbstractEventLoop):
    closed = False

    def is_closed(self) -> bool:
        return self.closed

    def is_running(self) -> bool:
        return False


def test_loops_that_cannot_be_bounded_are_refused() -> None:
    sealed, without = Sealed(), NoFutures()
    for loop, said in ((sealed, "Sealed takes no attributes"), (without, "makes no futures")):
        with pytest.raises(SchedulerRefusedError, match=f"cannot have its tasks bounded.*{said}") as caught:
            schedule(loop, max_tasks=3)
        assert isinstance(caught.value, CallerError)
        schedule(loop)
    sealed.close()
    without.closed = True


def test_a_handle_is_not_taken_for_its_loop(make: Make) -> None:
    loop = make()
    for owner, error in ((threading.current_thread(), SchedulerRefusedError), (None, WrongThreadError)):
        handle = LoopHandle(loop, owner=owner)
        with pytest.raises(error):
            schedule(handle, max_tasks=3)
        assert ours(handle) == []
    loop.close()
