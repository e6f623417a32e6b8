"""What a task wishes of whatever schedules it: a lane, a group, a deadline, held in its context.

A wish is a context variable, so tasks, callbacks and threads started by `asyncio.to_thread()` inherit it from whoever
makes them, and a scheduler finds it in the context that every step of a task runs in. Nothing here decides anything.
"""

from __future__ import annotations

import difflib
import math
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

from loopwright.errors import SchedulingTypeError, SchedulingValueError, UnknownLaneError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "DEADLINE",
    "GROUP",
    "PRIORITY",
    "GroupWish",
    "Wish",
    "ask_for_lanes",
    "checked_weight",
    "deadline",
    "group",
    "priority",
]


class GroupWish(NamedTuple):
    """The group that work is accounted to, and what weight was asked for it, if any."""

    name: str
    weight: float | None


#: Read by schedulers with `context.get(PRIORITY)`, which gives None where nobody wished.
PRIORITY: ContextVar[str | None] = ContextVar("loopwright.priority")
GROUP: ContextVar[GroupWish | None] = ContextVar("loopwright.group")
DEADLINE: ContextVar[float | None] = ContextVar("loopwright.deadline")

# What each block that was entered in this context found there, innermost first: (value, what was before). Not a token,
# which is good in one context alone: so one Wish can be entered by many tasks at once.
_OUTER: ContextVar[tuple[Any, Any] | None] = ContextVar("loopwright.wishes", default=None)


class Wish:
    """A block within which something is wished: what `priority()`, `group()` and `deadline()` give.

    It may be entered many times, by many tasks at once. It is no decorator, since one around `async def` would end
    before the coroutine begins.
    """

    __slots__ = ("_find", "_variable")

    def __init__(self, variable: ContextVar[Any], find: Callable[[Any], Any]) -> None:
        self._variable = variable
        self._find = find

    def __enter__(self) -> None:
        before = self._variable.get(None)
        value = self._find(before)
        _OUTER.set((before, _OUTER.get()))
        self._variable.set(value)

    def __exit__(self, *_: object) -> None:
        outer = _OUTER.get()
        if outer is None:
            raise RuntimeError("this block is left in another context than the one it was entered in")
        before, rest = outer
        self._variable.set(before)
        _OUTER.set(rest)

    def __repr__(self) -> str:
        return f"<a wish for a {self._variable.name.rpartition('.')[2]}>"


def priority(lane: str | None) -> Wish:
    """`with priority("urgent"):` has what runs within, and the tasks made within, go by that lane of `PriorityLanes`.

    A task that wishes anew is in its new lane from its next step on. None is the default lane again.

    UnknownLaneError (a ValueError) with the nearest name, when the block is entered, if the loop that runs has lanes
    and none of that name. On any other loop nothing is checked, and a lane that the loop which runs the task later does
    not have counts as its default one, with one warning in the log. TypeError if `lane` is neither a str nor None.
    """
    if lane is not None and not isinstance(lane, str):
        raise SchedulingTypeError(f"lane must be the name of a lane, such as 'urgent', or None, not {lane!r}")
    if lane == "":
        raise UnknownLaneError("lane must be the name of a lane, such as 'urgent', not ''")
    return Wish(PRIORITY, lambda _: _checked_lane(lane))


def group(name: str | None, weight: float | None = None) -> Wish:
    """`with group("tenant-7", weight=2):` accounts what runs within, and the tasks made within, to that group.

    `FairShares` gives groups the loop in proportion to their weights. A weight is that of the group, not of the block:
    the last one given holds for all of it. Without one the group keeps what it has, which at first is the
    scheduler's `weight`. None is no group.

    ValueError or TypeError if `weight` is no finite number above 0, or `name` no str, or empty.
    """
    if name is not None and not isinstance(name, str):
        raise SchedulingTypeError(f"name must be the name of a group, such as 'tenant-7', or None, not {name!r}")
    if name == "":
        raise SchedulingValueError("name must be the name of a group, such as 'tenant-7', not ''")
    if weight is not None:
        weight = checked_weight("weight", weight)
    if name is None:
        if weight is not None:
            raise SchedulingValueError(f"a weight ({weight:g}) is that of a group, and none is named")
        return Wish(GROUP, lambda _: None)
    wish = GroupWish(name, weight)
    return Wish(GROUP, lambda _: wish)


def deadline(seconds: float | None) -> Wish:
    """`with deadline(0.5):` wants what runs within, and the tasks made within, done so many seconds after its entry.

    `Deadlines` takes the earliest first. It is a wish and no time limit: nothing is cancelled. Zero or less is overdue,
    and goes before what is not. Within another such block the earlier of the two holds. None is no deadline again.

    ValueError or TypeError if `seconds` is no finite number.
    """
    if seconds is None:
        return Wish(DEADLINE, lambda _: None)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise SchedulingTypeError(f"seconds must be a number, or None for no deadline, not {seconds!r}")
    if not math.isfinite(seconds):
        raise SchedulingValueError(f"seconds must be a finite number, or None for no deadline, not {seconds!r}")

    def find(outer: float | None) -> float:
        due = time.monotonic() + seconds
        return due if outer is None else min(due, outer)

    return Wish(DEADLINE, find)


def checked_weight(name: str, value: Any) -> float:
    """The weight as a float; ValueError or TypeError if it is no finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SchedulingTypeError(f"{name} must be a number above 0, not {value!r}")
    if not (math.isfinite(value) and value > 0):
        raise SchedulingValueError(f"{name} must be a finite number above 0, not {value!r}")
    return float(value)


def _checked_lane(lane: str | None) -> str | None:
    lanes = None if lane is None else _lanes_here()
    if lane is None or lanes is None or lane in lanes:
        return lane
    near = difflib.get_close_matches(lane.strip().lower(), lanes, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UnknownLaneError(f"this loop has no lane {lane!r}; {hint}there are: {', '.join(lanes)}")


def _no_lanes() -> Sequence[str] | None:
    return None


_lanes_here: Callable[[], Sequence[str] | None] = _no_lanes


def ask_for_lanes(lanes_here: Callable[[], Sequence[str] | None]) -> None:
    """Have `lanes_here()` asked for the lanes of the loop that runs in this thread, None if there are none.

    A hook that the floor of loops fills: this one knows of no loops.
    """
    global _lanes_here  # noqa: PLW0603 - set once, by the floor above
    _lanes_here = lanes_here
