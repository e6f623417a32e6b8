"""A child process, held by the event loop that started it."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import TYPE_CHECKING

from loopwright._core import StatusLost
from loopwright.errors import ProcessTimeoutError, WrongLoopError
from loopwright.process import _proc
from loopwright.process._ending import Ending
from loopwright.process._exchange import Talk, read_before
from loopwright.process._options import check_seconds
from loopwright.process._outlet import Outlet
from loopwright.process._output import Lines, sources
from loopwright.process._pipes import WritePipe, let_all_go
from loopwright.process._signalled import Signalled
from loopwright.process._standing import NOT_KEPT
from loopwright.process._streams import set_terminal_size
from loopwright.process._words import command_words

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Any, Self

    from loopwright._core import ExitStatus
    from loopwright._spawning import Child, Command
    from loopwright.process._ended import Ended
    from loopwright.process._guarantee import Guarantee
    from loopwright.process._pipes import ReadPipe
    from loopwright.process._standing import Kept
    from loopwright.process._streams import NoStreams, Streams
    from loopwright.process._text import TextMode

__all__ = ["Process"]


class Process(Signalled):
    """A child process started by `spawn()`.

    `wait()` and the streams belong to the loop on which it was started; sending signals works from any thread. Its pid
    cannot come to mean another process while this object says it is running: what the kernel would reuse is kept until
    the exit was reported here.

        async with await spawn(["make", "-j2"]) as process:
            status = await process.wait()

    As a context manager it never leaves the process running: if it has not ended when the block does, it is killed (by
    SIGKILL, at once) and waited for, with all that it started; also when the block is left by an exception or a
    cancellation. See `end()`, and `guarantee` for how far that reaches.
    """

    __slots__ = (
        "__weakref__",
        "_changed_at",
        "_ended",
        "_ended_at",
        "_kept",
        "_loop",
        "_pieces",
        "_pipes",
        "_stderr",
        "_stdout",
        "_talk",
        "_text_mode",
        "_tree",
        "_waiters",
        "args",
        "stdin",
    )

    def __init__(
        self,
        child: Child,
        args: Command,
        loop: asyncio.AbstractEventLoop,
        streams: Streams | NoStreams,
        kept: Kept,
        mode: TextMode | None,
    ) -> None:
        self._child = child
        self._loop = loop
        self._ended: asyncio.Future[ExitStatus | StatusLost] = loop.create_future()
        self._pipes: Sequence[Outlet | ReadPipe | WritePipe] = streams.ours
        self._text_mode = mode
        self._kept = kept
        # Made when they are first needed: most processes are only waited for, and there may be very many.
        self._tree: Ending | None = None
        self._talk: Talk | None = None
        self._pieces: dict[str, deque[Any]] | None = None
        #: On the clock since boot, in nanoseconds.
        self._ended_at: int | None = None
        #: When it was last known to have begun or ended, on the monotonic clock: older looks at its tree are no use.
        self._changed_at = time.monotonic()
        self._waiters: list[asyncio.Future[None]] | None = None
        self.args = args
        """What it was started with."""
        self.stdin: asyncio.StreamWriter | None = streams.stdin
        """Where to write its input, with `stdin=PIPE`; else None."""
        #: Of outlets streams are made when they are asked for.
        self._stdout: Any = streams.stdout
        self._stderr: Any = streams.stderr

    def __repr__(self) -> str:
        state = "running" if self.status is None else str(self.status)
        return f"<Process {self.pid} {self.args!r}: {state}>"

    @property
    def stdout(self) -> asyncio.StreamReader | None:
        """Where to read its output, with `stdout=PIPE`; else None.

        It is read from when this is first asked for, or the process has ended; until then it can write what a pipe
        holds, 64 KiB (pipe(7)).
        """
        if type(self._stdout) is Outlet:
            self._stdout = self._stdout.reader()
        return self._stdout  # type: ignore[no-any-return]

    @property
    def stderr(self) -> asyncio.StreamReader | None:
        """Where to read its errors, with `stderr=PIPE`; else None. As `stdout`."""
        if type(self._stderr) is Outlet:
            self._stderr = self._stderr.reader()
        return self._stderr  # type: ignore[no-any-return]

    @property
    def pid(self) -> int:
        """Its process id, also after it ended."""
        return self._child.pid

    @property
    def status(self) -> ExitStatus | StatusLost | None:
        """How it ended; None while it runs, as far as was heard. A short one may have ended when `spawn()` returns."""
        if self._ended.done():
            return self._ended.result()
        return self._child.status if self._child.reaped else None  # by the reaper, for no loop hears of it

    @property
    def returncode(self) -> int | None:
        """As `subprocess.Popen.returncode`: None while it runs, the exit code, or minus the signal's number."""
        return None if self.status is None else self.status.returncode

    async def wait(self, timeout: float | None = None) -> ExitStatus | StatusLost:
        """Wait until it has ended, and say how; at once if it has.

        Ends when the process does, not when the last descendant that holds one of its pipes does. Any number of tasks
        may wait; cancelling one leaves the process and the others alone, and so does a `timeout` (seconds), after which
        ProcessTimeoutError is raised, a TimeoutError. WrongLoopError on another loop.
        """
        if timeout is None:
            if asyncio.get_running_loop() is not self._loop:
                self._check_loop("wait for")
            if not self._ended.done():
                # A future of its own, not a shield over the shared one, which would cost a pass of the loop more.
                waiter = self._loop.create_future()
                if self._waiters is None:
                    self._waiters = []
                self._waiters.append(waiter)
                try:
                    await waiter
                except BaseException:
                    # Whoever waits in vain again and again, a little each time, must not pile up here.
                    if self._waiters is not None:
                        self._waiters.remove(waiter)
                    raise
            return self._ended.result()
        self._check_loop("wait for")
        check_seconds("timeout", timeout)
        if not (await asyncio.wait([self._ended], timeout=timeout))[0]:
            raise ProcessTimeoutError(
                f"`{command_words(self.args)}` (process {self.pid}) still ran after {timeout:g} s", self.args, timeout
            )
        return self._ended.result()

    async def communicate(
        self,
        input: bytes | str | None = None,  # noqa: A002 - asyncio's name
        timeout: float | None = None,
        *,
        linger: float | None = None,
    ) -> tuple[Any, Any]:
        """Write `input` to its input and close that, read its output and errors to their ends, wait until it has ended.

        Gives (output, errors): bytes, or str in text mode; None for a stream that is not a PIPE. An input that the
        process stops reading is not an error.

        A stream ends when nobody holds the pipe any more, which may be long after the process if a descendant got it.
        With `linger`, that is waited for no longer than so many seconds after the process has ended; what came until
        then is given.

        After `timeout` seconds ProcessTimeoutError is raised, with what was read so far. Neither by that nor by a
        cancellation anything is lost: the process goes on, and so does the next `communicate()`, which takes no input.

        ValueError if there is `input` and no `stdin=PIPE`; TextModeError, a TypeError, if it is bytes in text mode or
        str otherwise; UnicodeDecodeError for output that is not in the encoding. WrongLoopError on another loop.
        """
        self._check_loop("communicate with")
        if self._talk is None:
            outlet = self._stdout if input is None and timeout is None and linger is None else None
            if type(outlet) is Outlet and len(self._pipes) == 1 and self._text_mode is None and outlet.is_untouched:
                # Output alone, as bytes: so common that all that Talk can do would cost as much as waiting for its end.
                try:
                    return await outlet.collect(self), None
                except BaseException:
                    self._talk = Talk(read_before(self, "stdout", outlet.collected()))
                    raise
            self._talk = Talk()
        return await self._talk.communicate(self, input, timeout, linger)

    def lines(self, *streams: str) -> Lines[Any]:
        """The lines of its output, as they come: `async for line in process.lines()`.

        Of its errors with `lines("stderr")`, of both, as they come, with `lines("stdout", "stderr")`; each line knows
        its `stream`. (For both in the exact order in which they were written, start it with `stderr=STDOUT`.) A line
        is bytes without its `\\n`; in text mode a str, and `\\r\\n` and `\\r` end a line too. One that is longer than
        65,536 bytes, or characters, comes in pieces, each but the last `continued`. No more is read than is asked for:
        a process whose lines nobody takes is stopped by its full pipe.

        ValueError for a stream that is not a PIPE, or none; WrongLoopError, from the iteration, on another loop.
        """
        if self._pieces is None:
            self._pieces = {}
        return Lines(sources(self, streams, self._pieces), lambda: self._check_loop("read the lines of"))

    def _when_ended(self, callback: Callable[[], object]) -> Callable[[], object]:
        """Have its loop call back once when it has ended, soon if it has; gives what takes that back."""

        def call(_: object) -> None:
            callback()

        self._ended.add_done_callback(call)
        return lambda: self._ended.remove_done_callback(call)

    @property
    def guarantee(self) -> Guarantee:
        """What can be promised, now, about its end and that of all that it starts. It falls when a keeper is lost.

        From any thread.
        """
        return self._endings().guarantee

    async def end(self, grace: float = 5.0, signal: int = signal.SIGTERM) -> Ended:
        """End it and everything that it started, and say what became of that.

        All of the tree are sent `signal`; what still runs after `grace` seconds is stopped, so that nothing forks on,
        and killed (SIGKILL). With a `grace` of 0, or SIGKILL, nobody is asked. How far it reaches is `guarantee`'s to
        say; the answer (`Ended`) has what could not be ended, or not be proved to have ended, in `left`. Nothing that
        does not belong to the tree is signalled: each process is known by its pid and start time, and a group number
        that may have come to mean another group is not used.

        Works after the process itself has ended, and any number of times, at the same time too: the shortest grace
        period holds. If a caller is cancelled, the grace period is over at once, and the cancellation is raised when
        all has ended. What does not die of SIGKILL within 10 s is named, and not waited for any longer.

        WrongLoopError on another loop; TypeError for a grace period, ValueError for a signal, that is none.
        """
        self._check_loop("end")
        return await self._endings().end(grace, signal)

    def signal_tree(self, number: int) -> bool:
        """Send a signal to everything of its tree that can be found; False if there is nothing. See `end()`.

        PermissionError if none of them may be signalled (kill(2)). WrongLoopError on another loop.
        """
        self._check_loop("signal the tree of")
        return self._endings().signal(number)

    def tree_members(self) -> tuple[int, ...]:
        """The pids of its tree that have not ended: what a look at /proc (some milliseconds) sees now."""
        self._check_loop("look at the tree of")
        return self._endings().members()

    async def wait_tree(self) -> None:
        """Wait until nothing of its tree runs any more, itself included. It is looked at every 0.1 s at least."""
        self._check_loop("wait for the tree of")
        await self._endings().wait()

    def resize_terminal(self, rows: int, columns: int) -> None:
        """Change the size of the terminal that it was started on (`pty=`); the programs there get SIGWINCH.

        ValueError if it was started on none, or both sides are closed.
        """
        numbers = [number for pipe in self._pipes if (number := pipe.get_extra_info("fileno", -1)) >= 0]
        if not numbers or not os.isatty(numbers[0]):
            raise ValueError(f"process {self.pid} is on no terminal of ours: start it with pty=True for that")
        set_terminal_size(numbers[0], rows, columns)

    def _endings(self) -> Ending:
        if self._tree is None:
            ended_at = None if self._ended_at is None else _proc.as_ticks(self._ended_at)
            self._tree = Ending(self._child, self._ended, self._kept, ended_at)
            self._tree.changed_at = self._changed_at
        return self._tree

    async def __aenter__(self) -> Self:
        self._check_loop("use")
        # So that its group can still be killed at the end of the block if it has ended itself by then.
        self._child.hold()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._endings().may_leave_something:
                await self.end(grace=0.0)
        finally:
            self._child.release()
            let_all_go(self._pipes)

    def _check_loop(self, verb: str) -> None:
        running = asyncio.get_running_loop()
        if running is not self._loop:
            raise WrongLoopError(
                f"cannot {verb} process {self.pid} here: it was started on {self._loop!r}, "
                f"and this is {running!r}; use asyncio.run_coroutine_threadsafe() to go there"
            )

    def _on_exit(self, status: ExitStatus | StatusLost) -> None:
        self._note_end(status)
        self._see_to_pipes()

    def _note_end(self, status: ExitStatus | StatusLost) -> None:
        """Done again if KeyboardInterrupt came in the middle of it."""
        if not self._ended.done():
            if not isinstance(status, StatusLost):
                self._ended_at = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            self._changed_at = time.monotonic()
            self._ended.set_result(status)
        for waiter in self._waiters or ():
            if not waiter.done():
                waiter.set_result(None)
        self._waiters = None
        if self._tree is not None:
            self._tree.note_exit(status)
        elif self._kept is not NOT_KEPT:
            self._kept.close()

    def _see_to_pipes(self) -> None:
        for pipe in self._pipes:
            pipe.process_ended()
