from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.errors import (
    ArgumentsConflictError,
    LoopDiedError,
    LoopPoolClosedError,
    LoopStuckError,
    NotALoopError,
    WrongThreadError,
)
from loopwright.policies import EventLoopPolicy, LoopLoad, LoopPool, ThreadLoop, on, submit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

variable = contextvars.ContextVar("variable", default="unset")


async def where(*_: object) -> str:
    await asyncio.sleep(0)
    return threading.current_thread().name


async def fail() -> None:
    raise KeyError("that")


async def stay(begun: threading.Event) -> None:
    begun.set()
    await asyncio.sleep(1000)


def counts(pool: LoopPool) -> list[tuple[int, int]]:
    return [(load.running, load.done) for load in pool.report()]


def settled(pool: LoopPool) -> list[tuple[int, int]]:
    """The counts once nothing runs: a future is done a moment before it is counted."""
    deadline = time.monotonic() + 30
    while any(load.running for load in pool.report()) and time.monotonic() < deadline:
        time.sleep(0.001)
    return counts(pool)


def test_from_threads_and_loops(watched_loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def main(pool: LoopPool) -> list[Any]:
        variable.set("the caller's")

        async def read() -> str:
            return variable.get()

        async def deeper() -> list[str]:
            return await asyncio.gather(*(pool.submit(where) for _ in range(4)))

        return [
            await asyncio.gather(*(pool.submit(where()) for _ in range(4))),
            await pool.submit(read),
            await pool.submit(read, context=contextvars.Context()),
            await on(pool, where),
            await submit(pool, where),
            sorted(await pool.submit(deeper)),
            await on(pool.loops[1], where),
        ]

    with LoopPool(2, loop=watched_loop_factory, name="mine") as pool:
        assert [pool.submit(where).result(30) for _ in range(3)] == ["mine-1", "mine-2", "mine-1"]
        pool.submit(where).result(30)
        with pytest.raises(KeyError, match="that"):
            pool.submit(fail).result(30)
        pool.submit(where).result(30)
        results = asyncio.run(main(pool))
        assert results[0] == ["mine-1", "mine-2", "mine-1", "mine-2"]
        assert results[1:3] == ["the caller's", "unset"]
        assert results[3:5] == ["mine-1", "mine-2"]
        assert results[5] == ["mine-1", "mine-1", "mine-2", "mine-2"]
        assert results[6] == "mine-2"
        assert list(pool.map(where, range(3))) == ["mine-2", "mine-1", "mine-2"]
        settled(pool)
        assert all(load.running == 0 and load.alive for load in pool.report())
        assert repr(pool) == "<LoopPool 'mine' open: 2 loops, 0 running>"
    assert pool.closed
    assert not any(load.alive for load in pool.report())


def test_work_of_several_loops_runs_side_by_side() -> None:
    meeting = threading.Barrier(3)

    async def meet() -> int:
        return meeting.wait(30)  # holds its loop up

    with LoopPool(3) as pool:
        assert {future.result(30) for future in [pool.submit(meet) for _ in range(3)]} == {0, 1, 2}


def test_least_busy() -> None:
    begun = [threading.Event() for _ in range(2)]
    with LoopPool(3, balance="least-busy", name="lazy") as pool:
        staying = [pool.submit(stay, event) for event in begun]
        assert all(event.wait(30) for event in begun)
        assert counts(pool) == [(1, 0), (1, 0), (0, 0)]
        assert [pool.submit(where).result(30) for _ in range(1)] == ["lazy-3"]
        staying[0].cancel()
        concurrent.futures.wait(staying[:1], 30)
        while counts(pool)[0][0]:
            time.sleep(0.001)
        assert pool.submit(where).result(30) == "lazy-1"
        staying[1].cancel()


def test_a_rule_of_ones_own() -> None:
    shown: list[list[LoopLoad]] = []
    answer: list[Any] = [1]

    def rule(loads: Sequence[LoopLoad]) -> Any:
        shown.append(list(loads))
        if answer[0] is None:
            raise LookupError("no idea")
        return answer[0]

    with LoopPool(2, balance=rule, name="own") as pool:
        assert [pool.submit(where).result(30) for _ in range(2)] == ["own-2", "own-2"]
        assert shown[0] == [LoopLoad("own-1", 0, 0), LoopLoad("own-2", 0, 0)]
        for wrong in (2, -1, "own-1"):
            answer[0] = wrong
            with pytest.raises(ValueError, match=f"balance gave {wrong!r}, which is no index of one of 2 loops"):
                pool.submit(where())
        answer[0] = None
        with pytest.raises(LookupError, match="no idea"):
            pool.submit(where())


def test_bad_arguments() -> None:
    for n, error in ((0, ValueError), (-1, ValueError), ("ten", TypeError), (True, TypeError), (1.5, TypeError)):
        with pytest.raises(error, match=str(n)):
            LoopPool(n)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="close_timeout"):
        LoopPool(1, close_timeout=float("nan"))
    with pytest.raises(ArgumentsConflictError, match="loop and policy both"):
        LoopPool(1, loop="asyncio", policy=EventLoopPolicy())
    with pytest.raises(ValueError, match="uvloop"):
        LoopPool(1, loop="uvlop")
    with LoopPool() as pool:
        assert len(pool.loops) >= 1
        with pytest.raises(TypeError, match="work for a loop is"):
            pool.submit(5)


def test_one_loop_that_cannot_be_made_ends_those_that_were() -> None:
    made: list[asyncio.AbstractEventLoop] = []

    def make() -> asyncio.AbstractEventLoop:
        if len(made) == 2:
            raise OSError("no more")
        made.append(asyncio.SelectorEventLoop())
        return made[-1]

    with pytest.raises(OSError, match="no more"):
        LoopPool(3, loop=make)
    assert len(made) == 2
    assert all(loop.is_closed() for loop in made)


def test_loops_of_a_policy() -> None:
    policy = EventLoopPolicy(loop="selector")
    with LoopPool(1, policy=policy) as pool:
        assert pool.loops[0].submit(where).result(30) == "pool-1"

    class Threaded(EventLoopPolicy):
        def new_event_loop(self) -> asyncio.AbstractEventLoop:
            return ThreadLoop("asyncio")

    with pytest.raises(NotALoopError, match="have threads of their own"):
        LoopPool(1, policy=Threaded())


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
    threading.Timer(0.05, signal.raise_signal, (signal.SIGINT,)).start()
    with pytest.raises(KeyboardInterrupt):
        pool.close()
    pool.close(cancel=True)
    assert future.cancelled()


def test_map_cancels_what_is_left_when_one_fails() -> None:
    seen: list[int] = []

    async def work(number: int, other: str) -> str:
        if number == 1:
            raise KeyError(other)
        if number > 1:
            await asyncio.sleep(1000)
        seen.append(number)
        return other

    with LoopPool(2) as pool:
        results = pool.map(work, range(5), "abcdefgh")
        assert next(results) == "a"
        with pytest.raises(KeyError, match="b"):
            next(results)
        settled(pool)
    assert seen == [0]


def test_one_that_is_forgotten_warns_and_ends() -> None:
    held = [LoopPool(2)]
    threads = [member.core.thread for member in held[0]._members]
    with pytest.warns(ResourceWarning, match="unclosed pool <LoopPool 'pool' open: 2 loops"):
        held.clear()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
