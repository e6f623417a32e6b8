"""Says so when tasks in every slot wait for tasks that wait for a slot: nothing would ever go on.

A task that waits for its own children cannot get there, for they share its slot. One that waits for somebody else's
can, and the program is then as silent as one that has nothing to do.

A stall begins with a task that takes a step and then waits, directly or not, for one that is held back. So only tasks
that have taken a step are looked at, and only when the loop is about to wait: each step costs one look, however many
tasks there are. If one of them waits so, every slot is looked at.
"""

from __future__ import annotations

import asyncio
import warnings
from typing import TYPE_CHECKING, Any

from loopwright._core._task_slots import Standing
from loopwright.errors import TaskStallWarning
from loopwright.loops._asyncio_tasks import waits_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from loopwright._core._task_slots import TaskSlots

    Task = asyncio.Task[Any]

__all__ = ["Stalls"]

SHOWN = 5
"""How many of the slots a warning names."""


class Stalls:
    """Looks for a stall whenever the loop is about to wait, and tells of the first one."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, slots: TaskSlots[Any], seat_of: Callable[[Task], Any | None]
    ) -> None:
        self._loop = loop
        self._slots = slots
        self._seat_of = seat_of
        self._stepped: set[Any] = set()
        self._told = False
        self.stepped = self._stepped.add
        """Call it with the seat of a task whose step is queued."""
        self.forget = self._stepped.discard
        """Call it with the seat of a task that has ended."""

    def possible(self) -> bool:
        """Whether there is anything to look at when the loop is about to wait."""
        return not self._told and self._slots.waiting > 0 and bool(self._stepped) and self._slots.full

    def idle(self) -> bool:
        """The loop is about to wait. Whether it was told of a stall, and may have something to do now."""
        stepped = tuple(self._stepped)
        self._stepped.clear()
        if self._told or not stepped or not self._slots.waiting or not self._slots.full:
            return False
        dead_ends: set[Task] = set()
        if self._first_chain(stepped, dead_ends) is None:
            return False
        chains = []
        for members in self._slots.slots():
            chain = self._first_chain(members, dead_ends)
            if chain is None:
                return False
            chains.append(chain)
        self._told = True
        self._tell(chains[0][0], describe(self._slots.limit, chains))
        return True

    def _first_chain(self, seats: Iterable[Any], dead_ends: set[Task]) -> list[Task] | None:
        chains = (chain(task, self._is_held, dead_ends) for seat in seats if (task := seat()) is not None)
        return next((found for found in chains if found), None)

    def _is_held(self, task: Task) -> bool:
        seat = self._seat_of(task)
        return seat is not None and self._slots.standing(seat) is Standing.WAITS

    def _tell(self, waiting: Task, message: str) -> None:
        # The loop's own line, which calls this, is nobody's fault. Such a task has a frame, unless it is compiled.
        frame = next(iter(waiting.get_stack(limit=1)), None)
        file, line = ("<unknown>", 0) if frame is None else (frame.f_code.co_filename, frame.f_lineno)
        module = None if frame is None else frame.f_globals.get("__name__")
        try:
            warnings.warn_explicit(message, TaskStallWarning, file, line, module)
        except TaskStallWarning as warning:
            # Under `-W error`. Raised from here it would end the loop, from between two callbacks.
            self._loop.call_exception_handler({"message": message, "exception": warning})


def chain(task: Task, is_held: Callable[[Task], bool], dead_ends: set[Task]) -> list[Task] | None:
    """From `task` to a task that is held by way of what each waits for; None if none of that is held.

    `dead_ends` are those that are known to lead to none; they become more.
    """
    path = [task]
    ways = [waits_for(task)]
    seen = {task}
    while path:
        following = next(ways[-1], None)
        if following is None:
            dead_ends.add(path.pop())
            ways.pop()
        elif is_held(following):
            return [*path, following]
        elif following not in seen and following not in dead_ends:
            seen.add(following)
            path.append(following)
            ways.append(waits_for(following))
    return None


def describe(max_tasks: int, chains: list[list[Task]]) -> str:
    """The warning."""
    shown = ["".join((_waits(names), ", which waits for a slot")) for names in map(_names, chains[:SHOWN])]
    if len(chains) > SHOWN:
        shown.append(f"and so on for {len(chains) - SHOWN} more")
    slots = "the only slot waits" if len(chains) == 1 else f"all {len(chains)} slots wait"
    return (
        f"max_tasks={max_tasks}: {slots}: {'; '.join(shown)}. None of them goes on unless one is cancelled or its time"
        " is up: let the task that waits start the other itself, which then shares its slot, or allow for more tasks"
    )


def _names(tasks: list[Task]) -> list[str]:
    return [task.get_name() for task in tasks]


def _waits(names: list[str]) -> str:
    first, second, *more = names
    return f"task {first} waits on task {second}" + "".join(f", which waits on task {name}" for name in more)
