"""`max_tasks`: at most so many tasks of a loop have started and not finished; the others wait.

Theory of operation
-------------------
A task that is to wait has its first step kept here instead of in the loop's queue, so that its coroutine does not
begin; who starts when is decided in `_core/_task_slots.py`. Nothing is polled: a task's done callback frees its slot.

**Who is the parent** of a new task: the task that runs when the first step is queued, which asyncio does within the
task's `__init__`. A parent that was never heard of is an eager task in its first step, one that was cancelled while
it waited and went on all the same, or one of before the limit. All but the last are counted now, as they have begun.

**The task of `run_until_complete()`** cannot be told by its first step: `asyncio.Runner` makes it by `create_task()` as
anybody makes any task. It is known when `run_until_complete()` adds its done callback. So a task that has not started,
or that was made while the loop did not run, has an `add_done_callback` of its own that looks for that one. Nothing of
the kind can have run by then: the callback is added before the loop runs.

**Cancelling a task that waits** must take effect at once, as it would have in the loop's queue. `Task.cancel()` tells
nobody if the task waits for no future, so a task that waits here has a `cancel` of its own as well, which lets the
first step go to the queue; there asyncio closes the coroutine with a CancelledError before its first line. Both
attributes go when the task starts. A cancellation may come from a signal handler (`_Undisturbed`). Rejected: a subclass
of Task by way of the loop's task factory, for users have factories and subclasses of their own; and looking through
those that wait before the loop waits, for a busy loop never does.

**A task may vanish** unfinished when nothing refers to it any more. So tasks are known by weak references. Their
callback runs wherever the garbage is collected, within any line here too, and only asks the loop to look later.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import weakref
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loopwright._core._task_slots import Standing, TaskSlots
from loopwright.errors import MaxTasksTypeError, MaxTasksValueError
from loopwright.loops import _asyncio_tasks as tasks
from loopwright.loops._stall import Stalls

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Handle
    from collections.abc import Callable

    Task = asyncio.Task[Any]

__all__ = ["TaskLimit", "TaskLimitReport", "checked_max_tasks", "task_limit"]


def checked_max_tasks(max_tasks: int | None) -> int | None:
    """What was given, if it is a number of tasks, or None for no limit.

    MaxTasksTypeError (a TypeError) if it is no int, or True or False; MaxTasksValueError (a ValueError) if it is
    below 1.
    """
    mend = "give the number of tasks that may be under way at once, 1 or more, or None for no limit"
    if max_tasks is None:
        return None
    if isinstance(max_tasks, bool) or not isinstance(max_tasks, int):
        raise MaxTasksTypeError(f"max_tasks is a whole number, not {max_tasks!r}; {mend}")
    if max_tasks < 1:
        raise MaxTasksValueError(f"max_tasks={max_tasks} would start no task at all; {mend}")
    return max_tasks


@dataclass(frozen=True, slots=True)
class TaskLimitReport:
    """How a limit on tasks stands at one moment."""

    max_tasks: int
    """How many may be started and unfinished at once."""
    started: int
    """How many slots are taken. Above `max_tasks` only where tasks had begun before they could be made to wait."""
    riding: int
    """How many more are under way in the slots of those that started them."""
    waiting: int
    """How many wait for a slot."""


class _Seat(weakref.ref[asyncio.Task[Any]]):
    """A task that has not finished, and what is known of it."""

    __slots__ = ("handle", "key", "own")

    # References are equal where what they refer to is; a seat is to be found when its task is gone.
    __hash__ = object.__hash__
    __eq__ = object.__eq__

    def __init__(self, task: Task, _: Callable[[_Seat], object]) -> None:
        self.key = id(task)
        self.handle: Handle | None = None
        self.own: tuple[str, ...] = ()
        """The attributes that the task was given to learn of what happens to it."""


class TaskLimit:
    """Holds tasks of `loop` back so that at most `max_tasks` are started and unfinished.

    The `append()` of the loop's ready queue asks `holds()` about every step of a task, there and then, for the task
    that runs is its parent. The queue gets by `ready(handle)` what was held back, to be queued like any other step
    without being asked about again. Its `clear()` calls `close()`. `rank(handle)` is asked for once for each task that
    has to wait: the lowest starts first, and of equal ones the first.

    Everything here is to be called in the loop's thread, or while the loop does not run; `report()` in any.
    """

    def __init__(
        self,
        loop: AbstractEventLoop,
        max_tasks: int,
        *,
        ready: Callable[[Handle], None],
        rank: Callable[[Handle], Any],
        on_idle: Callable[[AbstractEventLoop, Callable[[], bool]], Callable[[], None]] = tasks.on_idle,
    ) -> None:
        checked = checked_max_tasks(max_tasks)
        if checked is None:
            raise MaxTasksTypeError("a limit needs a number of tasks; None is for no limit")
        self.max_tasks = checked
        self._loop = loop
        self._ready = ready
        self._rank = rank
        self._slots: TaskSlots[_Seat] = TaskSlots(checked)
        self._seats: dict[int, _Seat] = {}
        self._lost: deque[_Seat] = deque()
        self._vanished = _when_vanished(loop, self, self._lost)
        self._undisturbed = _Undisturbed()
        # One for all done callbacks: those of each task would keep a context alive that its owner has done with.
        self._context = contextvars.Context()
        self._stalls = Stalls(loop, self._slots, self._seat)
        for task in asyncio.all_tasks(loop):  # they may have begun, and who are whose children is not known
            self._slots.put_outside(self._seated(task))
        self.may_stall = self._stalls.possible
        """Whether it matters when the loop is about to wait, `on_idle`, as some have taken steps and others wait."""
        self._stop_idle = on_idle(loop, self._stalls.idle)
        _limits[loop] = weakref.ref(self)

    def __repr__(self) -> str:
        report = self.report()
        return f"<{type(self).__name__} {report.started} of {report.max_tasks} started, {report.waiting} waiting>"

    def report(self) -> TaskLimitReport:
        """How it stands now."""
        slots = self._slots
        return TaskLimitReport(self.max_tasks, slots.started, slots.riding, slots.waiting)

    def holds(self, handle: Handle, task: Task) -> bool:
        """Whether `handle`, about to be queued, is kept here until a slot is free, because it would begin `task`."""
        if self.knows(task):
            return False
        if self._lost:
            self._sweep()
        if task.done() or task.get_loop() is not self._loop:  # call_soon(task.cancel)
            return False
        if not tasks.is_first_step(handle, task):
            self._force(task)
            return False
        with self._undisturbed:
            return self._enter(handle, task)

    def knows(self, task: Task) -> bool:
        """Whether this is a step of a task that may take steps: `holds()` for those who have no handle yet."""
        seat = self._seats.get(id(task))
        if seat is None or seat() is not task:
            return False
        self._stalls.stepped(seat)
        return True

    def _enter(self, handle: Handle, task: Task) -> bool:
        current = asyncio.current_task(self._loop)
        parent = None if current is None else self._seat(current) or self._force(current)
        seat = self._seated(task)
        if tasks.is_housekeeping(task):
            self._slots.put_outside(seat, with_all=True)
            return False
        standing = self._slots.enter(seat, lambda: self._rank(handle), parent)
        if standing is Standing.WAITS:
            seat.handle = handle
            self._look_out(task, seat)
            return True
        if not self._loop.is_running():
            self._look_out(task, seat)
        self._stalls.stepped(seat)
        return False

    def close(self) -> None:
        """Forget everything, as a loop that closes forgets its queue: what is held back will never start."""
        self._stop_idle()
        for seat in tuple(self._seats.values()):
            seat.handle = None
            if (task := seat()) is not None:
                _look_away(task, seat)
        self._seats.clear()
        self._slots.clear()

    def lift(self) -> None:
        """Start all that wait, and hold nothing back any more."""
        self._stop_idle()
        with self._undisturbed:
            self._release(self._slots.unlimit())
        _limits.pop(self._loop, None)

    def _seat(self, task: Task) -> _Seat | None:
        seat = self._seats.get(id(task))
        return seat if seat is not None and seat() is task else None

    def _seated(self, task: Task) -> _Seat:
        """A new seat for `task`, which is to be entered into `_slots` by the caller."""
        seat = self._seats[id(task)] = _Seat(task, self._vanished)
        tasks.add_done_callback(task, self._done, self._context)
        return seat

    def _force(self, task: Task) -> _Seat:
        seat = self._seated(task)
        self._slots.force(seat)
        return seat

    def _done(self, task: Task) -> None:
        if (seat := self._seat(task)) is not None:
            _look_away(task, seat)
            self._free(seat)

    def _free(self, seat: _Seat) -> None:
        if self._seats.get(seat.key) is seat:
            del self._seats[seat.key]
        self._stalls.forget(seat)
        with self._undisturbed:
            self._release(self._slots.finish(seat))

    def _release(self, seats: list[_Seat]) -> None:
        for seat in seats:
            self._stalls.stepped(seat)
            self._let_go(seat)

    def _let_go(self, seat: _Seat) -> None:
        """What is held back of its task, if anything, goes into the loop's queue."""
        task = seat()
        if seat.handle is not None and task is not None:
            # In this order: a step that a KeyboardInterrupt makes us queue twice is complained of, one that is lost
            # would be waited for at the end of the run, for ever.
            self._ready(seat.handle)
            seat.handle = None
            _look_away(task, seat)

    def _look_out(self, task: Any, seat: _Seat) -> None:
        """Learn of what happens to a task that has not begun."""

        def add_done_callback(callback: Callable[[Task], object], *, context: Any = None) -> None:
            type(task).add_done_callback(task, callback, context=context)
            if tasks.runs_until_complete(callback):
                self._run_for(seat)

        def cancel(*args: Any, **kwargs: Any) -> Any:
            answer = type(task).cancel(task, *args, **kwargs)
            if tasks.stays_cancelled(task):
                self._undisturbed.then(self._give_up, seat)
            return answer

        own = {"add_done_callback": add_done_callback, "cancel": cancel}
        seat.own = tuple(own) if seat.handle is not None else ("add_done_callback",)
        for name in seat.own:
            setattr(task, name, own[name])

    def _run_for(self, seat: _Seat) -> None:
        """The loop is about to run until this one is complete."""
        task = seat()
        if task is not None and self._seats.get(seat.key) is seat:
            _look_away(task, seat)
            with self._undisturbed:
                instead = self._slots.put_outside(seat)
                self._let_go(seat)
                self._release(instead)

    def _give_up(self, seat: _Seat) -> None:
        """Its task was cancelled; unless it has started meanwhile, it does not wait any more."""
        if seat.handle is not None:
            self._let_go(seat)
            self._free(seat)

    def _sweep(self) -> None:
        while self._lost:
            self._free(self._lost.popleft())


