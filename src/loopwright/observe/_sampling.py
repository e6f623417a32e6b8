"""Looking at what a process uses, again and again."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from loopwright.observe._threshold import BELOW, State, Threshold, step
from loopwright.observe._usage import Usage, UsageReader, usage_between

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from loopwright.observe._usage import Reading

__all__ = ["UsageEvent", "look", "sample", "thresholds_for"]

What = Literal["memory", "cpu"]


@dataclass(frozen=True, slots=True)
class UsageEvent:
    """A process has used more than a limit, for as long as was asked."""

    pid: int
    what: What
    """Which limit it was."""
    value: float
    """What it used: bytes, or percent of one processor."""
    limit: float
    """The limit, in the same unit."""
    usage: Usage
    """The whole of the last look."""

    def __str__(self) -> str:
        if self.what == "memory":
            return f"process {self.pid} uses {self.value / 2**20:.1f} MiB of memory, above {self.limit / 2**20:.1f} MiB"
        return f"process {self.pid} uses {self.value:.0f} % of a processor, above {self.limit:g} %"


def thresholds_for(
    memory: float | None, cpu: float | None, for_: float, calm: float, interval: float
) -> dict[What, Threshold]:
    """The thresholds that these arguments of `when_above()` ask for; TypeError or ValueError for what cannot be."""
    if memory is None and cpu is None:
        raise TypeError("when_above() needs memory=, in bytes, or cpu=, in percent of one processor, or both")
    if not 0 < interval < float("inf"):
        raise ValueError(f"interval must be a number of seconds above 0, not {interval!r}")
    wanted: tuple[tuple[What, float | None], ...] = (("memory", memory), ("cpu", cpu))
    return {what: Threshold(limit, for_, calm) for what, limit in wanted if limit is not None}


async def look(reader: UsageReader, *, tree: bool) -> Reading | None:
    """One look; that at a tree in a thread, for it takes milliseconds, which the loop should not stand still for."""
    return await asyncio.to_thread(reader.read, tree=True) if tree else reader.read(tree=False)


async def sample(
    reader: UsageReader,
    thresholds: Mapping[What, Threshold],
    interval: float,
    *,
    tree: bool,
    alive: Callable[[], bool],
    tell: Callable[[UsageEvent], object],
) -> None:
    """Look every `interval` seconds until the process is gone. PermissionError if it may not be seen any more."""
    states: dict[What, State] = dict.fromkeys(thresholds, BELOW)
    before: Reading | None = None
    while True:
        after = await look(reader, tree=tree)
        # Asked after the look: what was alive then had its pid to itself all the while.
        if after is None or not alive():
            return
        usage = usage_between(after if before is None else before, after)
        for what, threshold in thresholds.items():
            if what == "cpu" and before is None:
                continue  # processor time is a difference
            value = usage.memory if what == "memory" else usage.cpu
            states[what], alarm = step(threshold, states[what], after.at, value)
            if alarm:
                tell(UsageEvent(reader.pid, what, value, threshold.limit, usage))
        before = after
        took = time.monotonic() - after.at
        # A tree so large that a look takes longer than the interval has half of a thread's time, and no more.
        await asyncio.sleep(max(interval - took, took))
