"""Programs that do not know that their loop is in a thread of its own."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.policies import EventLoopPolicy, ThreadLoop, set_event_loop_policy

if TYPE_CHECKING:
    from collections.abc import Callable

variable = contextvars.ContextVar("variable", default="unset")


async def where() -> tuple[threading.Thread, asyncio.AbstractEventLoop]:
    await asyncio.sleep(0)
    return threading.current_thread(), asyncio.get_running_loop()


async def fail() -> None:
    await asyncio.sleep(0)
    raise KeyError("that")


def test_asyncio_run_and_runner_take_it(watched_loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    with asyncio.Runner(loop_factory=lambda: ThreadLoop(watched_loop_factory)) as runner:
        loop = runner.get_loop()
        first, real = runner.run(where())
        assert isinstance(loop, ThreadLoop)
        assert (first, real) == runner.run(where())
        assert first is not threading.current_thread()
        assert type(real) is type(loop._core.loop)
        with pytest.raises(KeyError, match="that") as caught:
            runner.run(fail())
        assert [frame.name for frame in traceback.extract_tb(caught.tb)][-1] == "fail"
    assert loop.is_closed()
    assert not first.is_alive()


def test_plain_programs_under_a_policy_that_makes_such_loops(
    watched_loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    class Threaded(EventLoopPolicy):
        def new_event_loop(self) -> asyncio.AbstractEventLoop:
            made.append(ThreadLoop(watched_loop_factory))
            return made[-1]

    async def start_a_program() -> tuple[int, threading.Thread]:
        process = await asyncio.create_subprocess_exec("sh", "-c", "exit 7")
        return await process.wait(), threading.current_thread()

    made: list[ThreadLoop] = []
    set_event_loop_policy(Threaded())
    assert asyncio.run(start_a_program()) == (7, made[0]._core.thread)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        future = loop.create_future()
        loop.call_soon(future.set_result, "set")
        assert loop.run_until_complete(future) == "set"
        assert loop.run_until_complete(asyncio.wait_for(asyncio.sleep(0, 3), 30)) == 3
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    assert [each.is_closed() for each in made] == [True, True]


def test_a_runner_keeps_its_context(watched_loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def change(value: str) -> str:
        before = variable.get()
        variable.set(value)
        return before

    with asyncio.Runner(loop_factory=lambda: ThreadLoop(watched_loop_factory), debug=True) as runner:
        assert runner.get_loop().get_debug() or "rloop" in repr(runner.get_loop())  # which has no such mode
        assert [runner.run(change("one")), runner.run(change("two"))] == ["unset", "one"]


def test_a_runner_cancels_and_awaits_what_is_left(
    watched_loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    happened = []
    told: list[dict[str, Any]] = []
    tasks = []

    async def stay(error: Exception | None) -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(0)
            happened.append("cleaned up")
            if error is not None:
                raise error

    async def generate() -> Any:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            happened.append("generator closed")

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *told_of: told.append(told_of[-1]))
        tasks.extend(asyncio.create_task(stay(error)) for error in (None, OSError("while cleaning up")))
        tasks.append(generate())
        await anext(tasks[-1])
        await asyncio.get_running_loop().run_in_executor(None, happened.append, "executed")

    with asyncio.Runner(loop_factory=lambda: ThreadLoop(watched_loop_factory)) as runner:
        runner.run(main())
    assert happened == ["executed", "cleaned up", "cleaned up", "generator closed"]
    assert [str(context["exception"]) for context in told] == ["while cleaning up"]


def test_what_programs_do_by_hand_to_end_what_is_left(thread_loop: ThreadLoop) -> None:
    cancelled = []

    async def stay() -> None:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            cancelled.append(1)
            raise

    async def main() -> list[asyncio.Task[None]]:
        return [asyncio.create_task(stay()) for _ in range(3)]

    kept = thread_loop.run_until_complete(main())
    thread_loop.run_until_complete(asyncio.sleep(0))
    left = asyncio.all_tasks(thread_loop)
    assert "every task that is left" in repr(left)
    for task in left:
        task.cancel()
    thread_loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    assert cancelled == [1, 1, 1]
    assert all(task.cancelled() for task in kept)
    assert asyncio.all_tasks(thread_loop) == set()
    kept = thread_loop.run_until_complete(main())  # and once more
    assert len(asyncio.all_tasks(thread_loop)) == 1


def test_gather_outside_of_what_is_done_at_once(thread_loop: ThreadLoop) -> None:
    """gather() counts on nothing being done before it has returned; in a loop that runs already, that is not so."""

    async def quick(number: int) -> int:
        return number

    for _ in range(100):
        tasks = [thread_loop.create_task(quick(number)) for number in range(5)]
        assert thread_loop.run_until_complete(asyncio.gather(*tasks)) == [0, 1, 2, 3, 4]
    shielded = asyncio.shield(thread_loop.create_task(quick(7)))
    assert thread_loop.run_until_complete(shielded) == 7
