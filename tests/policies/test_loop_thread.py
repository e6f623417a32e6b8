from __future__ import annotations

import asyncio
import re
import threading
import time
from typing import TYPE_CHECKING

import pytest

from loopwright.errors import LoopClosedError, LoopStuckError
from loopwright.policies import ThreadLoop
from tests.conftest import UVLOOP, factory_of

if TYPE_CHECKING:
    from collections.abc import Callable


def told_by_closing(loop: ThreadLoop, words: str) -> None:
    """Close a loop that is stuck, and see that these words are said; again, if its thread was on its way there yet, or
    in the midst of something else: on a busy machine that is not done with in the moment which close() waits."""
    deadline = time.monotonic() + 30
    while True:
        with pytest.raises(LoopStuckError) as told:
            loop.close()
        if re.search(words, str(told.value)):
            return
        assert time.monotonic() < deadline, str(told.value)


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


@pytest.mark.parametrize("name", ["asyncio", "native", UVLOOP])
def test_a_loop_that_is_stuck_in_c_says_by_what(name: str) -> None:
    factory_of(name)  # skips, or fails on CI, where there is none
    entered, release = threading.Lock(), threading.Lock()
    entered.acquire()
    release.acquire()
    loop = ThreadLoop(name, close_timeout=0.05)
    loop.call_soon(entered.release)
    loop.call_soon(release.acquire)
    assert entered.acquire(timeout=30)
    told_by_closing(loop, r"its thread is in fire\(\).*called by <RemoteHandle.*acquire")
    release.release()
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
    told_by_closing(loop, r"tasks did not end though cancelled: .*the stubborn one")
    release.set()
    loop._close_timeout = 30
    loop.close()


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
    assert "ResourceWarning: event loops in threads were left open: 'forgotten', 'pool-1', 'pool-2'" in printed
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


def test_a_forked_child_does_not_wait_for_what_its_parent_does(script: Callable[..., str]) -> None:
    source = """
        import asyncio, os, signal, warnings
        from loopwright.errors import LoopClosedError
        from loopwright.policies import LoopPool, ThreadLoop, run

        warnings.simplefilter("ignore")  # of fork() beside threads, and of what the child drops

        async def awaiting(future):
            await future

        def forked(waits):
            pid = os.fork()
            if pid:
                return ended(pid)
            signal.alarm(30)  # in place of waiting for ever
            try:
                waits()
            except LoopClosedError as error:
                os._exit("parent of this forked process" not in str(error))
            finally:
                os._exit(2)

        def ended(pid):
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

        with LoopPool(1) as pool:
            loop = ThreadLoop("asyncio")
            for given_to in (loop, pool):
                future = given_to.submit(asyncio.sleep, 1000)
                for wait in (future.result, future.exception, lambda: run(awaiting(future))):
                    print(forked(wait))
                future.cancel()

            # A handler that forks while the thread waits for the loop.
            pids = []
            def fork(*_):
                pid = os.fork()
                if pid:
                    pids.append(pid)
                    stopped.set_result(None)
                else:
                    signal.signal(signal.SIGUSR1, signal.SIG_DFL)
                    signal.alarm(30)
            stopped = loop.create_future()
            signal.signal(signal.SIGUSR1, fork)
            loop.call_later(0.1, os.kill, os.getpid(), signal.SIGUSR1)
            try:
                loop.run_until_complete(stopped)
            except LoopClosedError:
                os._exit(0)
            print(ended(*pids))
            loop.close()
    """
    assert script(source) == "0\n" * 7
