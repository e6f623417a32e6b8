"""How long to wait before a restart, as arithmetic: no clock, no randomness of its own, nothing to mock."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Pacing"]


@dataclass(frozen=True, slots=True)
class Pacing:
    """Exponential delays with a cap and jitter.

    The n-th restart in a row waits `initial_delay * factor ** (n - 1)` seconds, at most `max_delay`; of that, a share
    of up to `jitter` is taken away at random, so that a hundred services felled by one cause do not come back in one
    instant.
    Jitter only shortens: `max_delay` stays a promise.
    """

    initial_delay: float = 0.5
    """Seconds before the first restart; 0 restarts at once."""
    factor: float = 2.0
    """What each further delay is multiplied by; 1 keeps it constant."""
    max_delay: float = 60.0
    """The longest delay, in seconds."""
    jitter: float = 0.1
    """The largest share of a delay that may be taken away, from 0 (none) to 1."""

    def __post_init__(self) -> None:
        for name, value, least, most in (
            ("initial_delay", self.initial_delay, 0.0, math.inf),
            ("factor", self.factor, 1.0, math.inf),
            ("max_delay", self.max_delay, 0.0, math.inf),
            ("jitter", self.jitter, 0.0, 1.0),
        ):
            if not (math.isfinite(value) and least <= value <= most):
                raise ValueError(f"{name} must be a number from {least:g} to {most:g}, not {value!r}")
        if self.max_delay < self.initial_delay:
            raise ValueError(f"max_delay ({self.max_delay:g} s) is below initial_delay ({self.initial_delay:g} s)")

    def delay(self, attempt: int, chance: float) -> float:
        """Seconds to wait before restart number `attempt` in a row (from 1); `chance` is a random number in [0, 1).

        Never overflows, however large `attempt` is. ValueError if `attempt` is below 1.
        """
        if attempt < 1:
            raise ValueError(f"attempts are counted from 1, not {attempt}")
        return self._full(attempt) * (1.0 - self.jitter * chance)

    def _full(self, attempt: int) -> float:
        if self.initial_delay == 0.0 or self.factor == 1.0:
            return self.initial_delay
        try:
            return min(self.max_delay, self.initial_delay * self.factor ** (attempt - 1))
        except OverflowError:  # 2.0 ** 2000, and a service may well crash 2,000 times
            return self.max_delay
