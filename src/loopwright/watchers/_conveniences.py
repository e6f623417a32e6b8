"""What every watcher of ours does for people beyond asyncio's interface: all of it over one way to register."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from typing import TYPE_CHECKING, Any

from loopwright._core import ExitStatus, StatusLost
from loopwright._spawning import child_of
from loopwright.errors import NoLoopError, WatcherClosedError
from loopwright.watchers._base import AbstractChildWatcher
from loopwright.watchers._named import checked_callback, is_coroutine_function, named
from loopwright.watchers._watch import Watch

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Generator
    from typing import Self

    from loopwright.watchers._named import Named, ProcessLike

__all__ = ["Conveniences"]


class Conveniences(AbstractChildWatcher):
    """Mixed into `TableWatcher`, which keeps the tables that are read here."""

    _lock: threading.RLock
    _handlers: dict[int, Watch]
    _followers: dict[int, Watch]
    _listeners: dict[int, list[Watch]]
    _attached: asyncio.AbstractEventLoop | None
    _closed: bool

    def __init__(self) -> None:
        #: Called, on their loops, when nobody is watched any more.
        self._waiting: list[tuple[asyncio.AbstractEventLoop, Callable[[Any], object]]] = []
        #: The event loop keeps only weak references to tasks.
        self._tasks: set[asyncio.Future[Any]] = set()

    def _register(
        self,
        make: Callable[[asyncio.AbstractEventLoop], Watch],
        pid: int,
        known: ExitStatus | StatusLost | None = None,
    ) -> Watch:
        raise NotImplementedError

    def _take(self, watch: Watch | None) -> bool:
        raise NotImplementedError

    def _tell(self, watch: Watch, status: ExitStatus | StatusLost) -> None:
        raise NotImplementedError

    # --- handing children over

    @property
    def children(self) -> tuple[int, ...]:
        """The pids that are watched now, each once. From any thread."""
        with self._lock:
            return tuple({**self._handlers, **self._followers, **self._listeners})

    def add_child(self, process: ProcessLike, callback: Callable[..., object], *args: Any) -> None:
        """Have `callback(pid, returncode, *args)` called once when a child has ended; as `add_child_handler()`, but
        for a process in any form: its pid, a `subprocess.Popen`, a `multiprocessing.Process`, an asyncio process (of
        the loop that is running), one of `loopwright.process`.

        A Popen or multiprocessing process keeps its true `returncode` or `exitcode`. A process that has been waited
        for already is reported from what its object says, whatever its pid means by now.

        If `callback` is a coroutine function, what it gives runs as a task on the loop; one that raises meets the
        loop's exception handler.
        """
        self._add(named(process), callback, args)

    def attach_process(self, process: ProcessLike) -> None:
        """Watch a child, in the forms that `add_child()` takes, without a callback: it is among the `children`,
        `wait()` waits for it, and it is reaped. A callback that is registered for it already stays.
        """
        who = named(process)
        with self._lock:
            if who.pid not in self._handlers and who.pid not in self._followers:
                self._add(who, _nothing, ())

    async def watch(self, process: ProcessLike) -> ExitStatus | StatusLost:
        """Wait until a child, in the forms that `add_child()` takes, has ended, and say how.

        Independent of any callback registered for it, and of others who wait. Being cancelled leaves the child alone.
        WatcherClosedError if the watcher is closed before the child has ended.
        """
        who = named(process)
        if who.followed:
            return ExitStatus.from_returncode(await who.owner.wait())
        ended: asyncio.Future[ExitStatus | StatusLost] = asyncio.get_running_loop().create_future()

        def tell(status: ExitStatus | StatusLost | None) -> None:
            if ended.done():
                return
            if status is None:
                error = WatcherClosedError(f"{type(self).__name__} was closed before process {who.pid} had ended")
                ended.set_exception(error)
            else:
                ended.set_result(status)

        def make(loop: asyncio.AbstractEventLoop) -> Watch:
            return Watch(who.pid, loop, tell, None, child=_ledgers(who), owner=who.owner)

        watch = self._register(make, who.pid, who.known)
        try:
            return await ended
        finally:
            with self._lock:
                self._take(watch)

    # --- waiting for all of them

    async def wait(self) -> None:
        """Wait until all watched children have ended and been reported, those added meanwhile included.

        At once if none is watched. `await watcher` does the same.
        """
        done = asyncio.get_running_loop().create_future()

        def tell(_watcher: object) -> None:
            if not done.done():
                done.set_result(None)

        self.add_done_callback(tell)
        try:
            await done
        finally:
            self.remove_done_callback(tell)

    def __await__(self) -> Generator[Any, None, None]:
        return self.wait().__await__()

    def add_done_callback(self, callback: Callable[[Self], object]) -> None:
        """Have `callback(watcher)` called once, when all watched children have ended; soon, if none is watched.

        As with an `asyncio.Future`. On the loop that is running in the calling thread, else on the attached one;
        NoLoopError (a RuntimeError) if there is neither.
        """
        if not callable(callback):
            raise TypeError(f"the callback must be callable, not {callback!r}")
        loop = asyncio._get_running_loop() or self._attached
        if loop is None or loop.is_closed():
            raise NoLoopError(
                "cannot add a callback: no event loop is running in this thread and no open one is attached; "
                "call this from a coroutine or callback, or attach_loop(loop) first"
            )
        with self._lock:
            self._waiting.append((loop, callback))
        self._ended()

    def remove_done_callback(self, callback: Callable[[Self], object]) -> int:
        """Take back all that `add_done_callback()` was given of this callback; gives their number."""
        with self._lock:
            left = [entry for entry in self._waiting if entry[1] != callback]
            removed = len(self._waiting) - len(left)
            self._waiting = left
        return removed

    # --- underneath

    def _add(self, who: Named, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        checked_callback(callback, who.pid)
        if is_coroutine_function(callback):
            callback = functools.partial(self._start_task, callback)

        def make(loop: asyncio.AbstractEventLoop) -> Watch:
            return Watch(who.pid, loop, callback, args, child=_ledgers(who), owner=who.owner)

        self._register(make, who.pid, who.known)

    def _start_task(self, function: Callable[..., Any], *args: Any) -> None:
        loop = asyncio.get_running_loop()
        self._keep(loop.create_task(function(*args)), f"the handler {function!r} of process {args[0]} failed")

    def _keep(self, task: asyncio.Task[Any], headline: str) -> None:
        def done(_task: asyncio.Task[Any]) -> None:
            self._tasks.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                task.get_loop().call_exception_handler({"message": headline, "exception": error, "task": task})

        self._tasks.add(task)
        task.add_done_callback(done)

    def _follow(self, watch: Watch) -> None:
        """On the loop: ask the object that asyncio's own watcher tells of the exit."""

        async def follow() -> None:
            code = await watch.owner.wait()
            watch.armed = None
            self._tell(watch, ExitStatus.from_returncode(code))

        task = watch.loop.create_task(follow())
        watch.armed = task
        self._keep(task, f"cannot tell of the end of process {watch.pid}")

    def _ended(self) -> None:
        """Something may have been the last child: tell who waits for that."""
        if not self._waiting or self._handlers or self._followers or self._listeners:
            return
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for loop, callback in waiting:
            with contextlib.suppress(RuntimeError):  # that loop is closed, and with it whoever waited there
                loop.call_soon_threadsafe(functools.partial(callback, self))

    def _forget_waiters(self) -> None:
        """In a forked child: they are the parent's."""
        self._waiting.clear()
        self._tasks.clear()


def _ledgers(who: Named) -> Any:
    return None if who.followed or who.owner is not None else child_of(who.pid)


def _nothing(*_: object) -> None:
    """For a child that is watched for `wait()` alone."""
