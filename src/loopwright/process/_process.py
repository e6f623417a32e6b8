"""A child process, held by the event loop that started it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING

from loopwright.errors import WrongLoopError
from loopwright.process._ending import Ending
from loopwright.process._groups import live_members

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType
    from typing import Any, Self

    from loopwright._core import ExitStatus, StatusLost
    from loopwright._spawning import Child, Command
    from loopwright.process._ended import Ended
    from loopwright.process._guarantee import Guarantee
    from loopwright.process._pipes import Pipe

__all__ = ["Process"]

#: How often a process group is looked at while waiting for it to be empty: soon at first, then more rarely. Seconds.
GROUP_LOOKS = (0.002, 0.005, 0.01, 0.02, 0.05)


class Process:
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
        self._ending = Ending(child, self._ended)
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

    async def wait(self) -> ExitStatus | StatusLost:
        """Wait until it has ended, and say how; at once if it has.

        Ends when the process does, not when the last descendant that holds one of its pipes does. Any number of tasks
        may wait; cancelling one leaves the process and the others alone. WrongLoopError on another loop.
        """
        self._check_loop("wait for")
        return await asyncio.shield(self._ended)

    async def communicate(self, data: bytes | None = None) -> tuple[bytes | None, bytes | None]:
        """Write `data` to its input and close that, read its output and errors to their ends, wait until it has ended.

        Gives (output, errors), None for a stream that is not a PIPE. An input that the process stops reading is not an
        error. ValueError if there is `data` and no `stdin=PIPE`.
        """
        self._check_loop("communicate with")
        if data is not None and self.stdin is None:
            raise ValueError(f"process {self.pid} was started without stdin=PIPE, so there is nothing to write to")

        async def read(stream: asyncio.StreamReader | None) -> bytes | None:
            return None if stream is None else await stream.read()

        async with asyncio.TaskGroup() as group:
            group.create_task(self._feed(data))
            output = group.create_task(read(self.stdout))
            errors = group.create_task(read(self.stderr))
        await self.wait()
        return output.result(), errors.result()

    async def _feed(self, data: bytes | None) -> None:
        if self.stdin is None:
            return
        # As subprocess and asyncio do: a program that does not read its input (`head`) has not failed for it.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if data:
                self.stdin.write(data)
                await self.stdin.drain()
            self.stdin.close()
            await self.stdin.wait_closed()

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

    @property
    def guarantee(self) -> Guarantee:
        """What can be promised, now, about its end and that of all that it starts. It falls when a keeper is lost.

        From any thread.
        """
        return self._ending.guarantee

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

        WrongLoopError on another loop.
        """
        self._check_loop("end")
        return await self._ending.end(grace, signal)

    def signal_tree(self, number: int) -> bool:
        """Send a signal to everything of its tree that can be found; False if there is nothing. See `end()`.

        PermissionError if none of them may be signalled (kill(2)). WrongLoopError on another loop.
        """
        self._check_loop("signal the tree of")
        return self._ending.signal(number)

    def tree_members(self) -> tuple[int, ...]:
        """The pids of its tree that have not ended: what a look at /proc (some milliseconds) sees now."""
        self._check_loop("look at the tree of")
        return self._ending.members()

    async def wait_tree(self) -> None:
        """Wait until nothing of its tree runs any more, itself included. It is looked at every 0.1 s at least."""
        self._check_loop("wait for the tree of")
        await self._ending.wait()

    async def __aenter__(self) -> Self:
        self._check_loop("use")
        # So that its group can still be killed at the end of the block if it has ended itself by then.
        self._block.enter_context(self.hold_group())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._ending.may_leave_something:
                await self.end(grace=0.0)
        finally:
            self._block.close()
            for pipe in self._pipes:
                pipe.close()
            await _all_done(*(pipe.closed for pipe in self._pipes))

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
            self._ending.note_exit(status)


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
