from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.errors import (
    ArgumentsConflictError,
    NotALoopError,
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
