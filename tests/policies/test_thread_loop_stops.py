"""How the calls end that run a loop in a thread of its own: stop(), SystemExit, Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.policies import ThreadLoop

if TYPE_CHECKING:
    from collections.abc import Callable


def interrupt_when(happened: threading.Event, loop: Any) -> threading.Thread:
    """Sends this process SIGINT once that has happened, and this thread waits for the loop: a Runner begins the work
    before it sets its handler for SIGINT."""

    def interrupt() -> None:
        assert happened.wait(30)
        while not loop._run_by:
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    return thread


async def leave(error: BaseException) -> None:
    raise error


def test_stop_ends_run_forever_and_the_loop_goes_on(thread_loop: ThreadLoop) -> None:
    thread_loop.call_later(0.01, thread_loop.stop)
    thread_loop.run_forever()
    assert thread_loop.submit(asyncio.sleep, 0, 5).result(30) == 5


def test_a_stop_before_is_kept_for_the_next_run(thread_loop: ThreadLoop) -> None:
    stopped = threading.Event()
    thread_loop.call_soon(thread_loop.stop)
    thread_loop.call_soon(stopped.set)
    assert stopped.wait(30)
    thread_loop.run_forever()
    assert thread_loop.run_until_complete(asyncio.sleep(0, 6)) == 6


def test_stop_within_run_until_complete(thread_loop: ThreadLoop) -> None:
    async def main() -> None:
        asyncio.get_running_loop().stop()
        await asyncio.sleep(1000)

    with pytest.raises(RuntimeError, match="stopped before Future completed"):
        thread_loop.run_until_complete(main())


async def three() -> int:
    return 3


def test_what_ends_in_the_pass_of_a_stop_gives_its_result(thread_loop: ThreadLoop) -> None:
    for _ in range(20):
        thread_loop.stop()
        assert thread_loop.run_until_complete(three()) == 3


def test_what_is_left_may_stop_the_loop_as_it_ends(thread_loop: ThreadLoop) -> None:
    async def endless() -> None:
        await asyncio.sleep(1000)

    task = thread_loop.create_task(endless())
    task.add_done_callback(lambda _: thread_loop.stop())
    thread_loop.run_until_complete(asyncio.sleep(0))
    left = asyncio.all_tasks(thread_loop)
    for each in left:
        each.cancel()
    assert thread_loop.run_until_complete(asyncio.gather(*left, return_exceptions=True)) == [None]
    assert thread_loop.run_until_complete(asyncio.sleep(0.01, 4)) == 4


def test_a_stop_in_the_pass_of_the_result_is_over_with_it(thread_loop: ThreadLoop) -> None:
    future = thread_loop.create_future()

    def stop_late(_: object) -> None:
        time.sleep(0.05)  # for as long as a result that is told too early needs to begin the next run
        asyncio.get_running_loop().stop()

    def complete() -> None:
        while not thread_loop._run_by or not future._callbacks:
            time.sleep(0.001)
        time.sleep(0.2)  # some microseconds go before run_until_complete() waits, of which nothing can be seen
        future.add_done_callback(stop_late)  # goes after that by which run_until_complete() hears of the result
        thread_loop.call_soon(future.set_result, 5)  # within the loop, so that both go in one pass

    thread = threading.Thread(target=complete)
    thread.start()
    assert thread_loop.run_until_complete(future) == 5
    assert thread_loop.run_until_complete(asyncio.sleep(0.1, 6)) == 6
    thread.join()


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt("raised")])
def test_an_exit_within_is_raised_where_the_loop_is_run(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], error: BaseException
) -> None:
    thread_loop = ThreadLoop(loop_factory)  # not rloop: it logs these, and goes on
    with pytest.raises(type(error)) as caught:
        thread_loop.run_until_complete(leave(error))
    assert caught.value is error
    assert thread_loop.run_until_complete(asyncio.sleep(0, 7)) == 7
    thread_loop.call_soon(sys.exit, 4)
    with pytest.raises(SystemExit, match="4"):
        thread_loop.run_forever()
    thread_loop.close()


def test_an_exit_that_nobody_waited_for_is_told_at_the_end(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    thread_loop = ThreadLoop(loop_factory)
    told: list[dict[str, Any]] = []
    passed = threading.Event()
    thread_loop.set_exception_handler(lambda *told_of: told.append(told_of[-1]))
    thread_loop.call_soon(sys.exit, 5)
    thread_loop.call_soon(passed.set)
    assert passed.wait(30)
    thread_loop.close()
    assert [repr(context["exception"]) for context in told] == ["SystemExit(5)"]


def test_a_failure_that_nobody_awaits_is_told(thread_loop: ThreadLoop) -> None:
    told: list[dict[str, Any]] = []
    thread_loop.set_exception_handler(lambda *told_of: told.append(told_of[-1]))
    thread_loop.create_task(leave(OSError("unheard")))
    thread_loop.run_until_complete(asyncio.sleep(0))
    thread_loop.run_until_complete(asyncio.sleep(0))
    assert [str(context["exception"]) for context in told] == ["unheard"]


def test_the_first_ctrl_c_cancels_what_a_runner_runs(
    watched_loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    begun = threading.Event()
    happened = []

    async def main() -> None:
        begun.set()
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            happened.append("cleaned up")
            raise

    with asyncio.Runner(loop_factory=lambda: ThreadLoop(watched_loop_factory)) as runner:
        thread = interrupt_when(begun, runner.get_loop())
        with pytest.raises(KeyboardInterrupt):
            runner.run(main())
    thread.join(30)
    assert happened == ["cleaned up"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_second_ctrl_c_is_raised_at_once(watched_loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    begun, cancelled = threading.Event(), threading.Event()
    happened = []

    async def main() -> None:
        begun.set()
        while not happened:
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:  # it takes two to end this
                if cancelled.is_set():
                    happened.append("ended by the runner's end")
                cancelled.set()

    runner = asyncio.Runner(loop_factory=lambda: ThreadLoop(watched_loop_factory))
    threads = [interrupt_when(event, runner.get_loop()) for event in (begun, cancelled)]
    with pytest.raises(KeyboardInterrupt):
        runner.run(main())
    assert cancelled.is_set()
    assert happened == []
    runner.close()
    for thread in threads:
        thread.join(30)
    assert happened == ["ended by the runner's end"]


def test_ctrl_c_in_a_bare_run_until_complete(thread_loop: ThreadLoop) -> None:
    begun = threading.Event()
    happened = []

    async def main() -> None:
        begun.set()
        try:
            await asyncio.sleep(1000)
        finally:
            happened.append("cancelled by close()")

    thread = interrupt_when(begun, thread_loop)
    with pytest.raises(KeyboardInterrupt):
        thread_loop.run_until_complete(main())
    thread.join(30)
    assert happened == []
    thread_loop.close()
    assert happened == ["cancelled by close()"]
