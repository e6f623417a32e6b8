"""A place for services to run where nothing runs: every start follows a script, and everything done is written down.

With `run_with_fake_clock()` a supervisor's whole day can be tried in a millisecond, and to the exact second.
"""

from __future__ import annotations

import asyncio
import dataclasses
import math
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loopwright._core import ExitStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from loopwright._core import StatusLost
    from loopwright.supervision import Instance

__all__ = ["Act", "Refusal", "Run", "ScriptedPlacement"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A start that succeeds, and what comes of it."""

    seconds: float = math.inf
    """After which it ends by itself; for ever if not given."""
    status: ExitStatus | StatusLost = dataclasses.field(default_factory=lambda: ExitStatus(0))
    """How it then ends."""
    starting: float = 0.0
    """Seconds that making its process takes."""
    ignores: Collection[int] = ()
    """Signals that do not end it. SIGKILL always does."""
    ending: float = 0.0
    """Seconds from any other signal to its end of that signal; SIGKILL takes none."""
    leaves: float = 0.0
    """Seconds for which something else in its process group runs on after it, if no signal ends that earlier."""
    left_ignores: Collection[int] = ()
    """Signals that do not end what it leaves. Others do, as `ending` says."""
    lines: Sequence[tuple[float, str]] = ()
    """What it writes: (seconds since its start, line)."""
    note: str | None = None
    """What cannot be proved about its end (see `Placed.wait_gone`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A start that fails."""

    error: Exception
    """What is raised: an OSError as `loopwright.process.spawn()` would."""
    starting: float = 0.0
    """Seconds until then."""


@dataclass(frozen=True, slots=True)
class Act:
    """Something that happened."""

    at: float
    """The loop's time, in seconds."""
    instance: str
    what: str
    """`start`: was asked for; `refused`: that failed; `signal`: was sent; `hold`, `release`: its output was;
    `exit`: its process ended; `gone`: nothing of it is left."""
    number: int = 0
    """The signal."""


class ScriptedPlacement:
    """A `Placement` that starts nothing but follows scripts.

        placement = ScriptedPlacement({"web": [Run(seconds=3.0, status=ExitStatus(1)), Run()]})
        supervisor = Supervisor([ServiceSpec("web", ("anything",))], placement=placement)

    `scripts` are by the name of an instance (`web.2`) or of its service; the n-th start follows the n-th entry, further
    ones the last. A service without a script runs until it is signalled. Keys and entries are not checked against any
    service. To be used on one loop, of any kind.

    It is as strict as the machine is: AssertionError if an instance is started while something of it is left.
    """

    def __init__(self, scripts: Mapping[str, Sequence[Run | Refusal]] | None = None) -> None:
        self._scripts = {name: tuple(script) for name, script in (scripts or {}).items()}
        for name, script in self._scripts.items():
            if not script:
                raise ValueError(f"the script of {name!r} is empty: it needs an entry for the first start")
        self._starts: dict[str, int] = {}
        self._present: dict[str, _ScriptedPlaced] = {}
        self.acts: list[Act] = []
        """Everything that happened, in order."""

    @property
    def present(self) -> frozenset[str]:
        """The instances of which something runs, or is being started."""
        return frozenset(self._present)

    def starts(self, instance: str) -> list[float]:
        """When starts of an instance were asked for, in order."""
        return [act.at for act in self.acts if act.instance == instance and act.what == "start"]

    def signals(self, instance: str) -> list[tuple[float, int]]:
        """When an instance was sent which signals, in order; those that found nobody left are not among them."""
        return [(act.at, act.number) for act in self.acts if act.instance == instance and act.what == "signal"]

    async def start(self, instance: Instance, on_line: Callable[[str, bool], object]) -> _ScriptedPlaced:
        """See `Placement.start`."""
        name = instance.name
        if name in self._present:
            raise AssertionError(f"{name} was started while something of it was left")
        number = self._starts[name] = self._starts.get(name, 0) + 1
        script = self._scripts.get(name) or self._scripts.get(instance.spec.name) or (Run(),)
        entry = script[min(number, len(script)) - 1]
        run = entry if isinstance(entry, Run) else Run()
        placed = self._present[name] = _ScriptedPlaced(self, name, len(self.acts) + 1, run, on_line)
        self.write_down(name, "start")
        try:
            if entry.starting:
                await asyncio.sleep(entry.starting)
        except BaseException:
            del self._present[name]
            raise
        if isinstance(entry, Refusal):
            self.write_down(name, "refused")
            del self._present[name]
            raise entry.error
        placed.begin()
        return placed

    def write_down(self, instance: str, what: str, number: int = 0) -> None:
        """Add to `acts`."""
        self.acts.append(Act(asyncio.get_running_loop().time(), instance, what, number))
        if what == "gone":
            del self._present[instance]


class _ScriptedPlaced:
    """Its process, ended when `_status` is known, and what it leaves in its group, which ends it all: `_gone`."""

    def __init__(
        self, placement: ScriptedPlacement, name: str, pid: int, run: Run, on_line: Callable[[str, bool], object]
    ) -> None:
        self._placement = placement
        self._name = name
        self._pid = pid
        self._run = run
        self._on_line = on_line
        self._loop = asyncio.get_running_loop()
        self._status: asyncio.Future[ExitStatus | StatusLost] = self._loop.create_future()
        self._gone = self._loop.create_future()
        self._read = asyncio.Event()
        self._read.set()
        self._own_timers: list[asyncio.TimerHandle] = []
        self._group_timers: list[asyncio.TimerHandle] = []
        self._unread: list[str] = []
        self._held = False
        self._hurried = False
        self._left_ended = False

    def begin(self) -> None:
        """Its process exists from now on."""
        for after, line in self._run.lines:
            self._own_timers.append(self._loop.call_later(after, self._write, line))
        if self._run.seconds != math.inf:
            self._own_timers.append(self._loop.call_later(self._run.seconds, self._end, self._run.status))

    @property
    def pid(self) -> int:
        """Different for each start, and no process's."""
        return self._pid

    @property
    def given_up(self) -> bool:
        """False: SIGKILL ends what is scripted."""
        return False

    async def wait(self) -> ExitStatus | StatusLost:
        """See `Placed.wait`."""
        return await asyncio.shield(self._status)

    async def wait_gone(self) -> str | None:
        """See `Placed.wait_gone`."""
        await asyncio.shield(self._gone)
        await self._read.wait()
        return self._run.note

    def signal(self, number: int) -> bool:
        """See `Placed.signal`."""
        if self._gone.done():
            return False
        self._placement.write_down(self._name, "signal", number)
        if number == signal.SIGKILL:
            self._end(_ended_by(number))
            self._vanish()
            return True
        if number not in self._run.ignores:
            self._own_timers.append(self._loop.call_later(self._run.ending, self._end, _ended_by(number)))
        if number not in self._run.left_ignores:
            self._group_timers.append(self._loop.call_later(self._run.ending, self._left_ends))
        return True

    def hold_output(self, hold: bool) -> None:
        """See `Placed.hold_output`."""
        hold = hold and not self._hurried
        if hold != self._held:
            self._placement.write_down(self._name, "hold" if hold else "release")
        self._held = hold
        while self._unread and not self._held:
            self._on_line(self._unread.pop(0), False)
        if not self._unread:
            self._read.set()

    def hurry(self) -> None:
        """See `Placed.hurry`."""
        self._hurried = True
        self.hold_output(False)

    def _write(self, line: str) -> None:
        if self._held:
            self._unread.append(line)
            self._read.clear()
        else:
            self._on_line(line, False)

    def _end(self, status: ExitStatus | StatusLost) -> None:
        if self._status.done():
            return
        _cancel(self._own_timers)
        self._status.set_result(status)
        self._placement.write_down(self._name, "exit")
        if self._run.leaves == 0.0 or self._left_ended:
            self._vanish()
        elif self._run.leaves != math.inf:
            self._group_timers.append(self._loop.call_later(self._run.leaves, self._vanish))

    def _left_ends(self) -> None:
        self._left_ended = True
        if self._status.done():
            self._vanish()

    def _vanish(self) -> None:
        if not self._gone.done():
            _cancel(self._group_timers)
            self._gone.set_result(None)
            self._placement.write_down(self._name, "gone")


def _cancel(timers: list[asyncio.TimerHandle]) -> None:
    for timer in timers:
        timer.cancel()
    timers.clear()


def _ended_by(number: int) -> ExitStatus:
    return ExitStatus.from_returncode(-number)