class _Undisturbed:
    """A block in which what is asked for by `then()` is put off to its end.

    `asyncio.Runner` cancels its task from a signal handler, between any two lines of ours; if that task waits, by way
    of `gather()`, for some that wait for a slot, they are cancelled there, too.
    """

    def __init__(self) -> None:
        self._depth = 0
        self._later: deque[Callable[[], object]] = deque()

    def __enter__(self) -> None:
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        try:
            while self._depth == 1 and self._later:  # within the block, so that these are not disturbed either
                self._later.popleft()()
        finally:
            self._depth -= 1
        if self._later and not self._depth:  # a signal came in between
            with self:
                pass

    def then(self, function: Callable[[_Seat], object], seat: _Seat) -> None:
        """Call `function(seat)` in such a block: at once, unless somebody is in one."""
        self._later.append(functools.partial(function, seat))
        if not self._depth:
            with self:
                pass


def _when_vanished(loop: AbstractEventLoop, limit: TaskLimit, lost: deque[_Seat]) -> Callable[[_Seat], None]:
    loop_ref, limit_ref = weakref.ref(loop), weakref.ref(limit)

    def vanished(seat: _Seat) -> None:
        loop, limit = loop_ref(), limit_ref()
        if loop is not None and limit is not None and not loop.is_closed():
            lost.append(seat)
            with contextlib.suppress(RuntimeError):  # closed meanwhile, in another thread
                loop.call_soon_threadsafe(limit._sweep)

    return vanished


def _look_away(task: Any, seat: _Seat) -> None:
    names, seat.own = seat.own, ()
    for name in names:
        with contextlib.suppress(AttributeError):  # somebody was there before: a test that put a stand-in in its place
            delattr(task, name)


_limits: weakref.WeakKeyDictionary[AbstractEventLoop, weakref.ref[TaskLimit]] = weakref.WeakKeyDictionary()


def task_limit(loop: AbstractEventLoop | None = None) -> TaskLimitReport | None:
    """How the limit on tasks of `loop`, by default the running one, stands now; None if it has none.

    From any thread. NoLoopError (a RuntimeError) if no loop is given and none is running.
    """
    reference = _limits.get(tasks.loop_asked(loop))
    limit = None if reference is None else reference()
    return None if limit is None else limit.report()
