"""The queue of `_asyncio_ready.py` for shares of the loop, which have to be told what each callback cost."""

from __future__ import annotations

from time import thread_time
from typing import TYPE_CHECKING, Any

from loopwright._core import Shares
from loopwright.loops._asyncio_ready import NOTHING, ReadyQueue

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterable

    from loopwright._core import TaskScheduler
    from loopwright.loops._limit import TaskLimit

__all__ = ["AccountedReadyQueue"]


class AccountedReadyQueue(ReadyQueue):
    """One that tells `Shares` what each callback cost, from the end of `popleft()` to the next."""

    __slots__ = ("_charge", "_clock")

    _steps: Shares

    def __init__(
        self,
        loop: Any,
        inbox: deque[Any],
        plain: Iterable[Any],
        steps: Shares,
        scheduler: TaskScheduler,
        limit: TaskLimit | None,
    ) -> None:
        super().__init__(loop, inbox, plain, steps, scheduler, limit)
        self._charge = steps.charge
        self._clock = 0.0

    def _begin(self) -> int:
        if self._left > 0 or self._steps.charged:  # a pass that was broken off: what it cost nobody measured
            self._steps.mend()
        self._left = 1  # should this be broken off
        length = super()._begin()
        self._clock = thread_time()
        return length

    def popleft(self) -> Any:
        clock = thread_time()
        self._charge(clock - self._clock)
        self._clock = clock
        handle = ReadyQueue.popleft(self)  # super() is dearer, and this is the hottest line
        if self._held is not None:
            self._charge(0.0)  # the step that was chosen is not what runs first
        if handle is not NOTHING and not self._steps.charged:
            self._steps.begin(handle._context)
        return handle
