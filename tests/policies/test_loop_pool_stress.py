"""Many threads and loops use one pool, cancel at random, and it is closed meanwhile: every piece of work ends."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.errors import LoopPoolClosedError
from loopwright.policies import LoopPool, ThreadLoop, on

if TYPE_CHECKING:
    from collections.abc import Callable

    from loopwright.policies import WorkFuture


class Crowd:
    """What uses the pool, and what it saw."""

    def __init__(self, pool: LoopPool) -> None:
        self.pool = pool
        self.futures: list[WorkFuture[Any]] = []
        self.begun: set[int] = set()
        self.ended: set[int] = set()

    async def work(self, key: int, pauses: int) -> int:
        self.begun.add(key)
        try:
            for _ in range(pauses):
                await asyncio.sleep(0)
        finally:
            self.ended.add(key)
        return key

    def in_a_thread(self, seed: int) -> None:
        chance = random.Random(seed)
        for number in range(400):
            try:
                future = self.pool.submit(self.work, seed * 1000 + number, chance.randrange(4))
            except LoopPoolClosedError:
                return
            self.futures.append(future)
            if chance.random() < 0.3:
                chance.choice(self.futures[-20:]).cancel()

    async def on_a_loop(self) -> None:
        for number in range(300):
            task = asyncio.create_task(on(self.pool, self.work, -number - 1, 2))
            await asyncio.sleep(0)
            if number % 3 == 0:
                task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.mark.long
def test_a_crowd(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    crowd = Crowd(LoopPool(3, loop=loop_factory, balance="least-busy"))
    threads = [threading.Thread(target=crowd.in_a_thread, args=(seed,)) for seed in range(1, 7)]
    threads.append(threading.Thread(target=lambda: asyncio.run(crowd.on_a_loop())))
    for thread in threads:
        thread.start()
    while len(crowd.futures) < 1500 and any(thread.is_alive() for thread in threads):
        time.sleep(0.001)
    crowd.pool.close()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert len(crowd.futures) >= 1000
    assert all(future.done() for future in crowd.futures)
    assert crowd.begun == crowd.ended
    assert {future.result() for future in crowd.futures if not future.cancelled()} <= crowd.ended
    assert sum(load.running for load in crowd.pool.report()) == 0


@pytest.mark.long
def test_loops_that_come_and_go(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """Threads hand work to one loop until it is closed under them: each either has a future that ends, or an error."""
    for _ in range(10):
        loop = ThreadLoop(loop_factory)
        outcomes: list[bool] = []
        enough = threading.Event()

        def use(loop: ThreadLoop = loop, outcomes: list[bool] = outcomes, enough: threading.Event = enough) -> None:
            while True:
                try:
                    future = loop.submit(asyncio.sleep, 0)
                except RuntimeError:
                    return
                future.exception(30) if not future.cancelled() else None
                outcomes.append(future.done())
                if len(outcomes) > 20:
                    enough.set()

        def guarded(use: Callable[[], None] = use) -> None:
            try:
                use()
            except BaseException as error:
                if "Cancelled" not in type(error).__name__:
                    raise

        threads = [threading.Thread(target=guarded) for _ in range(4)]
        for thread in threads:
            thread.start()
        assert enough.wait(30)
        loop.close()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
        assert all(outcomes)
