"""Many threads and loops use one pool, cancel at random, and it is closed meanwhile: every piece of work ends."""

from __future__ import annotations

import asyncio
import concurrent.futures
import random
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.errors import LoopClosedError, LoopPoolClosedError
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


def hand_in_until_it_is_closed(loop: ThreadLoop, futures: list[WorkFuture[Any]]) -> None:
    while True:
        try:
            future = loop.submit(asyncio.sleep, 0)
        except LoopClosedError:
            return
        futures.append(future)
        concurrent.futures.wait([future], 30)


@pytest.mark.long
def test_loops_that_are_closed_under_those_who_use_them(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    for _ in range(10):
        loop = ThreadLoop(loop_factory)
        futures: list[WorkFuture[Any]] = []
        threads = [threading.Thread(target=hand_in_until_it_is_closed, args=(loop, futures)) for _ in range(4)]
        for thread in threads:
            thread.start()
        while len(futures) < 20:
            time.sleep(0.001)
        loop.close()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
        assert all(future.done() for future in futures)
        assert all(future.cancelled() or future.result() is None for future in futures)
