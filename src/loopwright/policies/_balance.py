"""Which loop of a pool gets the next piece of work: a pure function of what each has to do."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from loopwright.errors import UnknownBalanceError

__all__ = ["Balance", "LoopLoad", "balance_named", "least_busy", "round_robin"]


@dataclass(frozen=True, slots=True)
class LoopLoad:
    """What one loop of a pool has to do and has done."""

    name: str
    """The loop's, and its thread's."""
    running: int
    """Pieces of work that were handed to it and have not ended."""
    done: int
    """Those that have: with a result, with an exception, or cancelled."""
    alive: bool = True
    """False once the loop is closed or broke. A `Balance` gets to see none of those."""


Balance: TypeAlias = Callable[[Sequence[LoopLoad]], int]
"""Gives the index of the loop, among those it is shown (never none), that gets the next piece of work."""


def round_robin(loads: Sequence[LoopLoad]) -> int:
    """One after the other: the one that was given the least so far, the first of several."""
    return min(range(len(loads)), key=lambda index: loads[index].running + loads[index].done)


def least_busy(loads: Sequence[LoopLoad]) -> int:
    """The one with the fewest unfinished pieces of work, the first of several."""
    return min(range(len(loads)), key=lambda index: loads[index].running)


_NAMED: dict[str, Balance] = {"least-busy": least_busy, "round-robin": round_robin}


def balance_named(balance: Any) -> Balance:
    """The rule that goes by this name, or the callable itself.

    UnknownBalanceError (a ValueError) if there is none of that name; TypeError for anything else.
    """
    if isinstance(balance, str):
        if balance in _NAMED:
            return _NAMED[balance]
        near = difflib.get_close_matches(balance.strip().lower().replace("_", "-"), _NAMED, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UnknownBalanceError(f"no rule for balancing is called {balance!r}; {hint}there are: {', '.join(_NAMED)}")
    if callable(balance):
        rule: Balance = balance
        return rule
    raise TypeError(f"balance is one of {', '.join(_NAMED)}, or a function of the loads of all loops, not {balance!r}")
