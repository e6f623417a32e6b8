"""Rows of timers."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from _loops.workloads import Clock, WrongError, expect, workload

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Timers that are there all the while, where some are.
HELD = 100_000


def _never() -> None:
    raise WrongError("a timer of more than an hour ran, or one that was cancelled")


def _delays(count: int, least: float, most: float) -> list[float]:
    """The same for all sides."""
    chance = random.Random(7)
    return [chance.uniform(least, most) for _ in range(count)]


@workload("call_later and cancel", 50_000, timers=True)
def do_call_later_cancel(loop: asyncio.AbstractEventLoop, count: int) -> Clock:
    async def main() -> None:
        for turn in range(count):
            loop.call_later(3600.0, _never).cancel()
            if not turn % 1_000:
                await asyncio.sleep(0)

    with Clock() as clock:
        loop.run_until_complete(main())
    return clock


@workload("100,000 timers that run", 100_000, timers=True)
def do_timers_run(loop: asyncio.AbstractEventLoop, count: int) -> Clock:
    # All are due before the last is made, so that nobody sleeps.
    delays = _delays(count, 0.0, 0.005)
    seen: list[int] = []

    def run(number: int) -> None:
        seen.append(number)
        if len(seen) == count:
            loop.stop()

    with Clock() as clock:
        for number, delay in enumerate(delays):
            loop.call_later(delay, run, number)
        loop.run_forever()
    expect(sorted(seen), list(range(count)), "timers that ran")
    _in_order(loop)
    return clock


def _in_order(loop: asyncio.AbstractEventLoop) -> None:
    """Neither before their time, nor in another order than that of their times; not at all if they were cancelled."""
    seen: list[tuple[int, float]] = []
    begin = loop.time()
    waits = (0.012, 0.003, 0.021, 0.006, 0.0)

    def run(number: int) -> None:
        seen.append((number, loop.time() - begin))

    made = [loop.call_later(wait, run, number) for number, wait in enumerate(waits)]
    made[3].cancel()
    loop.call_at(begin + 0.03, loop.stop)
    loop.run_forever()
    expect([number for number, _ in seen], [4, 1, 0, 2], "order of timers")
    # A millisecond is what uvloop's and others' timers are rounded to: too early by less is not held against them.
    early = [number for number, after in seen if after < waits[number] - 0.0011]
    expect(early, [], "timers that ran before their time")


@workload("timers held: made, then cancelled in another order", 50_000, timers=True)
def do_timers_held(loop: asyncio.AbstractEventLoop, count: int) -> Clock:
    delays = _delays(count, 3600.0, 7200.0)
    order = list(range(count))
    random.Random(3).shuffle(order)

    async def main() -> None:
        made = [loop.call_later(delay, _never) for delay in delays]
        await asyncio.sleep(0)
        for number in order:
            made[number].cancel()
        await asyncio.sleep(0)

    with Clock() as clock:
        loop.run_until_complete(main())
    return clock


@workload(f"timers churned: one more and one less of {HELD:,} held", 20_000, timers=True)
def do_timers_churned(loop: asyncio.AbstractEventLoop, count: int) -> Clock:
    held = min(HELD, 5 * count)
    delays = _delays(held + count, 3600.0, 7200.0)
    handles: list[asyncio.TimerHandle] = []

    async def main(made: Sequence[float]) -> None:
        for turn, delay in enumerate(made):
            handles[turn].cancel()
            handles[turn] = loop.call_later(delay, _never)
            if not turn % 1_000:
                await asyncio.sleep(0)

    handles.extend(loop.call_later(delay, _never) for delay in delays[count:])
    loop.run_until_complete(asyncio.sleep(0))
    with Clock() as clock:
        loop.run_until_complete(main(delays[:count]))
    expect(sum(handle.cancelled() for handle in handles), 0, "timers that are cancelled")
    for handle in handles:
        handle.cancel()
    return clock
