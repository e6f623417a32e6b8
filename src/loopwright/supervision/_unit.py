"""One instance, driven through its table: does what `step()` says, and tells it what happened."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import signal
import stat
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from loopwright.errors import LoopwrightError
from loopwright.supervision import _events
from loopwright.supervision._patterns import OutputWatch
from loopwright.supervision._table import ENDED, Action, Life, State, Stimulus, judge, step

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from loopwright._core import ExitStatus, StatusLost
    from loopwright.supervision._placement import Placed, Placement
    from loopwright.supervision._spec import Instance

__all__ = ["Surroundings", "Unit"]

#: What a machine may get over by itself: no processes, memory or descriptors left now, or the program's file being
#: written (execve(2), fork(2)). Anything else that keeps a process from being made is the configuration's fault.
PASSING = frozenset(getattr(errno, name, None) for name in ("EAGAIN", "ENOMEM", "EMFILE", "ENFILE", "ETXTBSY"))
#: Seconds that a machine is given to get over that, however short the service's own delays are.
RECOVERY = 0.25

CANCELLED = "the supervisor was cancelled"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a unit needs of the engine, handed to it."""

    placement: Placement
    announce: Callable[..., None]
    """`announce(kind, instance, **details)` tells the listener of an event."""
    chance: Callable[[], float]
    """A random number in [0, 1)."""
    changed: Callable[[Unit], None]
    """A unit has taken a step."""
    kill: Callable[[str], None]
    """End everything at once, for the reason given."""
    broke: Callable[[BaseException], None]
    """A unit met an error that is nobody's but this library's, or a placement's."""
    output_held: Callable[[], bool]
    """Whether nobody has room for output now."""


