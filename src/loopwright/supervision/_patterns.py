"""Patterns on the lines that a service writes: which lines are told, and how many of a storm of them.

Nothing here does anything: `OutputWatch.look()` says what a line means, its caller tells it and acts on it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SHOWN", "TOLD_A_SECOND", "Found", "OutputWatch", "compiled"]

#: Matching lines of one instance that are told within a second; the rest is counted. A person reads no more, and a
#: service that writes nothing but errors writes ten thousand a second.
TOLD_A_SECOND = 10
#: How many characters of a matching line are told; the line itself was shown before, whole.
SHOWN = 200
#: How many of these stand before what matched, if the line is longer than that.
BEFORE = 50


def compiled(pattern: str) -> re.Pattern[str]:
    """The regular expression. ValueError, which says why, if it is none or empty.

    Empty is refused because it matches every line, which nobody means.
    """
    if not pattern:
        raise ValueError("it is empty, and so would match every line")
    try:
        return re.compile(pattern)
    except (re.error, OverflowError, RecursionError, Warning) as error:
        # OverflowError: a repetition of more than the engine can count. Warning: where warnings are errors.
        raise ValueError(str(error)) from None


@dataclass(frozen=True, slots=True)
class Found:
    """A line in which a pattern was found."""

    pattern: str
    line: str
    """At most `SHOWN` characters of it, around what matched."""
    restarts: bool
    """Whether the pattern is one of those that ask for a restart."""
    told: bool
    """Whether it is to be told, or is one of too many in a second."""
    untold: int
    """If it is told: how many before it were not."""


class OutputWatch:
    """The patterns of one instance, and how many matches it was told of lately."""

    def __init__(self, restart: Sequence[str], tell: Sequence[str]) -> None:
        # Those that restart come first: a line that both match is told once, for the weightier reason.
        self._patterns = [*((compiled(each), True) for each in restart), *((compiled(each), False) for each in tell)]
        self._second_began = float("-inf")
        self._told = 0
        self._untold = 0

    def __bool__(self) -> bool:
        """Whether there are any patterns."""
        return bool(self._patterns)

    def look(self, line: str, now: float, *, due: bool) -> Found | None:
        """What a line means at `now`, in seconds; None if no pattern is found in it.

        `due` says whether a restart would be a new thing now: then the match that asks for it is told, however many
        were told before.
        """
        for pattern, restarts in self._patterns:
            if (match := pattern.search(line)) is not None:
                told = self._has_room(now) or (restarts and due)
                untold = 0
                if told:
                    untold, self._untold = self._untold, 0
                else:
                    self._untold += 1
                return Found(pattern.pattern, _excerpt(match), restarts, told, untold)
        return None

    def take_untold(self) -> int:
        """How many matches were not told yet, of which that is now told."""
        untold, self._untold = self._untold, 0
        return untold

    def _has_room(self, now: float) -> bool:
        if now - self._second_began >= 1.0:
            self._second_began = now
            self._told = 0
        self._told += 1
        return self._told <= TOLD_A_SECOND


def _excerpt(match: re.Match[str]) -> str:
    line = match.string
    if len(line) <= SHOWN:
        return line
    start = min(max(0, match.start() - BEFORE), len(line) - SHOWN)
    return line[start : start + SHOWN]
