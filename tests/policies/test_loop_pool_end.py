"""How a pool of loops ends, and what ends one of its loops."""

from __future__ import annotations

import asyncio
import contextvars
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from loopwright.errors import (
    LoopDiedError,
    LoopPoolClosedError,
    LoopStuckError,
    WrongThreadError,
)
from loopwright.policies import LoopPool, on

if TYPE_CHECKING:
    from collections.abc import Callable

variable = contextvars.ContextVar("variable", default="unset")


async def where(*_: object) -> str:
    await asyncio.sleep(0)
    return threading.current_thread().name


async def stay(begun: threading.Event) -> None:
    begun.set()
    await asyncio.sleep(1000)


def test_the_end_waits_for_what_runs_and_takes_no_more() -> None:
    go, begun = threading.Event(), threading.Event()

    async def work() -> str:
        begun.set()
        await asyncio.to_thread(go.wait, 30)
        return "done"

    pool = LoopPool(2)
    future = pool.submit(work)
    assert begun.wait(30)
    closer = threading.Thread(target=pool.close)
    closer.start()
    while not pool.closed:
        time.sleep(0.001)
    coroutine = where()
    with pytest.raises(LoopPoolClosedError, match="takes no more work"):
        pool.submit(coroutine)
    with pytest.raises(RuntimeError, match="cannot reuse already awaited"):
        coroutine.send(None)
    assert not future.done()
    go.set()
    closer.join(30)
    assert not closer.is_alive()
    assert future.result(0) == "done"
    pool.close()


def test_the_end_cancels_on_request_after_a_time_or_an_error() -> None:
    def cancelled_by(end: Callable[[LoopPool], object]) -> bool:
        begun = threading.Event()
        pool = LoopPool(2)
        future = pool.submit(stay, begun)
        assert begun.wait(30)
        end(pool)
        assert pool.closed
        return future.cancelled()

    def with_error(pool: LoopPool) -> None:
        with pytest.raises(ZeroDivisionError), pool:
            raise ZeroDivisionError

    def with_error_on_a_loop(pool: LoopPool) -> None:
        async def main() -> None:
            async with pool:
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            asyncio.run(main())

    assert cancelled_by(lambda pool: pool.close(cancel=True))
    assert cancelled_by(lambda pool: pool.close(timeout=0.01))
    assert cancelled_by(lambda pool: asyncio.run(pool.aclose(cancel=True)))
    assert cancelled_by(with_error)
    assert cancelled_by(with_error_on_a_loop)


def test_the_end_on_a_loop_lets_that_one_go_on() -> None:
    async def main() -> str:
        here = asyncio.get_running_loop()
        async with LoopPool(2) as pool:
            future = pool.submit(on, here, asyncio.sleep, 0.01, "from here")  # needs this loop to end
        return await future

    assert asyncio.run(main()) == "from here"


def test_the_end_within_the_pool_is_refused() -> None:
    with LoopPool(2) as pool:
        with pytest.raises(WrongThreadError, match=r"close\(\) was called within the loop 'pool-1'"):
            pool.loops[0].submit(lambda: asyncio.sleep(0, pool.close())).result(30)
        with pytest.raises(WrongThreadError, match=r"aclose\(\) was called within"):
            pool.submit(pool.aclose).result(30)
        assert not pool.closed


def test_a_loop_that_is_stuck_at_the_end() -> None:
    release, entered = threading.Event(), threading.Event()

    async def block() -> None:
        entered.set()
        release.wait(60)

    pool = LoopPool(2, close_timeout=0.05)
    pool.submit(block)
    assert entered.wait(30)
    with pytest.raises(LoopStuckError, match="'pool-1' did not end"):
        pool.close(timeout=0.01)
    release.set()
    pool._close_timeout = 30
    pool.close()


def test_a_loop_that_breaks_fails_its_work_and_the_others_go_on() -> None:
    class Breaking(asyncio.SelectorEventLoop):
        broken = False

        def _run_once(self) -> None:
            if self.broken:
                self.broken = False
                raise OSError("the selector is gone")
            super()._run_once()  # type: ignore[misc]

    begun = threading.Event()
    with LoopPool(2, loop=Breaking) as pool:
        for member in pool._members:
            member.core.loop.set_exception_handler(lambda loop, context: None)
        staying = pool.submit(stay, begun)
        assert begun.wait(30)
        pool.loops[0].call_soon_threadsafe(setattr, pool._members[0].core.loop, "broken", True)
        with pytest.raises(LoopDiedError, match="'pool-1' broke: OSError"):
            staying.result(30)
        assert {pool.submit(where).result(30) for _ in range(4)} == {"pool-2"}
        assert [load.alive for load in pool.report()] == [False, True]
        pool.loops[1].call_soon_threadsafe(setattr, pool._members[1].core.loop, "broken", True)
        pool._members[1].core.thread.join(30)
        with pytest.raises(LoopDiedError, match="has no loop left"):
            pool.submit(where())


def test_an_exit_in_the_work_is_the_works_and_the_loop_goes_on(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    told: list[str] = []

    async def leave() -> None:
        sys.exit(3)

    with LoopPool(1, loop=loop_factory) as pool:
        pool._members[0].core.loop.set_exception_handler(lambda loop, context: told.append(context["message"]))
        with pytest.raises(SystemExit, match="3"):
            pool.submit(leave).result(30)
        pool.loops[0].call_soon_threadsafe(sys.exit, 4)
        pool.loops[0].call_soon_threadsafe(pool._members[0].core.loop.stop)
        assert pool.submit(where).result(30) == "pool-1"
    assert told == [f"SystemExit({number}) in the loop 'pool-1' of a pool, which goes on" for number in (3, 4)]


def test_ctrl_c_while_the_end_waits() -> None:
    begun = threading.Event()
    pool = LoopPool(2)
    future = pool.submit(stay, begun)
    assert begun.wait(30)

    def interrupt() -> None:
        while not pool.closed:  # or it might come before close(), and be raised elsewhere
            time.sleep(0.001)
        time.sleep(0.05)
        signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        pool.close()
    thread.join()
    pool.close(cancel=True)
    assert future.cancelled()


def test_one_that_is_forgotten_warns_and_ends() -> None:
    held = [LoopPool(2)]
    threads = [member.core.thread for member in held[0]._members]
    with pytest.warns(ResourceWarning, match="unclosed pool <LoopPool 'pool' open: 2 loops"):
        held.clear()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
