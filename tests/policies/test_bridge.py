from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import gc
import signal
import threading
import time
import traceback
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.errors import LoopClosedError, NoLoopError, NotALoopError, WrongLoopError, WrongThreadError
from loopwright.policies import LoopHandle, ThreadLoop, WorkFuture, on, submit
from tests.policies.test_handle import running

if TYPE_CHECKING:
    from collections.abc import Callable

variable = contextvars.ContextVar("variable", default="unset")


async def read() -> tuple[str, str]:
    await asyncio.sleep(0)
    return variable.get(), threading.current_thread().name


async def fail() -> None:
    raise KeyError("that")


def test_from_loop_to_loop_and_back(
    watched_loop_factory: Callable[[], asyncio.AbstractEventLoop], thread_loop: ThreadLoop
) -> None:
    there = thread_loop._core.name

    async def main() -> list[Any]:
        here = asyncio.get_running_loop()
        variable.set("the caller's")

        async def there_and_back() -> tuple[str, str]:
            variable.set("changed there")
            return await on(here, read)

        return [
            await on(thread_loop, read()),
            await on(thread_loop._core.loop, read),
            await on(LoopHandle(thread_loop), read),
            await submit(thread_loop, read, context=contextvars.Context()),
            await on(thread_loop, there_and_back),
            await on(here, read),
            variable.get(),
        ]

    with asyncio.Runner(loop_factory=watched_loop_factory) as runner:
        results = runner.run(main())
    mine = "the caller's", there
    here = threading.current_thread().name
    assert results[:3] == [mine] * 3
    assert results[3:] == [
        ("unset", there),
        ("changed there", here),
        ("the caller's", here),
        "the caller's",
    ]


def test_errors_come_back_whole(thread_loop: ThreadLoop) -> None:
    async def main() -> None:
        await on(thread_loop, fail())

    for call in (lambda: asyncio.run(main()), lambda: submit(thread_loop, fail).result(30)):
        with pytest.raises(KeyError, match="that") as caught:
            call()
        assert [frame.name for frame in traceback.extract_tb(caught.tb)][-1] == "fail"


def test_cancelling_who_awaits_cancels_the_work_and_ends_with_it(thread_loop: ThreadLoop) -> None:
    begun, happened = threading.Event(), []

    async def work() -> None:
        begun.set()
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(0.05)
            happened.append("cleaned up")

    async def main() -> None:
        task = asyncio.create_task(on(thread_loop, work))
        await asyncio.to_thread(begun.wait, 30)
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError):
            await task
        assert happened == ["cleaned up"]
        begun.clear()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await on(thread_loop, work)
        assert happened == ["cleaned up"] * (2 if begun.is_set() else 1)

    asyncio.run(main())


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


def test_a_loop_that_does_not_run_or_is_closed(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    loop = loop_factory()

    async def main(match: str, error: type[Exception]) -> None:
        coroutine = read()
        with pytest.raises(error, match=match):
            await on(loop, coroutine)
        with pytest.raises(RuntimeError, match="cannot reuse already awaited"):
            coroutine.send(None)  # closed, not forgotten

    asyncio.run(main("is not running.*run it in a thread", WrongLoopError))
    loop.close()
    asyncio.run(main("Event loop is closed", LoopClosedError))
    coroutine = read()
    with pytest.raises(LoopClosedError, match="Event loop is closed"):
        submit(loop, coroutine)
    with pytest.raises(NotALoopError, match="not to 5"):
        submit(5, read())
    for work in (5, asyncio.Event()):
        with pytest.raises(TypeError, match="work for a loop is a coroutine or a function"):
            submit(loop, work)
    with pytest.raises(TypeError, match="arguments go with a function"):
        submit(loop, read(), 1)


def test_a_function_that_gives_nothing_to_await(thread_loop: ThreadLoop) -> None:
    with pytest.raises(TypeError, match=r"gave 5, which cannot be awaited.*to_thread"):
        submit(thread_loop, lambda: 5).result(30)
    future: WorkFuture[int] = submit(thread_loop, asyncio.sleep, 0, 5)
    with pytest.raises(NoLoopError, match=r"call result\(\)"):
        next(future.__await__())
    assert future.result(30) == 5


def test_a_loop_of_anybodys_that_is_closed_meanwhile(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """Its tasks are never run again, and nobody tells: yet who waits is told."""
    loop = loop_factory()
    begun = threading.Event()
    tasks: list[Any] = []

    async def work() -> None:
        tasks.append(asyncio.current_task())
        begun.set()
        await asyncio.get_running_loop().create_future()

    async def wait(future: WorkFuture[None]) -> None:
        with pytest.raises(LoopClosedError, match="was closed before the work"):
            await future

    with running(loop):
        future = submit(loop, work)
        assert begun.wait(30)
        waiting = threading.Thread(target=asyncio.run, args=(wait(future),))
        waiting.start()
    assert isinstance(future.exception(30), LoopClosedError)
    waiting.join(30)
    assert not waiting.is_alive()
    future._task = None
    tasks.pop()._log_destroy_pending = False  # that it is pending is what this is about
    gc.collect()


def test_a_loop_of_anybodys_that_is_closed_before_the_work_begins(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    loop = loop_factory()
    future = submit(loop, read)
    loop.close()
    assert isinstance(future.exception(30), LoopClosedError)


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


def test_a_loop_in_a_thread_that_is_closed_meanwhile(thread_loop: ThreadLoop) -> None:
    begun = threading.Event()

    async def work() -> None:
        begun.set()
        await asyncio.sleep(1000)

    future = submit(thread_loop, work)
    assert begun.wait(30)
    thread_loop.close()
    with pytest.raises(concurrent.futures.CancelledError):
        future.result(30)


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


def test_ctrl_c_in_result(thread_loop: ThreadLoop) -> None:
    future = submit(thread_loop, asyncio.sleep, 1000)
    threading.Timer(0.05, signal.raise_signal, (signal.SIGINT,)).start()
    with pytest.raises(KeyboardInterrupt):
        future.result()
    assert future.cancel()
    with pytest.raises(concurrent.futures.CancelledError):
        future.result(30)


def test_many_waits_with_ctrl_c_at_any_moment(thread_loop: ThreadLoop) -> None:
    """KeyboardInterrupt must leave no lock held that the loop's thread needs."""
    ended = threading.Event()

    def interrupt() -> None:
        while not ended.is_set():
            signal.raise_signal(signal.SIGINT)
            time.sleep(0.002)

    thread = threading.Thread(target=interrupt)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    interrupted = 0
    thread.start()
    try:
        for _ in range(100):
            future = submit(thread_loop, asyncio.sleep, 0.003)
            try:
                signal.signal(signal.SIGINT, signal.default_int_handler)
                future.result()
            except KeyboardInterrupt:
                interrupted += 1
            finally:
                signal.signal(signal.SIGINT, signal.SIG_IGN)
            assert future.result(30) is None
    finally:
        ended.set()
        thread.join(30)
        signal.signal(signal.SIGINT, before)
    assert interrupted
