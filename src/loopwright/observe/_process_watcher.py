"""Watching a process: is it alive, how did it end, what did it print, and does it use too much.

Theory of operation. One task a watcher waits for the end (the target's `ended()`), one reads the output of a process
that the watcher started, and one samples for each `when_above()`. All end with the process or with `close()`. Whether a
sample belongs to this process, and not to a later one of the same pid, is decided by asking *after* it was taken
whether the process is alive: a pid is not given to another before its process has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from typing import TYPE_CHECKING, Any

from loopwright._core import helper
from loopwright.errors import CallerError, WatcherClosedError, WatcherStartError
from loopwright.observe._events import Events
from loopwright.observe._handlers import Handler, Handlers, check_callable, optional_handler
from loopwright.observe._output import Output, OutputEvent
from loopwright.observe._target import OwnTarget, Target, target_for
from loopwright.observe._usages import Usages
from loopwright.process import PIPE, STDOUT, Process, spawn

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Coroutine, Sequence
    from types import TracebackType
    from typing import Self

    from loopwright._core import ExitStatus, StatusLost

__all__ = ["ProcessWatcher"]


class ProcessWatcher(Usages):
    """Watches a process: any process, or one that it starts::

        async with ProcessWatcher(pid) as watcher:
            watcher.when_above(memory=500 * 2**20, callback=warn)
            status = await watcher.wait()

    `target` is a pid (anybody's: no privilege is needed), a `subprocess.Popen`, an `asyncio` process or one of
    `spawn()`'s (both on their loop), or a command (a list, or the name of a program) to start, for which `options` are
    those of `spawn()`. Its output and errors then go to `read_output()`, unless `stdout` or `stderr` say otherwise; of
    what nobody reads the newest `output_limit` bytes are kept.

    A process that the watcher started ends with it, as in `async with await spawn(...)`; others are left alone. The
    watcher belongs to the loop on which it is started; `is_active()` may be asked from any thread, also before.

    Raises NotAProcessError (a TypeError) for another target, NoSuchProcessError (a ProcessLookupError) for a pid that
    names no process. A pid that was reused before it was handed in is a process like any other.
    """

    def __init__(
        self,
        target: int
        | subprocess.Popen[bytes]
        | subprocess.Popen[str]
        | asyncio.subprocess.Process
        | Process
        | str
        | os.PathLike[str]
        | Sequence[str | bytes | os.PathLike[str]],
        *,
        output_limit: int = 1 << 20,
        **options: Any,
    ) -> None:
        if output_limit < 1:
            raise ValueError(f"output_limit must be a number of bytes, 1 or more, not {output_limit!r}")
        super().__init__()
        self._command: Any = None
        self._target: Target | None = None
        if isinstance(target, (str, bytes, os.PathLike, list, tuple)):
            self._command = target
            self._options = {"stdout": PIPE, "stderr": STDOUT, **options}
        else:
            self._target = target_for(target)
            if options:
                raise TypeError(f"{', '.join(options)}: only for a command to start, and {target!r} runs already")
        self._output = Output(output_limit)
        self._process: Process | None = None
        self._block = contextlib.AsyncExitStack()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Future[ExitStatus | StatusLost] | None = None
        self._handlers: Handlers | None = None
        self._on_exit: list[Handler] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._reading: asyncio.Task[None] | None = None
        self._closed = False

    def __repr__(self) -> str:
        what = repr(self._command) if self._target is None else f"process {self._target.pid}"
        if self.status is not None:
            state = str(self.status)
        else:
            state = "closed" if self._closed else "not started" if self._loop is None else "running"
        return f"<ProcessWatcher {what}: {state}>"

    @property
    def pid(self) -> int | None:
        """The pid of the process; None for a command that was not started."""
        return None if self._target is None else self._target.pid

    @property
    def process(self) -> Process | None:
        """The process that the watcher started; None if it did not."""
        return self._process

    @property
    def status(self) -> ExitStatus | StatusLost | None:
        """How it ended, once the watcher's loop has heard of it; None before, and of what was never heard."""
        ended = self._ended
        return ended.result() if ended is not None and ended.done() and ended.exception() is None else None

    @property
    def output_dropped(self) -> int:
        """How many bytes of output were given up because nobody read them."""
        return self._output.dropped

    def is_active(self) -> bool:
        """Whether the process is alive: it was started, and has not ended. A zombie is not alive. Any thread."""
        target = self._target
        return target is not None and self.status is None and target.alive()

    async def start(self) -> Self:
        """Start the command, or begin to watch the process; gives the watcher.

        Raises what `spawn()` raises; NoSuchProcessError if the process was gone by now; WatcherStartError if it was
        started before, WatcherClosedError after `close()`.
        """
        self._check_open()
        if self._loop is not None:
            raise WatcherStartError(f"{self!r} was started already; make another ProcessWatcher for another process")
        self._loop = asyncio.get_running_loop()
        try:
            if self._target is None:
                self._process = await spawn(self._command, **self._options)
                self._target = OwnTarget(self._process)
                await self._block.enter_async_context(self._process)
            self._target.attach()
            stdout = None if self._process is None else self._process.stdout
        except BaseException as error:
            await self._abandon_start(error)
            raise
        self._handlers = Handlers(self._loop)
        self._ended = self._loop.create_future()
        self._run(self._watch(self._target, self._ended)).add_done_callback(self._let_go)
        if stdout is not None:
            self._reading = self._run(self._output.read_from(stdout))
            self._reading.add_done_callback(lambda _: self._output.end())
        else:
            self._output.end()
        if self._closed:  # while it was being started
            await self.wait_closed()
            self._check_open()
        return self

    async def wait(self) -> ExitStatus | StatusLost:
        """Wait until the process has ended, and say how; at once if it has. Any number of tasks may wait.

        For a process that is no child of this program the answer is a StatusLost, since nobody but its parent is told.
        WatcherStartError before `start()`, WatcherClosedError if the watcher is closed first, or its task is cancelled
        by somebody who cancels every task there is.
        """
        return await asyncio.shield(self._started())

    def add_exit_callback(self, callback: Callable[..., object], *args: Any) -> None:
        """Have `callback(pid, status, *args)` called when the process has ended; soon if it has.

        A function or a coroutine function, called in the context (contextvars) of this call, on the watcher's loop. One
        that raises meets the loop's exception handler. Also before `start()`.
        """
        check_callable(callback, "an exit callback")
        self._check_open()
        handler = Handler(callback, *args)
        if (status := self.status) is not None:
            self._call(handler, self.pid, status)
        else:
            self._on_exit.append(handler)

    def remove_exit_callback(self, callback: Callable[..., object]) -> bool:
        """Forget that callback, each time it was added: True if there was one that now will not be called."""
        before = len(self._on_exit)
        self._on_exit = [handler for handler in self._on_exit if handler.callback != callback]
        return len(self._on_exit) < before

    async def read_output(self) -> str:
        """What the process printed since the last call, waiting until there is something; empty at the end.

        For a process that the watcher started. Bytes that are not UTF-8 come as `\\xNN`. The end is when nothing has
        its output open any more, which may be after it ended, if it left a child; or when the watcher is closed.
        CallerError for a process that something else started.
        """
        self._check_output()
        self._started()
        return await self._output.read()

    def when_output(
        self, pattern: str | re.Pattern[str], *, callback: Callable[[OutputEvent], object] | None = None
    ) -> Events[OutputEvent]:
        """Be told of every line, from now on, in which a regular expression is found.

        By `callback(event)`, as with `add_exit_callback()`, by iterating over what this gives, or both. Reads nothing
        away from `read_output()`. CallerError for a process that something else started.
        """
        self._check_open()
        self._check_output()
        handler = optional_handler(callback)

        def tell(line: str, match: re.Match[str]) -> None:
            self._publish(events, OutputEvent(self.pid or 0, line, match), handler)

        events = self._output.matches(re.compile(pattern), tell)
        return events

    async def __aenter__(self) -> Self:
        if self._loop is None:
            await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        await self.wait_closed()

    def close(self) -> None:
        """Watch no more: what happens from now on is not told, and who waits gets WatcherClosedError. Idempotent.

        A process that the watcher started is killed (SIGKILL); `wait_closed()` waits for its end.
        """
        self._closed = True
        self._on_exit.clear()
        for task in filter(None, (*self._samplings, self._reading)):
            task.cancel()
        self._output.end()
        if self._process is not None:
            self._process.kill()
        else:
            self._give_up("was closed before the process ended")
            for task in self._tasks:
                task.cancel()

    async def wait_closed(self) -> None:
        """Wait until everything has come to its end: what it started, after `close()`, and handlers that still run."""
        if self._closed:
            await self._block.aclose()
        current = asyncio.current_task()
        while left := [task for task in self._tasks if task is not current]:
            await asyncio.wait(left)
        if self._handlers is not None:
            await self._handlers.finish()

    # --- underneath

    async def _abandon_start(self, error: BaseException) -> None:
        """Leave nothing of a start that failed, so that it may be tried again."""
        self._loop = None
        if self._target is not None:
            self._target.detach()
        if self._command is not None:
            self._process = self._target = None
        self._output.not_begun(f"{self!r}: its start failed: {error!r}")
        await self._block.aclose()  # kills it, if it had begun

    async def _watch(self, target: Target, ended: asyncio.Future[ExitStatus | StatusLost]) -> None:
        try:
            status = await target.ended()
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to those who wait
            if not ended.done():
                ended.set_exception(error)
            return
        ended.set_result(status)
        for task in self._samplings:
            task.cancel()
        handlers, self._on_exit = self._on_exit, []
        for handler in handlers:
            self._call(handler, target.pid, status)

    def _let_go(self, _: asyncio.Task[None]) -> None:
        # Not in the task, which never runs if it is cancelled before its first step.
        if self._target is not None:
            self._target.detach()
        self._give_up("was cancelled, by whoever cancelled its task, before the process ended")

    def _give_up(self, why: str) -> None:
        """Whoever waits for an end that is not known yet will not be told of it."""
        if self._ended is not None and not self._ended.done():
            self._ended.set_exception(WatcherClosedError(f"{self!r} {why}"))
            self._ended.exception()  # nobody need have waited

    def _publish(self, events: Events[Any], event: object, handler: Handler | None) -> None:
        events._put(event)
        if handler is not None:
            self._call(handler, event)

    def _call(self, handler: Handler, *args: Any) -> None:
        if self._handlers is not None and not self._closed:
            self._handlers.call(handler, *args)

    def _run(self, main: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(helper(main))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _started(self) -> asyncio.Future[ExitStatus | StatusLost]:
        if self._ended is None:
            raise WatcherStartError(f"{self!r}: use `async with` or await its start() first")
        return self._ended

    def _check_open(self) -> None:
        if self._closed:
            raise WatcherClosedError(f"{self!r} is closed; make another")

    def _check_output(self) -> None:
        if self._command is None:
            raise CallerError(f"{self!r} did not start this process, so its output goes elsewhere")
        if self._options["stdout"] != PIPE:
            raise CallerError(f"{self!r} was told to send the output elsewhere (stdout={self._options['stdout']!r})")
