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

from loopwright.errors import LoopClosedError, LoopStuckError, WrongThreadError
from loopwright.policies import ThreadLoop

if TYPE_CHECKING:
    from collections.abc import Callable


def interrupt_when(happened: threading.Event) -> threading.Thread:
    """Sends this process SIGINT once that has happened."""

    def interrupt() -> None:
        assert happened.wait(30)
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

    thread = interrupt_when(begun)
    with (
        pytest.raises(KeyboardInterrupt),
        asyncio.Runner(loop_factory=lambda: ThreadLoop(watched_loop_factory)) as runner,
    ):
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

    threads = interrupt_when(begun), interrupt_when(cancelled)
    runner = asyncio.Runner(loop_factory=lambda: ThreadLoop(watched_loop_factory))
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

    thread = interrupt_when(begun)
    with pytest.raises(KeyboardInterrupt):
        thread_loop.run_until_complete(main())
    thread.join(30)
    assert happened == []
    thread_loop.close()
    assert happened == ["cancelled by close()"]


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


def test_a_loop_that_is_stuck_says_where(watched_loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    entered, release = threading.Event(), threading.Event()

    def block_the_loop() -> None:
        entered.set()
        release.wait(60)

    loop = ThreadLoop(watched_loop_factory, name="the stuck one", close_timeout=0.05)
    loop.call_soon(block_the_loop)
    assert entered.wait(30)
    with pytest.raises(
        LoopStuckError, match=r"'the stuck one' did not end within 0.05 s.*\(.*threading.py|block_the_loop"
    ):
        loop.close()
    assert loop.is_closed()
    with pytest.raises(LoopClosedError):
        loop.call_soon(str)
    release.set()
    loop._close_timeout = 30
    loop.close()


def test_a_task_that_cannot_be_cancelled_is_named() -> None:
    release = threading.Event()
    begun = threading.Event()

    async def refuse() -> None:
        begun.set()
        while not release.is_set():
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                continue

    loop = ThreadLoop("asyncio", close_timeout=0.3)
    loop.create_task(refuse(), name="the stubborn one")
    assert begun.wait(30)
    with pytest.raises(LoopStuckError, match=r"tasks did not end though cancelled: .*the stubborn one"):
        loop.close()
    release.set()
    loop._close_timeout = 30
    loop.close()


def test_signal_handlers(thread_loop: ThreadLoop) -> None:
    called: list[Any] = []

    def note(number: int) -> None:
        called.append((number, threading.current_thread()))
        thread_loop.stop()

    async def coroutine_function() -> None:
        """Refused."""

    thread_loop.add_signal_handler(signal.SIGUSR1, note, 1)
    os.kill(os.getpid(), signal.SIGUSR1)
    thread_loop.run_forever()
    assert called == [(1, thread_loop._core.thread)]
    assert thread_loop.remove_signal_handler(signal.SIGUSR1)
    assert not thread_loop.remove_signal_handler(signal.SIGUSR1)
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
    with pytest.raises(TypeError, match="coroutines cannot be used"):
        thread_loop.add_signal_handler(signal.SIGUSR1, coroutine_function)  # type: ignore[arg-type]

    async def within() -> None:
        thread_loop.add_signal_handler(signal.SIGUSR1, str)

    with pytest.raises(WrongThreadError, match=r"add_signal_handler\(\) was called in thread 'loop-"):
        thread_loop.run_until_complete(within())
    thread_loop.add_signal_handler(signal.SIGINT, note, 2)
    thread_loop.close()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with pytest.raises(LoopClosedError):
        thread_loop.add_signal_handler(signal.SIGINT, note, 3)


def test_a_signal_after_the_loop_was_closed_elsewhere(thread_loop: ThreadLoop) -> None:
    thread_loop.add_signal_handler(signal.SIGINT, str)
    closer = threading.Thread(target=thread_loop.close)
    closer.start()
    closer.join(30)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_program_that_leaves_loops_open_ends_and_is_told(script: Callable[..., str]) -> None:
    source = """
        import asyncio, os, sys, threading, warnings
        from loopwright.policies import LoopPool, ThreadLoop

        warnings.simplefilter("default")
        sys.stderr = sys.stdout
        loop, pool = ThreadLoop("asyncio", name="forgotten"), LoopPool(2)

        async def stay():
            try:
                begun.set()
                await asyncio.sleep(1000)
            finally:
                print("cleaned up")

        begun = threading.Event()
        kept = loop.create_task(stay())
        begun.wait()
        print("end of the program")
    """
    printed = script(source)
    assert printed.startswith("end of the program")
    assert "ResourceWarning: the loop 'forgotten' was left open" in printed
    assert "ResourceWarning: the loop 'pool-2' was left open" in printed
    assert printed.count("cleaned up") == 1


def test_a_forked_child_has_none(script: Callable[..., str]) -> None:
    source = """
        import asyncio, os, warnings
        from loopwright.errors import LoopClosedError
        from loopwright.policies import LoopPool, ThreadLoop, on

        warnings.simplefilter("ignore", DeprecationWarning)  # of fork() beside threads
        loop, pool = ThreadLoop("asyncio"), LoopPool(2)
        future = pool.submit(asyncio.sleep, 0.3, "parent")
        pid = os.fork()
        if not pid:
            try:
                assert loop.is_closed() and pool.closed
                for call in (loop.stop, lambda: pool.submit(asyncio.sleep, 0)):
                    try:
                        call()
                    except LoopClosedError as error:
                        told = str(error)
                    else:
                        os._exit(2)
                loop.close()
                pool.close()
                with asyncio.Runner(loop_factory=lambda: ThreadLoop("asyncio")) as runner:
                    assert runner.run(asyncio.sleep(0, 4)) == 4
                os._exit(0)
            except BaseException:
                os._exit(3)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert loop.run_until_complete(asyncio.sleep(0, 5)) == 5
        print(future.result(30))
        loop.close()
        pool.close()
    """
    assert script(source) == "parent\n"
