from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.policies import ThreadLoop

if TYPE_CHECKING:
    pass


def test_tasks_outside(thread_loop: ThreadLoop) -> None:
    task = thread_loop.create_task(asyncio.sleep(1000), name="sleeper")
    assert task.get_name() == "sleeper"
    assert asyncio.iscoroutine(task.get_coro())
    assert task.get_loop() is thread_loop
    while not task.get_stack():
        time.sleep(0.001)
    task.set_name("renamed")
    assert task.get_name() == "renamed"
    assert task.cancel("enough")
    with pytest.raises(asyncio.CancelledError):
        thread_loop.run_until_complete(task)
    assert (task.cancel(), task.cancelled(), task.cancelling(), task.uncancel()) == (False, True, 1, 0)
    with pytest.raises(RuntimeError, match="does not support set_result"):
        task.set_result(None)
    with pytest.raises(TypeError, match="a coroutine was expected, got 5"):
        thread_loop.create_task(5)
    other = asyncio.SelectorEventLoop()
    foreign = other.create_future()
    with pytest.raises(ValueError, match="different loop"):
        thread_loop.run_until_complete(foreign)
    other.close()


def test_futures_outside_are_awaited_within(thread_loop: ThreadLoop) -> None:
    future = thread_loop.create_future()
    task = thread_loop.create_task(asyncio.sleep(0, 8))

    async def main() -> list[int]:
        return await asyncio.gather(future, asyncio.wait_for(task, 30), asyncio.shield(future))

    running = thread_loop.submit(main)
    future.set_result(9)  # from this thread, which wakes the other
    assert running.result(30) == [9, 8, 9]
    unset = thread_loop.create_future()

    async def outer() -> None:
        await unset

    waiting = thread_loop.create_task(outer())
    thread_loop.run_until_complete(asyncio.sleep(0))
    unset.cancel()
    with pytest.raises(asyncio.CancelledError):
        thread_loop.run_until_complete(waiting)


def test_callbacks_of_futures_outside(thread_loop: ThreadLoop) -> None:
    called: list[Any] = []
    task = thread_loop.create_task(asyncio.sleep(0.01, 3))
    task.add_done_callback(called.append)
    task.add_done_callback(print)
    assert task.remove_done_callback(print) == 1
    assert thread_loop.run_until_complete(task) == 3
    thread_loop.run_until_complete(asyncio.sleep(0))
    assert called == [task]


def test_cancelling_handles_outside(thread_loop: ThreadLoop) -> None:
    called: list[int] = []
    blocked, go = threading.Event(), threading.Event()
    thread_loop.call_soon(blocked.set)
    thread_loop.call_soon(go.wait, 30)
    handles = [
        thread_loop.call_soon(called.append, 1),
        thread_loop.call_later(0, called.append, 2),
        thread_loop.call_later(1000, called.append, 3),
    ]
    assert blocked.wait(30)
    assert not any(handle.cancelled() for handle in handles)
    for handle in handles:
        handle.cancel()
    assert handles[2].when() > thread_loop.time()  # type: ignore[attr-defined]
    go.set()
    thread_loop.run_until_complete(asyncio.sleep(0.01))
    assert called == []
    assert all(handle.cancelled() for handle in handles)
