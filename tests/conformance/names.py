"""Puts Loopwright's names into asyncio, for CPython's own tests to find them there. For a process of its own only.

Theory of operation. The tests take what they test from `asyncio`, `asyncio.unix_events` and `asyncio.events`. These get
our watchers, our policies and our four functions, whether the Python has such names of its own (3.11 to 3.13) or not.
asyncio makes its default policy by looking a name up in its package, so that one is ours, too, and with it the loops of
`asyncio.run()` and `asyncio.new_event_loop()`.

What is put there are subclasses that differ from ours in nothing that is tested; they add what the tests' own helpers
touch besides:

- The constructors of three watchers, and `get_child_watcher()` and `set_child_watcher()`, warn that they are
  deprecated, from 3.12 on: `setUp` and a test assert it. Ours are not deprecated.
- `ThreadedChildWatcher._threads`: after each test the helpers wait for the watcher's threads, as ours would do by
  themselves.
- `FastChildWatcher._callbacks.clear()`: a test drops the handler of a child whose status it took itself.

With `mutant`, every watcher of ours takes its handlers and never calls one. A run that passes all the same was a run
of something else.
"""

from __future__ import annotations

import asyncio
import asyncio.events
import asyncio.unix_events
import functools
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any

from loopwright import policies, watchers
from loopwright.loops import _asyncio_private as private

if TYPE_CHECKING:
    from collections.abc import Callable

DEPRECATED = ("SafeChildWatcher", "FastChildWatcher", "MultiLoopChildWatcher")
KINDS = ("SafeChildWatcher", "FastChildWatcher", "MultiLoopChildWatcher", "ThreadedChildWatcher", "PidfdChildWatcher")


class Callbacks:
    """As much of a dictionary of handlers as is touched."""

    def __init__(self, watcher: Any) -> None:
        self._watcher = watcher

    def clear(self) -> None:
        for pid in tuple(self._watcher.children):
            self._watcher.remove_child_handler(pid)


def waiting_threads(_watcher: Any) -> dict[str, threading.Thread]:
    return {thread.name: thread for thread in threading.enumerate() if thread.name.startswith("loopwright-waitid-")}


def watcher_class(name: str, *, warns: bool) -> type:
    ours = getattr(watchers, name)

    def __init__(self: Any) -> None:  # noqa: N807
        if warns:
            warnings.warn(f"{name!r} is deprecated, as asyncio says it from 3.12 on", DeprecationWarning, stacklevel=2)
        ours.__init__(self)

    members: dict[str, Any] = {"__init__": __init__, "__module__": __name__}
    if name == "ThreadedChildWatcher":
        members["_threads"] = property(waiting_threads)
    if name == "FastChildWatcher":
        members["_callbacks"] = property(Callbacks)
    return type(name, (ours,), members)


def function(name: str, *, warns: bool) -> Callable[..., Any]:
    ours: Callable[..., Any] = getattr(policies, name)

    @functools.wraps(ours)
    def warning(*args: Any) -> Any:
        warnings.warn(f"{name!r} is deprecated, as asyncio says it from 3.12 on", DeprecationWarning, stacklevel=2)
        return ours(*args)

    return warning if warns else ours


#: How many children were handed to a watcher that is disabled.
asked: list[int] = []


def disable_watchers() -> None:
    for name in KINDS:
        getattr(watchers, name).add_child_handler = lambda _watcher, pid, *_: asked.append(pid)


def install(tests_version: tuple[int, int], *, mutant: bool) -> None:
    """Put the names where tests of that version of Python look for them."""
    warns = tests_version >= (3, 12)
    names: dict[str, Any] = {name: watcher_class(name, warns=warns and name in DEPRECATED) for name in KINDS}
    names["AbstractChildWatcher"] = watchers.AbstractChildWatcher
    for name in ("get_child_watcher", "set_child_watcher"):
        names[name] = function(name, warns=warns)
    for name in ("get_event_loop_policy", "set_event_loop_policy"):
        names[name] = getattr(policies, name)
    names["AbstractEventLoopPolicy"] = policies.AbstractEventLoopPolicy
    # asyncio makes its default by the second name from 3.14 on.
    names["DefaultEventLoopPolicy"] = names["_DefaultEventLoopPolicy"] = policies.DefaultEventLoopPolicy
    if sys.version_info >= (3, 14):
        # A loop made by hand would use its own watcher, where it used to ask the policy.
        class SelectorEventLoop(asyncio.SelectorEventLoop):
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **kwargs)
                private.serve_subprocesses(self, policies.get_child_watcher)

        names["SelectorEventLoop"] = SelectorEventLoop
    for module in (asyncio, asyncio.unix_events, asyncio.events):
        vars(module).update(names)
    private.install_policy(None)
    if mutant:
        disable_watchers()