class Unit:
    """The driver of one instance. All methods on the loop's thread."""

    def __init__(self, instance: Instance, surroundings: Surroundings) -> None:
        self.instance = instance
        self.life = Life()
        #: Why it was asked to stop, why it failed: the last thing of which somebody said why.
        self.reason = ""
        #: Whether something of it could not be ended, and still runs.
        self.gave_up = False
        self._around = surroundings
        self._placed: Placed | None = None
        self._leader_ended = False
        self._watch = OutputWatch(self._spec.restart_on_output, self._spec.tell_on_output)
        #: Why this run of it counts as a failure however it ends: what it wrote. Empty if it wrote no such thing.
        self._unwanted = ""
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._stimulus: Stimulus | None = None
        self._failures_before = 0
        self._do: dict[Action, Callable[[], None]] = {
            Action.SPAWN: self._spawn,
            Action.SIGNAL: self._signal,
            Action.KILL: self._kill,
            Action.ARM_HEALTHY: lambda: self._arm(self._spec.restart.healthy_after, Stimulus.HEALTHY),
            Action.ARM_DUE: self._pause,
            Action.ARM_GRACE: lambda: self._arm(self._spec.grace_period, Stimulus.GRACE_OVER),
            Action.FORGET: self._forget,
        }

    @property
    def _spec(self) -> Any:
        return self.instance.spec

    def handle(self, stimulus: Stimulus, reason: str = "") -> None:
        """Something happened to it: take the step, do what is to be done, say so.

        A listener that is told of it may have more happen to it at once: what was still to be done is then out of date.
        """
        before = self.life
        after, actions = step(before, stimulus)
        if after is before and not actions:
            return
        self.life = after
        if reason:
            self.reason = reason
        if after.state is not before.state and self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._stimulus = stimulus
        self._failures_before = before.attempts
        for action in actions:
            if self.life is after:
                self._do[action]()
        if after.state is not before.state and after.state in ENDED:
            self._announce_end(before)
        self._around.changed(self)

    def hold_output(self, hold: bool) -> None:
        """Read no more of its output for now, or go on."""
        if self._placed is not None:
            self._placed.hold_output(hold)

    # --- actions

    def _arm(self, delay: float, stimulus: Stimulus) -> None:
        self._timer = asyncio.get_running_loop().call_later(delay, self.handle, stimulus)

    def _spawn(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._live(), name=f"loopwright {self.instance.name}")
        self._task.add_done_callback(self._check)

    def _pause(self) -> None:
        delay = self._spec.restart.pacing.delay(self.life.attempts, self._around.chance())
        if self._stimulus is Stimulus.REFUSED_RESTART:
            delay = max(delay, RECOVERY)
        self._arm(delay, Stimulus.DUE)
        self._say(_events.Restarting, delay=delay, attempt=self.life.attempts, reason=self.reason)

    def _forget(self) -> None:
        if self._failures_before:
            self._say(_events.Healthy)

    def _signal(self) -> None:
        spec = self._spec
        # What an ended process left is told to end without a word.
        tell = self.life.state is not State.CLEARING or self._stimulus is Stimulus.MATCHED
        if self._send(spec.stop_signal) and tell:
            grace = 0.0 if spec.stop_signal is signal.SIGKILL else spec.grace_period
            self._say(_events.Stopping, signal=spec.stop_signal, grace=grace, reason=self.reason)

    def _kill(self) -> None:
        if self._placed is not None:
            self._placed.hurry()
        if self._send(signal.SIGKILL):
            reason = self.reason
            if self._stimulus is Stimulus.GRACE_OVER:
                what = "something that it started" if self._leader_ended else "it"
                reason = f"{what} still runs after a grace period of {self._spec.grace_period:g} s"
            self._say(_events.Stopping, signal=signal.SIGKILL, grace=0.0, reason=reason)

    def _send(self, number: int) -> bool:
        if self._placed is None:
            return False
        try:
            return self._placed.signal(number)
        except OSError as error:
            self._say(_events.Note, text=f"{signal.Signals(number).name} could not be sent: {error.strerror}")
            return False

    # --- its process

    async def _live(self) -> None:
        """From making a process to the last of it."""
        loop = asyncio.get_running_loop()
        try:
            placed = await self._around.placement.start(self.instance, self._on_line)
        except (OSError, ValueError, LoopwrightError) as error:
            self._refused(error)
            return
        self._placed = placed
        self._leader_ended = False
        self._unwanted = ""
        placed.hold_output(self._around.output_held())
        began = loop.time()
        self._say(_events.Started, pid=placed.pid, attempt=self.life.attempts)
        self.handle(Stimulus.SPAWNED)
        status = await self._through_cancellation(placed.wait)
        self._leader_ended = True
        ran_for = loop.time() - began
        # In CLEARING before it is said that it has ended, it was told to end for what it wrote.
        asked = self.life.state in (State.STOPPING, State.KILLING, State.CLEARING)
        if not placed.given_up:  # else it runs on, as the note below says
            self._say(_events.Exited, pid=placed.pid, status=status, ran_for=ran_for, asked=asked)
        self.handle(Stimulus.EXITED)
        note = await self._through_cancellation(placed.wait_gone)
        if note is not None:
            self._say(_events.Note, text=note)
        if untold := self._watch.take_untold():
            self._say(
                _events.Note, text=f"{untold} more {_lines(untold)} that matched, too many within a second to tell"
            )
        self.gave_up = self.gave_up or placed.given_up
        self._placed = None
        self._verdict(status)

    async def _through_cancellation(self, wait: Callable[[], Awaitable[T]]) -> T:
        """Wait for what must not be left half done: whoever cancels this task, as asyncio.run() does with every task
        that is left at its end, has everything ended at once, and this goes on until it is."""
        while True:
            try:
                return await wait()
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or not task.cancelling():
                    raise
                while task.uncancel():
                    continue
                self._around.kill(CANCELLED)

    def _verdict(self, status: ExitStatus | StatusLost) -> None:
        # Told to end for what it wrote, it has failed even if it then ends with status 0.
        stimulus, why = judge(self._spec.restart, self.life.attempts, None if self._unwanted else status)
        asked = self.life.state in (State.STOPPING, State.KILLING)
        self.handle(stimulus, "" if asked else f"{self._unwanted or status}; {why}")

    def _refused(self, error: Exception) -> None:
        reason = refusal(error, self.instance)
        if isinstance(error, OSError) and error.errno in PASSING:
            stimulus, why = judge(self._spec.restart, self.life.attempts, None)
            again = stimulus is Stimulus.GONE_RESTART
            self.handle(Stimulus.REFUSED_RESTART if again else Stimulus.REFUSED_FAILED, f"{reason}; {why}")
        else:
            self.handle(Stimulus.REFUSED_FAILED, reason)

    def _on_line(self, text: str, continued: bool) -> None:
        self._say(_events.Output, line=text, continued=continued)
        if self._watch:
            self._look(text)

    def _look(self, text: str) -> None:
        """Look whether one of its patterns is in a line, and do what that asks for."""
        # Also of a process that has ended: whether its last words are read before or after that is known is chance, and
        # what becomes of it must not be.
        due = not self._unwanted and self.life.state in (State.RUNNING, State.CLEARING)
        found = self._watch.look(text, asyncio.get_running_loop().time(), due=due)
        if found is None:
            return
        restarts = due and found.restarts
        if restarts:
            self._unwanted = f"its output matched {found.pattern!r}"
        if found.told:
            self._say(
                _events.OutputMatched,
                line=found.line,
                pattern=found.pattern,
                restarts=restarts,
                untold=found.untold,
            )
        if restarts:
            self.handle(Stimulus.MATCHED, self._unwanted)

    def _check(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() and self._placed is None:
            # Before there was a process, perhaps before it had begun to make one.
            self._around.kill(CANCELLED)
            self.handle(Stimulus.REFUSED_FAILED)
            return
        error = task.exception() if not task.cancelled() else RuntimeError(f"nobody waits for {self.instance.name}")
        if error is not None:
            # Its table has no word for this. What it has running is killed here, for nobody follows it any more.
            if self._placed is not None:
                self._send(signal.SIGKILL)
            self.life = replace(self.life, state=State.FAILED)
            self._around.broke(error)

    # --- saying so

    def _say(self, kind: type[_events.Event], **details: Any) -> None:
        self._around.announce(kind, self.instance, **details)

    def _announce_end(self, before: Life) -> None:
        if self.life.state is State.FAILED:
            self._say(_events.Failed, reason=self.reason)
        elif self.life.state is State.FINISHED:
            self._say(_events.Finished)
        elif before.state not in (State.WAITING, State.PAUSED) and not self.gave_up:
            self._say(_events.Stopped)


def _lines(count: int) -> str:
    return "line" if count == 1 else "lines"


def refusal(error: Exception, instance: Instance) -> str:
    """Why a process could not be made, in words that name what is wrong and where to mend it."""
    spec = instance.spec
    program = spec.command[0]
    if not isinstance(error, OSError):
        return f"cannot start {program!r}: {error}"
    folder = spec.working_directory
    if (obstacle := _obstacle(folder)) is not None:
        return f"its working_directory {str(folder)!r} {obstacle}"
    path = instance.environment().get("PATH", os.environ.get("PATH", os.defpath))
    file = str(folder / program) if "/" in program else shutil.which(program, path=path)
    if error.errno == errno.ENOENT:
        if file is not None and os.path.exists(file):  # noqa: PTH110 - Path.exists() raises where it may not look
            return f"its command {program!r} needs an interpreter that does not exist (see its first line)"
        if "/" in program:
            return f"its command {program!r} does not exist (looked for from {str(folder)!r})"
        return f"its command {program!r} was not found in any folder of PATH ({path})"
    if error.errno == errno.EACCES:
        if file is not None and os.path.isdir(file):  # noqa: PTH112 - likewise
            return f"its command {program!r} is a directory"
        return f"its command {program!r} may not be executed: no permission (chmod +x?)"
    if error.errno == errno.ENOEXEC:
        return f"its command {program!r} is nothing the kernel can run (a script needs a first line like #!/bin/sh)"
    return f"cannot start {program!r}: {error.strerror}"


def _obstacle(folder: Path) -> str | None:
    """Why no program can start in a folder, as half a sentence; None if one can."""
    try:
        if not stat.S_ISDIR(folder.stat().st_mode):
            return "is not a directory"
    except FileNotFoundError:
        return "does not exist"
    except OSError as error:
        return f"cannot be entered: {error.strerror}"
    return None if os.access(folder, os.X_OK) else "may not be entered: no permission"
