"""When too much is too much: a decision over single values and a clock that is handed in.

A value that wavers around a limit would raise an alarm at every other look. Two things keep that quiet: it must have
been above for a while, and after an alarm the next one needs the value to have come down to a lower mark first, as in
a thermostat.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["BELOW", "State", "Threshold", "step"]


@dataclass(frozen=True, slots=True)
class Threshold:
    """A limit, and how patient it is."""

    limit: float
    """A value above this is too much; one that equals it is not."""
    patience: float = 0.0
    """Seconds that the value must have been above; 0 for at the first look."""
    calm: float = 0.9
    """What share of the limit, from 0 to 1, the value must have come down to before there is another alarm."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.limit) and self.limit > 0):
            raise ValueError(f"a limit must be a number above 0, not {self.limit!r}")
        if not (math.isfinite(self.patience) and self.patience >= 0):
            raise ValueError(f"for_ must be a number of seconds, 0 or more, not {self.patience!r}")
        if not 0 <= self.calm <= 1:
            raise ValueError(f"calm must be a share of the limit, from 0 to 1, not {self.calm!r}")


@dataclass(frozen=True, slots=True)
class State:
    """Where a value stands: `above_since` is None while it is not above, `alarmed` from an alarm until it is calm."""

    above_since: float | None = None
    alarmed: bool = False


BELOW = State()


def step(threshold: Threshold, state: State, now: float, value: float) -> tuple[State, bool]:
    """The state after one more look, and whether that is the moment for an alarm.

    `now` is in seconds on any clock that does not go back. Between two looks the value is taken to have stayed on the
    side of the limit where both saw it: nobody looked.
    """
    if state.alarmed:
        return (BELOW if value <= threshold.limit * threshold.calm else state), False
    if value <= threshold.limit:
        return BELOW, False
    since = now if state.above_since is None else state.above_since
    alarm = now - since >= threshold.patience
    return State(since, alarm), alarm
