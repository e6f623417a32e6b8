from __future__ import annotations

import asyncio
import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from loopwright.errors import LoopRunningError
from loopwright.policies._made import MadeLoops

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def running(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Runs the loop in a thread of its own."""
    started = threading.Event()
    loop.call_soon(started.set)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    assert started.wait(10)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


def some(made: MadeLoops, make: Callable[[], asyncio.AbstractEventLoop]) -> list[asyncio.AbstractEventLoop]:
    loops = [make() for _ in range(3)]
    for loop in loops:
        made.add(loop)
    return loops


def test_close_all_closes_all_and_forgets(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    made = MadeLoops()
    loops = some(made, loop_factory)
    assert made.alive() == loops
    assert all(loop in made for loop in loops)
    loops[1].close()
    made.close_all()
    assert all(loop.is_closed() for loop in loops)
    assert made.alive() == []
    assert not any(loop in made for loop in loops)
    made.close_all()


def test_a_running_one_keeps_all_open(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    made = MadeLoops()
    loops = some(made, loop_factory)
    with running(loops[1]):
        with pytest.raises(LoopRunningError, match=r"a loop it made still run.*stop them first"):
            made.close_all()
        assert not any(loop.is_closed() for loop in loops)
        assert made.alive() == loops
    made.close_all()
    assert all(loop.is_closed() for loop in loops)


def test_one_that_closes_itself_while_it_runs_is_told(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    made = MadeLoops()
    (loop, *_) = some(made, loop_factory)

    async def close() -> None:
        made.close_all()

    with pytest.raises(RuntimeError, match="still run"):
        loop.run_until_complete(close())
    made.close_all()
    assert loop.is_closed()


def test_they_are_not_kept_alive() -> None:
    class Dropped(asyncio.SelectorEventLoop):
        pass

    made = MadeLoops()
    loop = Dropped()
    made.add(loop)
    loop.close()
    del loop
    gc.collect()
    assert made.alive() == []
    assert made._refs == {}


def test_another_loop_is_not_one_of_them() -> None:
    made = MadeLoops()
    loop = asyncio.SelectorEventLoop()
    try:
        assert loop not in made
    finally:
        loop.close()


def test_one_that_fails_to_close_does_not_spare_the_others() -> None:
    class Failing(asyncio.SelectorEventLoop):
        def close(self) -> None:
            super().close()
            raise OSError("disk full")

    made = MadeLoops()
    loops = [asyncio.SelectorEventLoop(), Failing(), asyncio.SelectorEventLoop()]
    for loop in loops:
        made.add(loop)
    with pytest.raises(OSError, match="disk full"):
        made.close_all()
    assert all(loop.is_closed() for loop in loops)
    assert made.alive() == []


def test_many_threads_make_and_close_at_once() -> None:
    made = MadeLoops()
    loops: list[asyncio.AbstractEventLoop] = []

    def work(_: int) -> None:
        for _ in range(10):
            loop = asyncio.SelectorEventLoop()
            loops.append(loop)
            made.add(loop)
            made.close_all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert len(loops) == 40
    assert all(loop.is_closed() for loop in loops)
    assert made.alive() == []
