"""The policy that every named policy is a few lines over."""

from __future__ import annotations

import asyncio
import os
import threading
import warnings
import weakref
from typing import TYPE_CHECKING

from loopwright import watchers
from loopwright.errors import NoLoopError, NotALoopError, WatcherIgnoredError
from loopwright.loops import loop_factory, watches_by_itself
from loopwright.loops._asyncio_private import detach_inherited, serve_subprocesses
from loopwright.policies._abstract import AbstractEventLoopPolicy, checked_watcher
from loopwright.policies._made import MadeLoops
from loopwright.policies._private_parts import PrivateParts
from loopwright.policies._process_rules import process_rules
from loopwright.policies._rules import WithoutLoop, stacklevel_outside, without_loop

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from loopwright.loops import LoopLike
    from loopwright.policies._abstract import ChildWatcher

__all__ = ["DefaultEventLoopPolicy", "EventLoopPolicy", "ignored"]


class _Slot(threading.local):
    """What a policy knows of the calling thread."""

    loop: AbstractEventLoop | None = None
    ours: bool = False
    """Whether the policy made that loop."""
    set_called: bool = False


class EventLoopPolicy(AbstractEventLoopPolicy):
    """A policy put together from parts; each thread has an event loop of its own.

    `loop` says which loops it makes: a name, a class or a factory, as `loopwright.loops.loop_factory()` takes
    it, and with the exceptions it raises. `child_watcher` is the watcher that asyncio's subprocesses
    (`asyncio.create_subprocess_exec()`, `loop.subprocess_exec()` and so on) are handed to by the standard loops
    that this policy makes, on every Python; None is the process's own,
    `loopwright.watchers.process_watcher()`. uvloop and rloop hear of exits by themselves, so a watcher for
    those is a WatcherIgnoredError (a RuntimeError).

    Every method may be called from any thread, and speaks of the thread it is called from. After a fork, the
    child has none of its parent's loops, and `close()` there does not touch them.
    """

    def __init__(self, *, loop: LoopLike = "asyncio", child_watcher: ChildWatcher | None = None) -> None:
        self._make = loop_factory(loop)
        self._ignores_watchers = watches_by_itself(loop)
        self._watcher = None if child_watcher is None else self._checked_watcher(child_watcher)
        self._made = MadeLoops()
        # Not `_local`: since 3.12 asyncio puts a thread-local of its own there after a fork.
        self._slot = _Slot()
        _policies.add(self)

    def get_event_loop(self) -> AbstractEventLoop:
        """The loop set for this thread.

        If none is set, the rules of the running Python hold. In the main thread, as long as
        `set_event_loop()` was not called there, a loop is made and set: silently on 3.11, with a
        DeprecationWarning on 3.12 and 3.13. In every other case, and always since 3.14: NoLoopError (a
        RuntimeError).

        A loop that the policy's `close()` has closed counts as none, and as never set.
        """
        slot = self._slot
        if slot.ours and slot.loop is not None and slot.loop not in self._made:
            slot.loop, slot.ours, slot.set_called = None, False, False
        if slot.loop is None:
            self._make_current(set_called=slot.set_called)
        if slot.loop is None:
            raise NoLoopError(
                f"There is no current event loop in thread {threading.current_thread().name!r}."
                " Run the code with loopwright.run(), or give this thread a loop with set_event_loop()."
            )
        return slot.loop

    def _make_current(self, *, set_called: bool) -> None:
        """Make and set a loop, if the rules say so."""
        in_main_thread = threading.current_thread() is threading.main_thread()
        todo = without_loop(process_rules(), main_thread=in_main_thread, set_called=set_called)
        if todo is WithoutLoop.MAKE_AND_WARN:
            warnings.warn("There is no current event loop", DeprecationWarning, stacklevel=stacklevel_outside())
        if todo is not WithoutLoop.REFUSE:
            self.set_event_loop(self.new_event_loop())

    def set_event_loop(self, loop: AbstractEventLoop | None) -> None:
        """Make `loop` this thread's; None for none.

        In the main thread, a child watcher that was given to this policy has the loop attached, as asyncio
        does it. NotALoopError (a TypeError) if `loop` is neither a loop nor None; then nothing changes.
        """
        if loop is not None and not isinstance(loop, asyncio.AbstractEventLoop):
            raise NotALoopError(f"loop must be an instance of AbstractEventLoop or None, not {loop!r}")
        slot = self._slot
        slot.loop, slot.ours, slot.set_called = loop, loop is not None and loop in self._made, True
        if self._watcher is not None and threading.current_thread() is threading.main_thread():
            self._watcher.attach_loop(loop)

    def new_event_loop(self) -> AbstractEventLoop:
        """A new loop of the kind this policy makes, not set as this thread's.

        Who asked for it closes it; what is forgotten is closed by the policy's `close()`. NotALoopError (a
        TypeError) if the factory given to the policy returns something else. WatcherIgnoredError if a child
        watcher was given to this policy and the factory, as only its result shows, makes loops of uvloop or
        rloop.
        """
        loop = self._make()
        if self._watcher is not None and (package := watches_by_itself(loop)):
            loop.close()
            raise ignored(self._watcher, package)
        # Asked at every subprocess, so that a subclass's get_child_watcher() counts, and set_child_watcher() at once.
        serve_subprocesses(loop, self.get_child_watcher)
        self._made.add(loop)
        return loop

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
        if self._ignores_watchers is not None:
            raise ignored(checked, self._ignores_watchers)
        return checked

    def _leave_to_parent(self) -> None:
        """In a forked child: have no loops."""
        if self._slot.loop is not None:
            detach_inherited(self._slot.loop)  # somebody else may have made it, so _made need not know it
        self._slot = _Slot()
        self._made.leave_to_parent()


def ignored(watcher: ChildWatcher, package: str) -> WatcherIgnoredError:
    return WatcherIgnoredError(
        f"{watcher!r} would never be asked: loops of {package} watch their own subprocesses. Leave the watcher out,"
        " or use it with loop='asyncio'; loopwright.process.spawn() and the watcher's own methods work on either"
    )


class DefaultEventLoopPolicy(PrivateParts, EventLoopPolicy):
    """A loop for each thread, of the platform's standard kind: what asyncio's own default policy gives.

    On Unix that is a selector loop, on Windows a proactor loop.
    """

    def __init__(self) -> None:
        super().__init__(loop=self._loop_factory)


_policies: weakref.WeakSet[EventLoopPolicy] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for policy in tuple(_policies):
        policy._leave_to_parent()


if hasattr(os, "register_at_fork"):  # Unix
    # Once for all policies, and weakly: what is registered there can never be taken back.
    os.register_at_fork(after_in_child=_after_fork_in_child)
