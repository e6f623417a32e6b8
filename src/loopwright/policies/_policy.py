"""The policy that every named policy is a few lines over."""

from __future__ import annotations

import asyncio
import functools
import os
import threading
import warnings
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from loopwright import watchers
from loopwright._core import scheduler_names
from loopwright.errors import NoLoopError, NotALoopError, PolicyUnmadeError, SchedulerRefusedError
from loopwright.loops import (
    FirstInFirstOut,
    loop_factory,
    loop_names,
    schedule,
    scheduler_named,
    watches_by_itself,
)
from loopwright.loops._limit import checked_max_tasks
from loopwright.loops._names import NATIVE, queues_by_itself
from loopwright.loops._native_obstacle import NO_SCHEDULER_YET
from loopwright.policies._abstract import AbstractEventLoopPolicy, checked_watcher
from loopwright.policies._inherited import leave_to_parent
from loopwright.policies._loop_watcher import give_watcher, ignored
from loopwright.policies._made import MadeLoops
from loopwright.policies._private_parts import LocalPart
from loopwright.policies._process_rules import process_rules
from loopwright.policies._rules import WithoutLoop, checked_rules, stacklevel_outside, without_loop
from loopwright.policies._scopes import NOWHERE, Place, ScopeName, new_scope

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable

    from loopwright.loops import LoopFactory, LoopLike, TaskScheduler
    from loopwright.policies._abstract import ChildWatcher

__all__ = ["EventLoopPolicy"]

Init = TypeVar("Init", bound="Callable[..., None]")

#: What `__init__()` gives an object.
PARTS = ("_rules", "_scope", "_scheduler", "_max_tasks", "_kind", "_watcher", "_made")
OLD_PROGRAM = (
    " A program that was written for a Python that made one here runs with rules='3.11'"
    " (EventLoopPolicy, install()), or by `loopwright run --legacy`."
)


@dataclass(frozen=True, slots=True)
class _Kind:
    """Which loops a policy makes."""

    given: LoopLike
    make: LoopFactory
    compiled: str | None
    """The package, where they hear of exits by means of their own."""


def _by_name(init: Init) -> Init:
    """As it is, but for what is said where a part is given without its name. By wrapping, which keeps the signature."""

    @functools.wraps(init)
    def checked(self: Any, *given: Any, **parts: Any) -> None:
        if given:
            raise TypeError(f"the parts of a policy go by name, and {given[0]!r} has none: {_named_part(given[0])}")
        init(self, **parts)

    checked_init: Any = checked
    return checked_init  # type: ignore[no-any-return] # with the signature of what it wraps


