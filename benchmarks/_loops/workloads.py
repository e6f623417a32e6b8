"""Scheduling and timer rows: what a side's process does for each, and what is checked of it.

Theory of operation. A workload is handed a fresh loop and a count, does so many operations on it, and gives the wall
and processor time of one of them; getting ready, and tidying up, lie outside of the clock. It looks at what came out of
it and raises WrongError if callbacks were lost, came twice or in another order than the documented one: a loop that
does less is not a faster one. Callbacks are Python functions, as they are in programs, and the cost of calling them is
part of every figure, the same for all.

Most rows are judged by processor time, which a busy neighbour does not change. Those in which other threads have a
part are judged by wall time, for what they cost is mostly waiting for one another, and may use all CPUs.
"""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


class WrongError(Exception):
    """A loop did not do what it was asked for."""


class Clock:
    """Wall and processor time of a block."""

    wall = 0.0
    cpu = 0.0

    def __enter__(self) -> Self:
        gc.collect()
        self.wall, self.cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.cpu = time.process_time() - self.cpu
        self.wall = time.perf_counter() - self.wall


@dataclass(frozen=True)
class Workload:
    """A row."""

    key: str
    title: str
    count: int
    """Operations in a round: some 10 to 100 ms of them on asyncio's loop."""
    do: Callable[[Any, int], Clock]
    """Takes a fresh loop (or what makes one) and the count."""
    timers: bool = False
    threads: bool = False
    """Others have a part in it: judged by wall time, on all CPUs."""
    makes_loops: bool = False
    """Takes what makes a loop, not a loop."""

    @property
    def judged(self) -> str:
        return "wall" if self.threads else "cpu"


WORKLOADS: dict[str, Workload] = {}


def workload(title: str, count: int, **more: bool) -> Callable[[Callable[[Any, int], Clock]], Any]:
    """Make a row of a function; its name, less the prefix, is the row's key."""

    def register(do: Callable[[Any, int], Clock]) -> Any:
        key = do.__name__.removeprefix("do_").replace("_", "-")
        WORKLOADS[key] = Workload(key, title, count, do, **more)
        return do

    return register


def expect(found: object, right: object, what: str) -> None:
    """WrongError unless they are the same."""
    if found != right:
        raise WrongError(f"{what}: {_short(found)} where {_short(right)} is right")


def _short(thing: object) -> str:
    text = repr(thing)
    return text if len(text) < 60 else text[:56] + " ..."


def clean(loop: asyncio.AbstractEventLoop) -> None:
    """End its threads, and close it."""
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
