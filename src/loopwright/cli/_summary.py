"""What is kept of all that happened, and the table shown at the end."""

from __future__ import annotations

import io
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loopwright._core import signal_name
from loopwright.cli._render import FAILURE, OWN_LABEL, WARNING, duration, known_memory, size
from loopwright.cli._text import safe
from loopwright.supervision import Exited, Failed, Output, Restarting, Started

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from loopwright._core import ExitStatus, StatusLost
    from loopwright.supervision import Event

__all__ = ["Summary"]

#: Up to here everyone has a row; beyond, those of one service that have the same dull story share one.
ROWS_FOR_ALL = 24
#: So many must have it.
WORTH_GROUPING = 4

_NAME = "service"
_PROSE = "last end"
_HEADINGS = (_NAME, "starts", "restarts", _PROSE, "ran for", "CPU", "memory", "lines")
#: Columns between two columns.
GAP = 2


@dataclass(slots=True)
class _Story:
    """What is remembered of one instance; numbers, so that a month of output costs nothing."""

    name: str
    starts: int = 0
    restarts: int = 0
    last: str = "never started"
    well: bool = True
    """Whether the last end was one that nobody minds."""
    restarting: bool = False
    running_since: float | None = None
    ran_for: float = 0.0
    cpu: float | None = None
    memory: int | None = None
    lines: int = 0
    failure: str | None = None

    @property
    def dull(self) -> bool:
        return self.failure is None and self.well and not self.restarts


class Summary:
    """Fed every event, it can say at any time how it all went. Instances not named at first may come
    later."""

    def __init__(self, instances: Iterable[str], *, own_memory: Callable[[], int] = lambda: 0) -> None:
        self._own_memory = own_memory
        self._stories = {name: _Story(name) for name in instances}
        self._now = 0.0

    def feed(self, event: Event) -> None:
        """Take note of `event`."""
        self._now = max(self._now, event.at)
        if not event.instance and not isinstance(event, Failed):
            return
        story = self._stories.get(event.instance)
        if story is None:
            story = self._stories[event.instance] = _Story(event.instance)
        match event:
            case Output():
                story.lines += not event.continued
            case Started():
                story.starts += 1
                story.restarts += story.restarting
                story.restarting = False
                story.running_since = event.at
                story.last, story.well = "still runs", True
            case Exited():
                self._exited(story, event)
            case Restarting():
                story.restarting = True
            case Failed():
                story.failure = event.reason
            case _:
                return  # how it came to its end does not change what the end was

    def _exited(self, story: _Story, event: Exited) -> None:
        story.running_since = None
        story.ran_for += event.ran_for
        story.well = event.asked or event.status.success
        words = _briefly(event.status)
        story.last = f"{words}, as asked" if event.asked else words
        usage = event.status.usage
        if usage is not None:
            story.cpu = (story.cpu or 0.0) + usage.cpu_time
            memory = known_memory(usage, self._own_memory())
            if memory is not None:
                story.memory = max(story.memory or 0, memory)

    def render(self, result: str, *, color: bool, width: int) -> str:
        """A table of all instances, the reasons of those that failed, and `result` as the last line.

        `width` is in columns; prose is folded to fit it. A table that cannot be made so narrow is left to the
        terminal to wrap: nothing is cut. ASCII only, but for what a reason holds.
        """
        # Only here: a supervisor that runs for months need not have it in memory, nor one that starts wait
        # for it.
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        groups = list(self._groups())
        rows = [self._cells(group) for group in groups]
        table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0))
        least = -GAP
        for heading, *cells in zip(_HEADINGS, *rows, strict=True):
            prose = heading == _PROSE
            # rich shrinks a column to nothing if it must; so it must not have to: prose needs its longest word.
            words = [word for cell in (heading, *cells) for word in (cell.split() if prose else [cell])]
            needs = max(map(len, words))
            least += needs + GAP
            table.add_column(
                heading,
                justify="left" if prose or heading == _NAME else "right",
                no_wrap=not prose,
            )
        for group, row in zip(groups, rows, strict=True):
            style = f"color({FAILURE})" if group[0].failure is not None else ""
            if not style and not group[0].dull:
                style = f"color({WARNING})"
            table.add_row(*map(Text, row), style=style)

        written = io.StringIO()
        console = Console(
            file=written,
            width=max(width, least),
            height=100,  # rich asks the terminal unless it is told both
            color_system="256" if color else None,
            force_terminal=color,
            no_color=not color,
            legacy_windows=False,
            highlight=False,
            markup=False,
            emoji=False,
        )
        console.print(table)
        for story in self._stories.values():
            if story.failure is not None:
                reason = f"{story.name or OWN_LABEL} failed: {safe(story.failure)}"
                console.print(Text(reason, style=f"color({FAILURE})"), soft_wrap=True)
        console.print(Text(safe(result), style="bold"), soft_wrap=True)
        return "\n".join(line.rstrip() for line in written.getvalue().removesuffix("\n").split("\n"))

    def _groups(self) -> Iterator[list[_Story]]:
        """The stories, row by row."""
        rows = [story for name, story in self._stories.items() if name]
        if len(rows) <= ROWS_FOR_ALL:
            yield from ([story] for story in rows)
            return
        for (_, dull, _), same in itertools.groupby(rows, key=_likeness):
            group = list(same)
            if dull and len(group) >= WORTH_GROUPING:
                yield group
            else:
                yield from ([story] for story in group)

    def _cells(self, group: list[_Story]) -> tuple[str, ...]:
        first, last = group[0], group[-1]
        name = first.name
        if len(group) > 1:
            name = f"{first.name}-{last.name.rpartition('.')[2]} ({len(group)})"
        cpus = [story.cpu for story in group if story.cpu is not None]
        memories = [story.memory for story in group if story.memory is not None]
        ran_for = sum(story.ran_for + self._running_for(story) for story in group)
        return (
            name,
            str(sum(story.starts for story in group)),
            str(sum(story.restarts for story in group)),
            first.last,
            duration(ran_for) if any(story.starts for story in group) else "-",
            duration(sum(cpus)) if cpus else "-",
            size(max(memories)) if memories else "-",
            str(sum(story.lines for story in group)),
        )

    def _running_for(self, story: _Story) -> float:
        return 0.0 if story.running_since is None else self._now - story.running_since


def _likeness(story: _Story) -> tuple[str, bool, str]:
    return story.name.partition(".")[0], story.dull, story.last


def _briefly(status: ExitStatus | StatusLost) -> str:
    if status.code is not None:
        return f"status {status.code}"
    if status.signal is not None:
        return f"{signal_name(int(status.signal))}{' (core dumped)' if status.core_dumped else ''}"
    return "status lost"
