"""Where a service's process runs.

The engine asks a `Placement` to start an instance and is given a `Placed` to follow; it knows nothing of pids' homes.
`LocalPlacement` starts a child of this program. Others (many machines) implement the same two protocols.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from loopwright._core import StatusLost, helper
from loopwright._spawning import compiled_obstacle
from loopwright.process import DEVNULL, STDOUT, LineReceiver, Process, spawn

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from loopwright._core import ExitStatus
    from loopwright.process import Ended
    from loopwright.supervision._spec import Instance

__all__ = ["LocalPlacement", "Placed", "Placement"]

#: Everything that held the output is gone, and what was in the pipe takes the loop one pass or two to read. If it has
#: not ended after this, somebody outside the group holds it.
OUTPUT_END = 0.25


#: SIGKILL works at once, unless the process may not be signalled by this user (a set-uid program) or hangs inside the
#: kernel. After this many seconds it is told, and not waited for any longer.
PATIENCE = 10.0

T = TypeVar("T")


class Placed(Protocol):
    """A process that was started for an instance."""

    @property
    def pid(self) -> int:
        """Its process id, for people to read."""

    async def wait(self) -> ExitStatus | StatusLost:
        """Until it has ended; how it did."""

    async def wait_gone(self) -> str | None:
        """After `wait()`: until nothing of what it left runs any more and its output was read. A note if that is
        more than can be said."""

    @property
    def given_up(self) -> bool:
        """Whether something of it still runs that does not end, so that `wait()` and `wait_gone()` ended without it."""

    def signal(self, number: int) -> bool:
        """Signal it and all that it started and kept; False if there is nothing left to signal."""

    def hold_output(self, hold: bool) -> None:
        """Read no more of its output for now, or go on."""

    def hurry(self) -> None:
        """It is to end at once: hold no output back any more, whatever was asked."""


class Placement(Protocol):
    """Starts processes."""

    async def start(self, instance: Instance, on_line: Callable[[str, bool], object]) -> Placed:
        """Start an instance; `on_line(text, continued)` is called with what it writes.

        Raises as `loopwright.process.spawn()` does; nothing is left over then.
        """


class LocalPlacement:
    """Children of this program, each in a session (and so a process group) of its own.

    A session keeps a service off the terminal that the supervisor runs on: Ctrl-C reaches the supervisor alone, which
    then ends the services in their order. Standard output and standard error share one pipe, so that their lines keep
    the order in which they were written; standard input is /dev/null.
    """

    def __init__(self) -> None:
        # One start at a time. Side by side, fifty starts take two descriptors each before the first asks for a third,
        # and where there is room for twenty services, none is started.
        self._starting = asyncio.Lock()

    async def start(self, instance: Instance, on_line: Callable[[str, bool], object]) -> Placed:
        """See `Placement.start`."""
        async with self._starting:
            return await self._start(instance, on_line)

    async def _start(self, instance: Instance, on_line: Callable[[str, bool], object]) -> Placed:
        receiver = LineReceiver(on_line, asyncio.get_running_loop())
        ours, services = os.pipe()
        try:
            receiver.read_from(ours)
            receiver.pause()  # or its first words might be heard before it is said that it was started
            try:
                process = await spawn(
                    instance.spec.command,
                    stdin=DEVNULL,
                    stdout=services,
                    stderr=STDOUT,
                    cwd=instance.spec.working_directory,
                    env={**os.environ, **instance.environment()},
                    start_new_session=True,
                    # For when keeper and supervisor are killed in one moment, and nobody is left to do it.
                    parent_death_signal=signal.SIGKILL if compiled_obstacle() is None else None,
                )
            except BaseException:
                receiver.close()
                raise
        finally:
            os.close(services)
        placed = _LocalPlaced(process, receiver)
        asyncio.get_running_loop().call_soon(placed.begin_output)
        return placed


class _LocalPlaced:
    def __init__(self, process: Process, receiver: LineReceiver) -> None:
        self._process = process
        self._receiver = receiver
        self._held = False
        self._releases = 0
        self._hurried = False
        self._hopeless: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._patience: asyncio.TimerHandle | None = None
        self._killing: asyncio.Task[Ended] | None = None
        # The group's number stays its own until wait_gone() has seen the last of it.
        self._hold = contextlib.ExitStack()
        self._hold.enter_context(process.hold_group())

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def given_up(self) -> bool:
        return self._hopeless.done()

    async def wait(self) -> ExitStatus | StatusLost:
        return await self._unless_hopeless(self._process.wait()) or StatusLost(self._hopeless.result())

    async def wait_gone(self) -> str | None:
        await self._unless_hopeless(self._process.wait_tree())
        if self._patience is not None:
            self._patience.cancel()
        note = self._hopeless.result() if self.given_up else await self._last_look()
        if self._killing is not None:
            await asyncio.wait({self._killing})
        self._hold.close()
        while not self._receiver.ended.done():
            releases = self._releases
            await asyncio.wait({self._receiver.ended}, timeout=OUTPUT_END)
            given_time = not self._held and releases == self._releases
            if given_time and not self._receiver.ended.done():
                self._receiver.close()
                await self._receiver.ended
                note = note or (
                    "a process that left its process group still holds its output, which is no longer read "
                    f"(it was started by process {self.pid})"
                )
        return note

    def signal(self, number: int) -> bool:
        if number == signal.SIGKILL and self._patience is None:
            loop = asyncio.get_running_loop()
            self._patience = loop.call_later(PATIENCE, self._give_up)
            # Killed in the same moment as far as it can be seen, and then swept: what forks meanwhile is not missed.
            self._killing = loop.create_task(helper(self._sweep()))
        return self._process.signal_tree(number)

    def hold_output(self, hold: bool) -> None:
        self._held = hold and not self._hurried
        if self._held:
            self._receiver.pause()
        else:
            self._releases += 1
            self._receiver.resume()

    def begin_output(self) -> None:
        """Whoever started it has been told so."""
        if not self._held:
            self._receiver.resume()

    def hurry(self) -> None:
        self._hurried = True
        self.hold_output(False)

    async def _sweep(self) -> Ended:
        return await self._process.end(grace=0.0)

    async def _last_look(self) -> str | None:
        """Nothing of it is seen any more: what there is that may belong to it, and why it was not ended."""
        left = (await self._process.end(grace=0.0)).left
        # Whoever took its status gave its number back too. So these are not signalled, nor waited for. Otherwise the
        # number is held, and whoever is in its group was found just now.
        if isinstance(self._process.status, StatusLost) and (members := self._process.group_members()):
            pids = ", ".join(map(str, members))
            return f"not ended, for they may be somebody else's: processes in what was its process group ({pids})"
        return "; ".join(map(str, left)) or None

    def _give_up(self) -> None:
        members = ", ".join(map(str, self._process.tree_members() or (self.pid,)))
        self._hopeless.set_result(
            f"still running {PATIENCE:g} s after SIGKILL, and not waited for any longer: {members} (either it may not "
            "be signalled by this user, or it hangs inside the kernel)"
        )

    async def _unless_hopeless(self, what: Coroutine[Any, Any, T]) -> T | None:
        """Wait for it; None if it was given up before."""
        waiting = asyncio.ensure_future(what)
        either: set[asyncio.Future[Any]] = {waiting, self._hopeless}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            return waiting.result() if waiting.done() else None
        finally:
            waiting.cancel()