class EventLoopPolicy(LocalPart, AbstractEventLoopPolicy):
    """A policy put together from parts, each of which may be left out.

    - `loop`: which loops it makes: a name, a class or a factory, as `loopwright.loops.loop_factory()` takes it, and
      with the exceptions it raises.
    - `scope`: for whom it keeps a loop. "thread": each thread has its own, as in asyncio. "context": each context of
      `contextvars` has; its copies see it, in whatever thread, until they set one of their own. "shared": the whole
      process has one; the thread that runs it, or while it does not run the thread that set it, gets the loop itself,
      and every other thread a `LoopHandle`, which has only what is safe there.
    - `scheduler`: in which order the steps of tasks run on these loops: a `TaskScheduler` or the name of one; None is
      asyncio's order. `max_tasks`: how many tasks are under way at a time, 1 or more; None is any number. Both as
      `loopwright.loops.schedule()` takes them, and with the exceptions it raises: at once for what they never can be,
      and a scheduler for the native loop and those of uvloop and rloop, which can take a bound but none of these
      (SchedulerRefusedError, a RuntimeError).
    - `child_watcher`: the watcher that asyncio's subprocesses (`asyncio.create_subprocess_exec()`,
      `loop.subprocess_exec()` and so on) are handed to by the standard and native loops that this policy makes, on
      every Python; None is the process's own, `loopwright.watchers.process_watcher()`. uvloop and rloop hear of exits
      by themselves, so a watcher for those is a WatcherIgnoredError (a RuntimeError).
    - `rules`: the Python, "3.11" to "3.15", as whose `get_event_loop()` behaves where no loop is set; None is the
      running one. It holds for `asyncio.get_event_loop()`, too, on every Python whose asyncio asks a policy.

    A scope or rules that there are not is a PolicyOptionError (a ValueError).

    Every method may be called from any thread, and speaks of the thread, or what else the scope tells apart, that it
    is called from. After a fork, the child has none of its parent's loops, and `close()` there does not touch them.
    """

    @_by_name
    def __init__(
        self,
        *,
        loop: LoopLike = "asyncio",
        scope: ScopeName = "thread",
        scheduler: TaskScheduler | str | None = None,
        max_tasks: int | None = None,
        child_watcher: ChildWatcher | None = None,
        rules: str | None = None,
    ) -> None:
        self._rules = None if rules is None else checked_rules(rules)
        self._scope = new_scope(scope)
        self._scheduler = scheduler_named(scheduler)
        self._max_tasks = checked_max_tasks(max_tasks)
        self._watcher: ChildWatcher | None = None
        self._kind = self._checked_kind(loop)
        self._watcher = None if child_watcher is None else self._checked_watcher(child_watcher)
        self._made = MadeLoops()
        _policies.add(self)

    if not TYPE_CHECKING:  # for a type checker there would be every attribute

        def __getattr__(self, name: str) -> Any:
            if name in PARTS and "_made" not in vars(self):
                raise PolicyUnmadeError(
                    f"{type(self).__qualname__} has an __init__() that does not call super().__init__(), so it has no"
                    " parts; call that first"
                )
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

    def __repr__(self) -> str:
        if "_made" not in vars(self):
            return f"<{type(self).__module__}.{type(self).__qualname__}, whose super().__init__() was not called>"
        given = self._kind.given
        parts = {
            "loop": given if isinstance(given, str) else getattr(given, "__qualname__", repr(given)),
            "scope": self._scope.name,
            "scheduler": None if self._scheduler == FirstInFirstOut() else self._scheduler,
            "max_tasks": self._max_tasks,
            "child_watcher": self._watcher,
            "rules": self._rules,
        }
        told = " ".join(f"{name}={part}" for name, part in parts.items() if part is not None)
        return f"<{type(self).__module__}.{type(self).__qualname__} {told}>"

    def get_event_loop(self) -> AbstractEventLoop:
        """The loop set for the caller: its thread, its context, or the process, by the policy's scope.

        If none is set, the policy's rules hold. In the main thread, as long as `set_event_loop()` was not called
        there (in that context; anywhere, where one is shared), a loop is made and set: silently by the rules of 3.11,
        with a DeprecationWarning by those of 3.12 and 3.13. In every other case, and always by those of 3.14 and
        later: NoLoopError (a RuntimeError).

        A loop that the policy's `close()` has closed counts as none, and as never set. Where one loop is shared, a
        thread that it does not belong to gets a `LoopHandle`.
        """
        place = self._place()
        if place.loop is None:
            self._make_current(set_called=place.set_called)
            place = self._place()
        if place.loop is None:
            made_once = without_loop("3.11", main_thread=_in_main_thread(), set_called=place.set_called)
            old = "" if made_once is WithoutLoop.REFUSE else OLD_PROGRAM
            raise NoLoopError(
                f"There is no current event loop in thread {threading.current_thread().name!r}."
                f" Run the code with loopwright.run(), or give this thread a loop with set_event_loop().{old}"
            )
        return self._scope.seen(place.loop)

    def _place(self) -> Place:
        """The caller's, without a loop that `close()` has closed."""
        place = self._scope.place()
        # Nothing is put in its stead: where one loop is shared, another thread may be about to.
        return NOWHERE if place.ours and place.loop is not None and place.loop not in self._made else place

    def _make_current(self, *, set_called: bool) -> None:
        """Make and set a loop, if the rules say so."""
        todo = without_loop(self._rules or process_rules(), main_thread=_in_main_thread(), set_called=set_called)
        if todo is WithoutLoop.MAKE_AND_WARN:
            warnings.warn("There is no current event loop", DeprecationWarning, stacklevel=stacklevel_outside())
        if todo is not WithoutLoop.REFUSE:
            self.set_event_loop(self.new_event_loop())

    def set_event_loop(self, loop: AbstractEventLoop | None) -> None:
        """Make `loop` the caller's; None for none. Any loop will do, as in asyncio, whoever made it or runs it.

        In the main thread, a child watcher that was given to this policy has the loop attached, as asyncio
        does it. NotALoopError (a TypeError) if `loop` is neither a loop nor None. WrongThreadError (a RuntimeError)
        where one loop is shared and open, and another thread runs it or has set it: only that thread can replace it.
        Either way nothing changes.
        """
        if loop is not None and not isinstance(loop, asyncio.AbstractEventLoop):
            raise NotALoopError(f"loop must be an instance of AbstractEventLoop or None, not {loop!r}")
        self._scope.put(Place(loop, ours=loop is not None and loop in self._made, set_called=True))
        if self._watcher is not None and _in_main_thread():
            self._watcher.attach_loop(loop)

    def new_event_loop(self) -> AbstractEventLoop:
        """A new loop of the kind this policy makes, with its scheduler and watcher; not set as anybody's.

        Who asked for it closes it; what is forgotten is closed by the policy's `close()`. NotALoopError (a
        TypeError) if the factory given to the policy returns something else. If a scheduler, a bound on tasks or a
        child watcher was given to this policy, and only the loop that the factory made shows that it can take none:
        what giving it to the policy by name would have raised, and the loop is closed.
        """
        loop = self._make()
        self._made.add(loop)
        return loop

    def _make(self) -> AbstractEventLoop:
        loop = self._kind.make()
        try:
            self._equip(loop)
        except BaseException:
            loop.close()
            raise
        return loop

    def _equip(self, loop: AbstractEventLoop) -> None:
        if self._watcher is not None and (package := watches_by_itself(loop)):
            raise ignored(self._watcher, package)
        schedule(loop, scheduler=self._scheduler, max_tasks=self._max_tasks)
        # Asked at every subprocess, so that a subclass's get_child_watcher() counts, and set_child_watcher() at once.
        give_watcher(loop, self.get_child_watcher, given=self._watcher)

    def set_factory(self, loop: LoopLike) -> None:
        """Make loops of this kind from now on: a name, a class or a factory, with the exceptions of `loop=`.

        Also refused as there is what the rest of the policy cannot go with; then nothing changes. Loops made before
        go on, stay whose they are, and are closed by `close()`.
        """
        self._kind = self._checked_kind(loop)

    def _checked_kind(self, loop: LoopLike) -> _Kind:
        kind = _Kind(loop, loop_factory(loop), watches_by_itself(loop))
        if kind.compiled is not None and self._watcher is not None:
            raise ignored(self._watcher, kind.compiled)
        whose = queues_by_itself(loop)
        if whose is not None and type(self._scheduler) is not FirstInFirstOut:
            # What `schedule()` would say of the first loop, before there is one.
            raise SchedulerRefusedError(
                f"scheduler={self._scheduler!r} would do nothing on loops of {whose}: they queue what is ready by"
                " themselves, where nobody else can order it; leave that out, or use it with loop='asyncio'"
                if whose != NATIVE
                else f"scheduler={self._scheduler!r} is refused by the native loop: {NO_SCHEDULER_YET};"
                " leave that out, or use it with loop='asyncio'"
            )
        return kind

    def close(self) -> None:
        """Close every loop that this policy made and that is still open; with none left, do nothing.

        May be called again, and the policy may be used on. LoopRunningError if one of the loops is running,
        in this thread or another; then none is closed. The child watcher is left alone: it belongs to who
        made it.
        """
        self._made.close_all()

    # The override: typeshed knows only asyncio's own watcher classes, from which ours do not inherit.
    def get_child_watcher(self) -> ChildWatcher:  # type: ignore[override]
        """The watcher given to this policy, else the process's own."""
        return watchers.process_watcher() if self._watcher is None else self._watcher

    def set_child_watcher(self, watcher: ChildWatcher | None) -> None:
        """Use `watcher` from now on; with None, the process's own.

        Anything that has the methods of `loopwright.watchers.AbstractChildWatcher` will do. The watcher given
        to this policy before is closed, as asyncio does it; the process's own is not. NotAWatcherError (a
        TypeError) for what is no watcher, and WatcherIgnoredError (a RuntimeError) if the loops of this policy
        are uvloop's or rloop's, which ask no watcher; then nothing changes.
        """
        new = None if watcher is None else self._checked_watcher(watcher)
        old, self._watcher = self._watcher, new
        if old is not None and old is not new:
            old.close()

    def _checked_watcher(self, watcher: ChildWatcher) -> ChildWatcher:
        checked = checked_watcher(watcher)
        if self._kind.compiled is not None:
            raise ignored(checked, self._kind.compiled)
        return checked

    def _leave_to_parent(self) -> None:
        """In a forked child: have no loops."""
        loop = self._scope.place().loop
        if loop is not None:
            leave_to_parent(loop)  # somebody else may have made it, so _made need not know it
        self._scope.leave_to_parent()
        self._made.leave_to_parent()


def _named_part(given: Any) -> str:
    if isinstance(given, str):
        parts = {"loop": loop_names(), "scheduler": scheduler_names(), "scope": get_args(ScopeName)}
        part = next((part for part, names in parts.items() if given in names), None)
        return f"policy_from({given!r})" if part is None else f"EventLoopPolicy({part}={given!r})"
    part = "max_tasks" if isinstance(given, int) else "loop"
    return f"EventLoopPolicy({part}={given!r})"


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


_policies: weakref.WeakSet[EventLoopPolicy] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for policy in tuple(_policies):
        policy._leave_to_parent()


if hasattr(os, "register_at_fork"):  # Unix
    # Once for all policies, and weakly: what is registered there can never be taken back.
    os.register_at_fork(after_in_child=_after_fork_in_child)
