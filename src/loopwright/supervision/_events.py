"""What happens to services, as values: the record of what was done and why, for whoever shows or keeps it.

Every event names its service instance and the wall-clock time (`at`, seconds since the epoch). The engine hands each to
its listener on the loop's thread, in the order in which they happened.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass

from loopwright._core import ExitStatus, StatusLost
from loopwright.process import Guarantee

__all__ = [
    "Event",
    "Exited",
    "Failed",
    "Finished",
    "Healthy",
    "LevelFell",
    "Note",
    "Output",
    "OutputMatched",
    "Restarting",
    "Started",
    "Stopped",
    "Stopping",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What all events have."""

    instance: str
    """The instance's name (`web.2`); empty for what concerns the supervisor itself."""
    at: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started(Event):
    """A process was started."""

    pid: int
    attempt: int
    """0 for the first start, else which restart in a row this is (from 1 again after a healthy while)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Healthy(Event):
    """It has run long enough for its earlier failures to be forgotten (sent only if there were any)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output(Event):
    """It wrote a line to its standard output or standard error."""

    line: str
    """Without its newline; bytes that are not UTF-8 appear as \\xNN."""
    continued: bool = False
    """True for a piece of an over-long line that goes on in the next event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputMatched(Event):
    """A line that it wrote, told just before as `Output`, matches one of its patterns.

    Of many such lines within a second, ten are told, and the one that has it restarted.
    """

    line: str
    """The line; of one of more than 200 characters so many, around what matched."""
    pattern: str
    restarts: bool
    """Whether it is ended for this, to be started again as its restart policy says."""
    untold: int
    """How many that matched since the last such event were not told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exited(Event):
    """Its process ended."""

    pid: int
    status: ExitStatus | StatusLost
    ran_for: float
    """Seconds."""
    asked: bool
    """Whether the supervisor had asked it to end, be it for what it wrote (`OutputMatched`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restarting(Event):
    """It will be started again."""

    delay: float
    """Seconds until then."""
    attempt: int
    """Which restart in a row this will be, from 1."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopping(Event):
    """It was sent a signal to end."""

    signal: signal.Signals
    grace: float
    """Seconds it has before SIGKILL; 0 if this is SIGKILL."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped(Event):
    """It was asked to end and nothing of it is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished(Event):
    """It ended well and will not be started again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed(Event):
    """It has failed and will not be started again."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelFell(Event):
    """What services leave behind is no longer ended as far as it was. Sent by whoever watches over the keeper."""

    was: Guarantee
    now: Guarantee
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Note(Event):
    """Something a person should know: what could not be proved, what was left, what the machine refused."""

    text: str
    warning: bool = True
    """False for what is merely said, such as which services are about to be started."""
