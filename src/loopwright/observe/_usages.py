"""What a process watcher says of memory and processor."""

from __future__ import annotations

import abc
import asyncio
from typing import TYPE_CHECKING, Any

from loopwright.errors import NoSuchProcessError
from loopwright.observe._events import Events
from loopwright.observe._handlers import Handler, optional_handler
from loopwright.observe._sampling import UsageEvent, look, sample, thresholds_for
from loopwright.observe._usage import Usage, UsageReader, usage_between

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from loopwright._core import ExitStatus, StatusLost

__all__ = ["Usages"]


class Usages(abc.ABC):
    """The part of a ProcessWatcher that looks at what the process uses."""

    _loop: asyncio.AbstractEventLoop | None

    def __init__(self) -> None:
        self._samplings: set[asyncio.Task[None]] = set()

    async def usage(self, *, tree: bool = True, over: float = 0.1) -> Usage:
        """What the process uses now: memory, and processor time during the next `over` seconds, which this takes.

        With `tree` its descendants count too. psutil is loaded at the first call.

        NoSuchProcessError if it has ended; PermissionError, which names the pid, if this program may not see what it
        uses; ValueError for an `over` that is not above 0; WatcherStartError before `start()`, WatcherClosedError after
        `close()`.
        """
        if not 0 < over < float("inf"):
            raise ValueError(f"over must be a number of seconds above 0, not {over!r}")
        self._check_open()
        self._started()
        reader = UsageReader(self.pid or 0)
        before = await look(reader, tree=tree)
        await asyncio.sleep(over)
        after = await look(reader, tree=tree)
        # Asked after the looks: what was alive then had its pid to itself all the while.
        if before is None or after is None or not self.is_active():
            raise NoSuchProcessError(f"process {self.pid} has ended, and uses nothing")
        return usage_between(before, after)

    def when_above(
        self,
        *,
        memory: float | None = None,
        cpu: float | None = None,
        for_: float = 0.0,
        calm: float = 0.9,
        interval: float = 1.0,
        tree: bool = True,
        callback: Callable[[UsageEvent], object] | None = None,
    ) -> Events[UsageEvent]:
        """Be told when the process uses more than `memory` bytes, or more than `cpu` percent of one processor.

        It is looked at every `interval` seconds, or less often if a look takes more than half of that (a tree is read
        in a thread, some 0.1 ms for each process in it); there is an event when it has been above a limit for `for_`
        seconds, and the next one only after it has come down to `calm` times the limit in between. With `tree` its
        descendants count too. Told by `callback(event)`, as with `add_exit_callback()`, by iterating over what this
        gives, or both; that ends with the process. psutil is loaded at the first call.

        PermissionError, which names the pid, if this program may not see what the process uses; if that changes later,
        iterating raises it. ValueError for numbers that cannot be meant; WatcherStartError before `start()`.
        """
        thresholds = thresholds_for(memory, cpu, for_, calm, interval)
        handler = optional_handler(callback)
        self._check_open()
        self._started()
        reader = UsageReader(self.pid or 0)
        events: Events[UsageEvent] = Events(lambda: sampling.cancel())  # noqa: PLW0108 - which there is not yet

        def tell(event: UsageEvent) -> None:
            self._publish(events, event, handler)

        sampling = self._run(sample(reader, thresholds, interval, tree=tree, alive=self.is_active, tell=tell))
        self._samplings.add(sampling)
        sampling.add_done_callback(lambda task: self._sampled(task, events))
        return events

    # --- what it is a part of

    @property
    @abc.abstractmethod
    def pid(self) -> int | None: ...

    @abc.abstractmethod
    def is_active(self) -> bool: ...

    @abc.abstractmethod
    def _started(self) -> asyncio.Future[ExitStatus | StatusLost]: ...

    @abc.abstractmethod
    def _check_open(self) -> None: ...

    @abc.abstractmethod
    def _run(self, main: Coroutine[Any, Any, None]) -> asyncio.Task[None]: ...

    @abc.abstractmethod
    def _publish(self, events: Events[Any], event: object, handler: Handler | None) -> None: ...

    def _sampled(self, task: asyncio.Task[None], events: Events[UsageEvent]) -> None:
        self._samplings.discard(task)
        error = None if task.cancelled() else task.exception()
        events._end(error)
        if error is not None and self._loop is not None:
            message = f"{self!r} cannot see what the process uses any more"
            self._loop.call_exception_handler({"message": message, "exception": error})
