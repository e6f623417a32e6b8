from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import gc
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.errors import LoopClosedError, NoLoopError, NotALoopError, WrongLoopError
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


def test_a_loop_that_is_being_closed_is_closed(thread_loop: ThreadLoop) -> None:
    go_on, closing = threading.Event(), threading.Thread(target=thread_loop.close)
    thread_loop.call_soon(go_on.wait, 30)
    closing.start()
    try:
        while not thread_loop.is_closed():
            time.sleep(0.001)
        with pytest.raises(LoopClosedError, match="is closed"):
            asyncio.run(on(thread_loop, asyncio.sleep, 0))
    finally:
        go_on.set()
        closing.join()
