"""What the contract suite of task schedulers plays on: a loop with a scheduler, and tasks that say when they had a
step."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any, TypeVar

from loopwright.loops import schedule
from loopwright.testing._leaks import LeakCheck

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from loopwright.loops import TaskScheduler

__all__ = ["LIMIT", "SchedulerTests", "Stage", "spin"]

T = TypeVar("T")

#: Longer than any test takes on a machine under load; what waits longer waits in vain. Seconds.
LIMIT = 30.0


def spin(seconds: float) -> None:
    """Use so much of the CPU, as a step that computes something does."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


class Stage:
    """One loop, and a log."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.log: list[Any] = []

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop; AssertionError if it takes longer than any should."""
        main = self.loop.create_task(coroutine)
        late = self.loop.call_later(LIMIT, main.cancel)
        try:
            return self.loop.run_until_complete(main)
        except asyncio.CancelledError:
            raise AssertionError(f"still waiting after {LIMIT:g} s for what should have happened") from None
        finally:
            late.cancel()

    async def stepping(self, name: Any, steps: int = 1) -> None:
        """A task's work: write its name into the log at every step."""
        for _ in range(steps - 1):
            self.log.append(name)
            await asyncio.sleep(0)
        self.log.append(name)

    def task(self, name: Any, steps: int = 1) -> asyncio.Task[None]:
        return asyncio.ensure_future(self.stepping(name, steps), loop=self.loop)


class SchedulerTests:
    """Makes loops for tests; see `TaskSchedulerContract`."""

    def make_loop(self) -> asyncio.AbstractEventLoop:
        """A new loop, of the kind that is to be tested."""
        return asyncio.SelectorEventLoop()

    def set_scheduler(
        self, loop: asyncio.AbstractEventLoop, scheduler: str | TaskScheduler | None, max_tasks: int | None = None
    ) -> None:
        """Give the loop a scheduler: `loopwright.loops.schedule()` unless you say otherwise."""
        schedule(loop, scheduler, max_tasks)

    @contextlib.contextmanager
    def stage(self, scheduler: str | TaskScheduler | None, max_tasks: int | None = None) -> Iterator[Stage]:
        with LeakCheck():
            loop = self.make_loop()
            try:
                self.set_scheduler(loop, scheduler, max_tasks)
                yield Stage(loop)
            finally:
                loop.close()
