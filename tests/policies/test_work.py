from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import gc
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.errors import LoopClosedError, WrongThreadError
from loopwright.policies import ThreadLoop, WorkFuture, submit
from loopwright.policies._targets import target_of
from tests.policies.test_handle import running

if TYPE_CHECKING:
    from collections.abc import Callable

variable = contextvars.ContextVar("variable", default="unset")


async def read() -> tuple[str, str]:
    await asyncio.sleep(0)
    return variable.get(), threading.current_thread().name


async def fail() -> None:
    raise KeyError("that")


def test_work_may_refuse_to_be_cancelled_as_a_task_may(thread_loop: ThreadLoop) -> None:
    begun = threading.Event()

    async def refuse() -> str:
        begun.set()
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            return "no"
        return "never"

    future = submit(thread_loop, refuse)
    assert begun.wait(30)
    assert future.running()
    assert future.cancel()
    assert future.result(30) == "no"
    assert not future.cancelled()
    assert not future.cancel()


def test_cancelling_the_future(thread_loop: ThreadLoop) -> None:
    begun = threading.Event()

    async def work() -> None:
        begun.set()
        await asyncio.sleep(1000)

    future = submit(thread_loop, work)
    assert begun.wait(30)

    async def main() -> None:
        asyncio.get_running_loop().call_later(0.01, future.cancel)
        with pytest.raises(asyncio.CancelledError):
            await future
        assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]

    asyncio.run(main())
    with pytest.raises(concurrent.futures.CancelledError):
        future.result(30)
    assert future.cancel()
    assert concurrent.futures.wait([future], timeout=30).not_done == set()


def test_one_future_for_many(thread_loop: ThreadLoop) -> None:
    future = submit(thread_loop, asyncio.sleep, 0.05, "result")

    async def main() -> list[Any]:
        return await asyncio.gather(future, future, asyncio.wrap_future(future), asyncio.shield(future))

    assert asyncio.run(main()) == ["result"] * 4
    assert asyncio.run(main()) == ["result"] * 4  # done already
    assert thread_loop.run_until_complete(main()) == ["result"] * 4
    assert list(concurrent.futures.as_completed([future], timeout=30)) == [future]
    assert future.exception() is None


def test_waiting_where_it_would_never_end_is_refused(thread_loop: ThreadLoop) -> None:
    async def main() -> None:
        future = submit(thread_loop, asyncio.sleep, 0)
        for wait in (future.result, future.exception):
            with pytest.raises(WrongThreadError, match=r"it would wait for ever\. await the future instead"):
                wait()
        await future
        assert future.result() is None

    thread_loop.run_until_complete(main())


def test_time_limits(thread_loop: ThreadLoop) -> None:
    future = submit(thread_loop, asyncio.sleep, 1000)
    with pytest.raises(TimeoutError):
        future.result(0.01)
    with pytest.raises(TimeoutError):
        future.exception(0)
    future.cancel()


def test_a_failure_that_nobody_asks_for_is_told(thread_loop: ThreadLoop) -> None:
    told: list[dict[str, Any]] = []
    thread_loop.set_exception_handler(lambda *told_of: told.append(told_of[-1]))
    concurrent.futures.wait([submit(thread_loop, fail)], timeout=30)
    asked = submit(thread_loop, fail)
    assert isinstance(asked.exception(30), KeyError)
    del asked
    thread_loop.run_until_complete(asyncio.sleep(0.01))
    gc.collect()
    assert [repr(context["exception"]) for context in told] == ["KeyError('that')"]
    message = told[0]["message"]
    assert "never retrieved: fail() on <" in message
    assert f"of thread {thread_loop._core.name!r}" in message


def test_it_says_what_is_done_and_where(thread_loop: ThreadLoop) -> None:
    begun = threading.Event()

    async def work(_: int) -> None:
        begun.set()
        await asyncio.sleep(1000)

    future = submit(thread_loop, work, 3)
    assert begun.wait(30)
    assert repr(future).startswith("<WorkFuture of test_it_says_what_is_done_and_where.<locals>.work() on <")
    assert repr(future).endswith(f"of thread {thread_loop._core.name!r}: running>")
    future.cancel()
    concurrent.futures.wait([future], timeout=30)
    assert repr(future).endswith(": cancelled>")


def test_the_loop_of_who_awaits_is_closed_meanwhile(thread_loop: ThreadLoop) -> None:
    release = threading.Event()

    async def work() -> None:
        await asyncio.to_thread(release.wait, 30)

    future = submit(thread_loop, work)
    loop = asyncio.SelectorEventLoop()

    async def wait() -> None:
        asyncio.get_running_loop().call_later(0.01, loop.stop)
        future.__await__().send(None)  # what a task does that awaits it, without the task

    loop.run_until_complete(wait())
    loop.close()
    release.set()
    assert future.result(30) is None


def test_work_that_ends_leaves_nothing_in_the_loop(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    gc.collect()
    before = len(weakref.finalize._registry)  # type: ignore[attr-defined]
    loop = loop_factory()
    with running(loop):
        for _ in range(20):
            assert submit(loop, read).result(30)[0] == "unset"
        loop_has_passed = threading.Event()
        loop.call_soon_threadsafe(loop_has_passed.set)
        assert loop_has_passed.wait(30)
        assert len(weakref.finalize._registry) == before  # type: ignore[attr-defined]


class MetWork(WorkFuture[None]):
    """One that something happens to just when it was seen not to be done: a moment of some instructions only."""

    meanwhile: Callable[[], object] | None = None

    def done(self) -> bool:
        done = super().done()
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return done


def test_who_cancels_work_may_meet_the_end_of_its_loop(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    loop = loop_factory()
    loop.close()
    gone = LoopClosedError("gone")
    cancelled, failed = MetWork(target_of(loop)), MetWork(target_of(loop))
    cancelled.meanwhile = lambda: cancelled._end(None, cancelled=True)
    cancelled._end(gone)
    failed.meanwhile = lambda: failed._end(gone)
    failed._end(None, cancelled=True)
    assert cancelled.cancelled()
    assert failed.exception(0) is gone
    assert not concurrent.futures.wait([cancelled, failed], timeout=0).not_done
