"""A child process, held by the event loop that started it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections import deque
from typing import TYPE_CHECKING

from loopwright.errors import ProcessTimeoutError, WrongLoopError
from loopwright.process._exchange import Talk
from loopwright.process._groups import live_members
from loopwright.process._output import Lines, Source
from loopwright.process._words import command_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType
    from typing import Any, Self

    from loopwright._core import ExitStatus, StatusLost
    from loopwright._spawning import Child, Command
    from loopwright.process._pipes import Pipe
    from loopwright.process._text import TextMode

__all__ = ["Process"]

#: How often a process group is looked at while waiting for it to be empty: soon at first, then more rarely. Seconds.
GROUP_LOOKS = (0.002, 0.005, 0.01, 0.02, 0.05)


#: Seconds that a block waits for a group that was sent SIGKILL.
GROUP_DEATH = 2.0


class Process:
    """A child process started by `spawn()`.

    `wait()` and the streams belong to the loop on which it was started; sending signals works from any thread. Its pid
    cannot come to mean another process while this object says it is running: what the kernel would reuse is kept until
    the exit was reported here.

        async with await spawn(["make", "-j2"]) as process:
            status = await process.wait()

    As a context manager it never leaves the process running: if it has not ended when the block does, it is killed (by
    SIGKILL, at once) and waited for; also when the block is left by an exception or a cancellation. If it leads a
    process group, whatever is left of that is killed too, even if the process itself has ended before.
    """

    _text_mode: TextMode | None = None

    def __init__(
        self,
        child: Child,
        args: Command,
        loop: asyncio.AbstractEventLoop,
        stdin: asyncio.StreamWriter | None,
        stdout: asyncio.StreamReader | None,
        stderr: asyncio.StreamReader | None,
        pipes: Sequence[Pipe],
    ) -> None:
        self._child = child
        self._loop = loop
        self._ended: asyncio.Future[ExitStatus | StatusLost] = loop.create_future()
        self._pipes = tuple(pipes)
        self._block = contextlib.ExitStack()
        self._talk = Talk()
        self._kept: dict[str, deque[Any]] = {}
        self.args = args
        """What it was started with."""
        self.stdin = stdin
        """Where to write its input, with `stdin=PIPE`; else None."""
        self.stdout = stdout
        """Where to read its output, with `stdout=PIPE`; else None."""
        self.stderr = stderr
        """Where to read its errors, with `stderr=PIPE`; else None."""

    def __repr__(self) -> str:
        state = "running" if self.status is None else str(self.status)
        return f"<Process {self.pid} {self.args!r}: {state}>"

    @property
    def pid(self) -> int:
        """Its process id, also after it ended."""
        return self._child.pid

    @property
    def status(self) -> ExitStatus | StatusLost | None:
        """How it ended; None while it runs, as far as its loop has heard."""
        return self._ended.result() if self._ended.done() else None

    @property
    def returncode(self) -> int | None:
        """As `subprocess.Popen.returncode`: None while it runs, the exit code, or minus the signal's number."""
        return None if self.status is None else self.status.returncode

    @property
    def leads_group(self) -> bool:
        """Whether it was started to lead a process group of its own."""
        return self._child.leads_group

    async def wait(self, timeout: float | None = None) -> ExitStatus | StatusLost:
        """Wait until it has ended, and say how; at once if it has.

        Ends when the process does, not when the last descendant that holds one of its pipes does. Any number of tasks
        may wait; cancelling one leaves the process and the others alone, and so does a `timeout` (seconds), after which
        ProcessTimeoutError is raised, a TimeoutError. WrongLoopError on another loop.
        """
        self._check_loop("wait for")
        if timeout is None:
            return await asyncio.shield(self._ended)
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
        return await self._talk.communicate(self, input, timeout, linger)

    def lines(self, *streams: str) -> Lines[Any]:
        """The lines of its output, as they come: `async for line in process.lines()`.

        Of its errors with `lines("stderr")`, of both, as they come, with `lines("stdout", "stderr")`; each line knows
        its `stream`. (For both in the exact order in which they were written, start it with `stderr=STDOUT`.) A line
        is bytes without its `\\n`; in text mode a str, and `\\r\\n` and `\\r` end a line too. One that is longer than
        65,536 bytes, or characters, comes in pieces, each but the last `continued`. No more is read than is asked for:
        a process whose lines nobody takes is stopped by its full pipe.

        ValueError for a stream that is not a PIPE; WrongLoopError, from the iteration, on another loop.
        """
        sources = []
        for name in dict.fromkeys(streams or ("stdout",)):
            stream = getattr(self, name) if name in ("stdout", "stderr") else None
            if stream is None:
                raise ValueError(f"process {self.pid} was started without {name}=PIPE: it has no lines to read there")
            sources.append(Source(name, stream, self._kept.setdefault(name, deque())))
        return Lines(sources, lambda: self._check_loop("read the lines of"))

    def _take_kept(self, name: str) -> list[Any]:
        """What was read of a stream for its lines and not asked for yet. For whoever reads on in another way."""
        kept = self._kept.get(name, deque())
        pieces = [piece[0] for piece in kept if piece is not None]
        kept.clear()
        return pieces

    def _when_ended(self, callback: Callable[[], object]) -> Callable[[], object]:
        """Have its loop call back once when it has ended, soon if it has; gives what takes that back."""

        def call(_: object) -> None:
            callback()

        self._ended.add_done_callback(call)
        return lambda: self._ended.remove_done_callback(call)

    def send_signal(self, number: int) -> bool:
        """Send it a signal; True if it was sent, False if it has ended. Never meets another process of the same pid.

        PermissionError if it runs as somebody this process may not signal (kill(2)).
        """
        return self._child.send_signal(number)

    def terminate(self) -> bool:
        """`send_signal(SIGTERM)`."""
        return self.send_signal(signal.SIGTERM)

    def kill(self) -> bool:
        """`send_signal(SIGKILL)`."""
        return self.send_signal(signal.SIGKILL)

    def signal_group(self, number: int) -> bool:
        """Send a signal to every process in the group it leads; False if there is none left.

        Also after it ended itself, as long as a `hold_group()` is in force. ValueError if it leads no group: start it
        with `start_new_session=True` or `process_group=0` for that.
        """
        return self._child.signal_group(number)

    @contextlib.contextmanager
    def hold_group(self) -> Iterator[None]:
        """Keep the number of its process group its own while the block lasts, even if the process ends meanwhile."""
        self._child.hold()
        try:
            yield
        finally:
            self._child.release()

    def group_members(self) -> tuple[int, ...]:
        """The pids in the process group it leads that have not ended: what a look at /proc sees now."""
        return live_members(self.pid) if self._child.leads_group else ()

    async def wait_group(self) -> None:
        """Wait until nothing in the process group it leads runs any more, itself included.

        The kernel does not tell of that, so it is looked at every 50 ms (more often at first). Processes that have left
        for a group or session of their own are not seen. ValueError if it leads no group.
        """
        if not self._child.leads_group:
            raise ValueError(f"process {self.pid} leads no process group of its own")
        await self.wait()
        look = 0
        while self.group_members():
            await asyncio.sleep(GROUP_LOOKS[min(look, len(GROUP_LOOKS) - 1)])
            look += 1

    async def __aenter__(self) -> Self:
        self._check_loop("use")
        # So that its group can still be killed at the end of the block if it has ended itself by then.
        self._block.enter_context(self.hold_group())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._block:
            if self._child.leads_group:
                self._child.signal_group(signal.SIGKILL)
            self._child.send_signal(signal.SIGKILL)
        for pipe in self._pipes:
            pipe.close()
        await _all_done(self._ended, *(pipe.closed for pipe in self._pipes))
        if self.group_members():
            await _all_done(asyncio.ensure_future(self._group_dies()))

    async def _group_dies(self) -> None:
        """SIGKILL was sent to all of the group: it takes a moment, unless one hangs in the kernel."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GROUP_DEATH):
                await self.wait_group()

    def _check_loop(self, verb: str) -> None:
        running = asyncio.get_running_loop()
        if running is not self._loop:
            raise WrongLoopError(
                f"cannot {verb} process {self.pid} here: it was started on {self._loop!r}, "
                f"and this is {running!r}; use asyncio.run_coroutine_threadsafe() to go there"
            )

    def _on_exit(self, status: ExitStatus | StatusLost) -> None:
        if not self._ended.done():
            self._ended.set_result(status)


async def _all_done(*futures: asyncio.Future[Any]) -> None:
    """SIGKILL was sent and the pipes let go of, so the wait is short; a cancellation meanwhile is raised after it."""
    cancelled: asyncio.CancelledError | None = None
    while pending := [future for future in futures if not future.done()]:
        try:
            await asyncio.wait(pending)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
