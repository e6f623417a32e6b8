"""What happened, as lines for a person: pure functions from an event to text.

Each line is a time, the instance's name, a glyph, and what is to be said. The glyph tells who speaks: `|` a
line that the service wrote, `+` a piece of one that goes on in the next, `*` the supervisor. A service cannot
forge a `*`.
"""

from __future__ import annotations

import datetime
import functools
import zlib
from typing import TYPE_CHECKING

from loopwright._core import StatusLost, signal_name
from loopwright.cli._text import RESET, safe
from loopwright.supervision import (
    Exited,
    Failed,
    Finished,
    Healthy,
    LevelFell,
    Note,
    Output,
    OutputMatched,
    Restarting,
    Started,
    Stopped,
    Stopping,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from loopwright._core import ResourceUsage
    from loopwright.supervision import Event

__all__ = ["FAILURE", "OWN_LABEL", "PALETTE", "WARNING", "Renderer", "duration", "size", "use_color"]

#: Whose name stands before what concerns no service.
OWN_LABEL = "loopwright"

#: Numbers in the 256-colour table. All have a contrast of 3:1 or more on black, #1e1e1e, white and
#: Solarized's light ground (WCAG 2.1, 1.4.11): the sixteen basic colours have not, and mean something else in
#: every theme.
PALETTE = (33, 64, 133, 30, 130, 99, 28, 168, 67, 165, 100, 62)
WARNING = 136
FAILURE = 196
_GREY = 244


def use_color(choice: str, *, terminal: bool, environ: Mapping[str, str]) -> bool:
    """Whether to colour: `choice` is what `--color` says ("auto", "always" or "never") and wins.

    With "auto": NO_COLOR set and not empty means no (no-color.org), else FORCE_COLOR or CLICOLOR_FORCE set
    and neither empty nor "0" means yes (force-color.org, bixense.com/clicolors), else a terminal that is not
    a dumb one, unless CLICOLOR is "0". ValueError for another choice.
    """
    if choice not in ("auto", "always", "never"):
        raise ValueError(f"color must be auto, always or never, not {choice!r}")
    if choice != "auto":
        return choice == "always"
    if environ.get("NO_COLOR"):
        return False
    if any(environ.get(name, "") not in ("", "0") for name in ("FORCE_COLOR", "CLICOLOR_FORCE")):
        return True
    return terminal and environ.get("TERM") not in ("dumb", "unknown") and environ.get("CLICOLOR") != "0"


class Renderer:
    """Turns events into lines, for the instances named (others may come later; they just align less well).

    With `color`, a short local time and a colour per service; without, no escape codes at all, and the time
    in full as ISO 8601 has it, with the offset from UTC: such a line is still true in a file next year.

    `own_memory()` gives the most memory that this process has had so far, in bytes (see `known_memory()`).
    """

    def __init__(self, instances: Iterable[str], *, color: bool, own_memory: Callable[[], int] = lambda: 0) -> None:
        names = list(instances)
        self._color = color
        self._own_memory = own_memory
        self._width = max(map(len, [OWN_LABEL, *names]))
        self._second: int | None = None
        self._before_fraction = self._after_fraction = ""
        self._service_colours: dict[str, int] = {}
        self._free: set[int] = set()
        self._newest_colour: int | None = None
        self._prefixes: dict[str, tuple[str, str, str]] = {}
        for name in names:
            self._prefix(name)

    def render(self, event: Event) -> str:
        """The event as one line, without its newline; as several where its text has several."""
        time = self._time(event.at)
        spoken, piece, own = self._prefixes.get(event.instance) or self._prefix(event.instance)
        if isinstance(event, Output):
            text = safe(event.line, color=self._color, continued=event.continued)
            start = piece if event.continued else spoken
            return f"{time} {start} {text}" if text else f"{time} {start}"
        text, severity = _told(event)
        if isinstance(event, Exited) and event.status.usage is not None:
            text = f"{text}; {_used(event.status.usage, self._own_memory())}"
        colour = f"\x1b[38;5;{severity}m" if self._color and severity else ""
        end = RESET if colour else ""
        return "\n".join(f"{time} {own}{colour}* {safe(line)}{end}" for line in text.split("\n"))

    def _time(self, at: float) -> str:
        second, millisecond = divmod(round(at * 1000), 1000)
        if second != self._second:  # a busy service writes thousands of lines in one and the same second
            self._second = second
            local = datetime.datetime.fromtimestamp(second, datetime.UTC).astimezone()
            if self._color:
                self._before_fraction, self._after_fraction = f"\x1b[38;5;{_GREY}m{local:%H:%M:%S}.", RESET
            else:
                written = local.isoformat(timespec="seconds")
                self._before_fraction, self._after_fraction = written[:19] + ".", written[19:]
        return f"{self._before_fraction}{millisecond:03d}{self._after_fraction}"

    def _prefix(self, instance: str) -> tuple[str, str, str]:
        name = f"{instance or OWN_LABEL:<{self._width}}"
        if not self._color:
            made = (f"{name} |", f"{name} +", f"{name} ")
        else:
            start = f"\x1b[38;5;{self._colour(instance)}m" if instance else "\x1b[1m"
            made = (f"{start}{name} |{RESET}", f"{start}{name} +{RESET}", f"{start}{name}{RESET} ")
        self._prefixes[instance] = made
        return made

    def _colour(self, instance: str) -> int:
        """The service's colour: by its name, so that a new service does not recolour the others; the next if
        taken."""
        service = instance.partition(".")[0]
        if service not in self._service_colours:
            self._free = self._free or set(PALETTE) - {self._newest_colour}
            index = zlib.crc32(service.encode("utf-8", "backslashreplace"))
            while PALETTE[index % len(PALETTE)] not in self._free:
                index += 1
            self._newest_colour = self._service_colours[service] = PALETTE[index % len(PALETTE)]
            self._free.discard(self._newest_colour)
        return self._service_colours[service]


_FIXED: dict[type[Event], str] = {
    Finished: "finished; it will not be started again",
    Healthy: "has run well for long enough; its earlier failures are forgotten",
    Stopped: "stopped, nothing of it is left",
}


@functools.singledispatch
def _told(event: Event) -> tuple[str, int]:
    """What the supervisor says of an event, and the colour of its severity (0 for none)."""
    if type(event) not in _FIXED:
        raise TypeError(f"no words for {event!r}")
    return _FIXED[type(event)], 0


@_told.register
def _(event: Started) -> tuple[str, int]:
    if event.attempt == 0:
        return f"started, process {event.pid}", 0
    return f"started again, process {event.pid} ({_restart(event.attempt)})", 0


@_told.register
def _(event: OutputMatched) -> tuple[str, int]:
    text = f"its output matched {event.pattern!r}: {event.line}"
    if event.untold:
        text = f"{text} (and {event.untold} more before, too many within a second to tell)"
    return text, WARNING


@_told.register
def _(event: Exited) -> tuple[str, int]:
    status, after = event.status, f"{' as asked' if event.asked else ''} after {duration(event.ran_for)}"
    lost = f"ended{after}, its status lost: {status.reason}" if isinstance(status, StatusLost) else None
    text = lost or f"{status}{after}"
    return text, 0 if event.asked or status.success else WARNING


@_told.register
def _(event: Restarting) -> tuple[str, int]:
    if event.delay <= 0:
        when = "at once"
    elif event.delay < 60:
        when = f"in {_round(event.delay)}"
    else:
        then = datetime.datetime.fromtimestamp(event.at + event.delay, datetime.UTC).astimezone()
        when = f"in {_round(event.delay)}, at {then:%H:%M:%S}"
    return f"{event.reason}; {_restart(event.attempt)}, {when}", WARNING


@_told.register
def _(event: Stopping) -> tuple[str, int]:
    sent = f"sent {signal_name(event.signal)}: {event.reason}"
    if event.grace <= 0:
        return sent, WARNING
    return f"{sent}; SIGKILL follows in {_round(event.grace)} unless it ends", 0


@_told.register
def _(event: Failed) -> tuple[str, int]:
    return f"failed: {event.reason}; it will not be started again", FAILURE


@_told.register
def _(event: LevelFell) -> tuple[str, int]:
    text = (
        f"what services leave was ended to {event.was.title}, and is to {event.now.title} from now on: {event.reason}"
    )
    return text, FAILURE


@_told.register
def _(event: Note) -> tuple[str, int]:
    return event.text, WARNING if event.warning else 0


def _restart(attempt: int) -> str:
    return f"restart {attempt} in a row" if attempt > 1 else f"restart {attempt}"


def known_memory(usage: ResourceUsage, own: int) -> int | None:
    """The most memory that a process has had, None if that cannot be told from what its parent has had.

    Linux lets a program begin with the high-water mark of the memory it replaces (exec_mmap() in fs/exec.c), and that
    is its parent's. So whatever is not above `own`, the supervisor's mark, says nothing of the program.
    """
    return usage.max_rss if usage.max_rss > own else None


def _used(usage: ResourceUsage, own: int) -> str:
    memory = known_memory(usage, own)
    return f"used {duration(usage.cpu_time)} of CPU" + ("" if memory is None else f" and {size(memory)} of memory")


def _round(seconds: float) -> str:
    """As `duration()`, but 10 seconds that somebody chose are not `10.0 s`."""
    return f"{seconds:.0f} s" if seconds < 60 and seconds == int(seconds) else duration(seconds)


def duration(seconds: float) -> str:
    """`20 ms`, `12.3 s`, `5 min 2 s`, `3 h 12 min`, `4 d 3 h`: two figures say enough."""
    if seconds < 0.0995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"


def size(count: int) -> str:
    """Bytes, as `512 B`, `3.4 KiB`, `12.3 MiB`, `1.5 GiB`."""
    if count < 1024:
        return f"{count} B"
    power = min((count.bit_length() - 1) // 10, 3)
    return f"{count / 1024**power:.1f} {('KiB', 'MiB', 'GiB')[power - 1]}"
