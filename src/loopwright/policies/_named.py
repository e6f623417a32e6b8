"""Policies by name: each a few lines over `EventLoopPolicy`, and each takes that one's other parts as well."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from loopwright.errors import ArgumentsConflictError, WrongPlatformError
from loopwright.policies._policy import EventLoopPolicy
from loopwright.policies._private_parts import PrivateParts
from loopwright.policies._thread_loop import ThreadLoop

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loopwright.loops import LoopLike, TaskScheduler
    from loopwright.policies._abstract import ChildWatcher
    from loopwright.policies._scopes import ScopeName

__all__ = [
    "ContextEventLoopPolicy",
    "DeadlineEventLoopPolicy",
    "DefaultEventLoopPolicy",
    "DefaultPolicy",
    "FairEventLoopPolicy",
    "LimitedEventLoopPolicy",
    "NativeEventLoopPolicy",
    "PriorityEventLoopPolicy",
    "ProactorEventLoopPolicy",
    "RloopEventLoopPolicy",
    "SharedEventLoopPolicy",
    "ThreadedEventLoopPolicy",
    "UvloopEventLoopPolicy",
    "WindowsProactorEventLoopPolicy",
    "WindowsProactorPolicy",
    "WindowsSelectorEventLoopPolicy",
    "WindowsSelectorPolicy",
    "macOSPolicy",
]


class _Parts(TypedDict, total=False):
    child_watcher: ChildWatcher | None
    rules: str | None


class _ButLoop(_Parts, total=False):
    scope: ScopeName
    scheduler: TaskScheduler | str | None
    max_tasks: int | None


class _ButScope(_Parts, total=False):
    loop: LoopLike
    scheduler: TaskScheduler | str | None
    max_tasks: int | None


class _ButScheduler(_Parts, total=False):
    loop: LoopLike
    scope: ScopeName
    max_tasks: int | None


class _ButMaxTasks(_Parts, total=False):
    loop: LoopLike
    scope: ScopeName
    scheduler: TaskScheduler | str | None


def _said_once(policy: type, part: str, parts: Mapping[str, Any]) -> None:
    """ArgumentsConflictError for the part that this policy is: Python's own words would name a base class of it."""
    if part in parts:
        raise ArgumentsConflictError(
            f"{policy.__name__} says the {part} already, so {part}={parts[part]!r} is too much; leave it out, or use"
            f" EventLoopPolicy({part}={parts[part]!r})"
        )


# --- which loop


class DefaultEventLoopPolicy(PrivateParts, EventLoopPolicy):
    """A loop for each thread, of the platform's standard kind: what asyncio's own default policy gives.

    On Unix that is a selector loop, on Windows a proactor loop.
    """

    def __init__(self, **parts: Unpack[_ButLoop]) -> None:
        derived = type(self)._loop_factory is not PrivateParts._loop_factory
        _said_once(DefaultEventLoopPolicy, "loop", parts)
        super().__init__(loop=self._loop_factory if derived else "asyncio", **parts)


class NativeEventLoopPolicy(EventLoopPolicy):
    """Our own loops, `loopwright.loops.NativeEventLoop`. LoopUnavailableError (an ImportError) where they cannot run,
    with the reason and what to do. They take no scheduler but "fifo" (SchedulerRefusedError, a RuntimeError)."""

    def __init__(self, **parts: Unpack[_ButLoop]) -> None:
        _said_once(NativeEventLoopPolicy, "loop", parts)
        super().__init__(loop="native", **parts)


class UvloopEventLoopPolicy(EventLoopPolicy):
    """Loops of uvloop. LoopUnavailableError (an ImportError) with the command that installs it, where it is missing."""

    def __init__(self, **parts: Unpack[_ButLoop]) -> None:
        _said_once(UvloopEventLoopPolicy, "loop", parts)
        super().__init__(loop="uvloop", **parts)


class RloopEventLoopPolicy(EventLoopPolicy):
    """Loops of rloop. LoopUnavailableError (an ImportError) with the command that installs it, where it is missing."""

    def __init__(self, **parts: Unpack[_ButLoop]) -> None:
        _said_once(RloopEventLoopPolicy, "loop", parts)
        super().__init__(loop="rloop", **parts)


class WindowsSelectorEventLoopPolicy(EventLoopPolicy):
    """Selector loops, on Windows. WrongPlatformError (an ImportError) elsewhere."""

    def __init__(self, **parts: Unpack[_ButLoop]) -> None:
        _only_on("win32", type(self), "EventLoopPolicy(loop='selector'), which makes selector loops everywhere")
        _said_once(WindowsSelectorEventLoopPolicy, "loop", parts)
        super().__init__(loop="selector", **parts)


class WindowsProactorEventLoopPolicy(EventLoopPolicy):
    """Loops over completion ports, on Windows. WrongPlatformError (an ImportError) elsewhere."""

    def __init__(self, **parts: Unpack[_ButLoop]) -> None:
        _only_on("win32", type(self), "DefaultEventLoopPolicy(), which makes proactor loops on Windows")
        _said_once(WindowsProactorEventLoopPolicy, "loop", parts)
        super().__init__(loop="proactor", **parts)


class macOSPolicy(EventLoopPolicy):  # noqa: N801 - the name that people look for
    """The standard loop of macOS, over kqueue. WrongPlatformError (an ImportError) elsewhere."""

    def __init__(self, **parts: Unpack[_ButLoop]) -> None:
        _only_on("darwin", type(self), "DefaultEventLoopPolicy(), which makes the standard loop of every platform")
        _said_once(macOSPolicy, "loop", parts)
        super().__init__(loop="selector", **parts)


DefaultPolicy = DefaultEventLoopPolicy
ProactorEventLoopPolicy = WindowsProactorEventLoopPolicy
WindowsProactorPolicy = WindowsProactorEventLoopPolicy
WindowsSelectorPolicy = WindowsSelectorEventLoopPolicy


def _only_on(platform: str, policy: type, instead: str) -> None:
    if sys.platform != platform:
        name = {"win32": "Windows", "darwin": "macOS"}[platform]
        raise WrongPlatformError(f"{policy.__name__} is for {name} and this is {sys.platform}; use {instead}")


# --- for whom


class SharedEventLoopPolicy(EventLoopPolicy):
    """One loop for the process: the thread that runs it gets the loop, every other a `LoopHandle`."""

    def __init__(self, **parts: Unpack[_ButScope]) -> None:
        _said_once(SharedEventLoopPolicy, "scope", parts)
        super().__init__(scope="shared", **parts)


class ContextEventLoopPolicy(EventLoopPolicy):
    """A loop for each context of `contextvars`; its copies see it until they set one of their own."""

    def __init__(self, **parts: Unpack[_ButScope]) -> None:
        _said_once(ContextEventLoopPolicy, "scope", parts)
        super().__init__(scope="context", **parts)


class ThreadedEventLoopPolicy(EventLoopPolicy):
    """Each new loop runs in a thread of its own, from the start to its `close()`, so their work goes on side by side.

    `new_event_loop()` gives a `ThreadLoop`, which any thread may use and which `asyncio.run()` takes as any other; code
    that runs within it sees the loop that was made. `close()` ends the loops of all threads that are open.
    """

    def _make(self) -> ThreadLoop:
        return ThreadLoop(super()._make)


# --- in which order


class PriorityEventLoopPolicy(EventLoopPolicy):
    """Urgent tasks overtake others that are ready already: `with loopwright.priority("urgent"): ...`."""

    def __init__(self, **parts: Unpack[_ButScheduler]) -> None:
        _said_once(PriorityEventLoopPolicy, "scheduler", parts)
        super().__init__(scheduler="priority", **parts)


class FairEventLoopPolicy(EventLoopPolicy):
    """Groups of tasks get the loop in proportion to weights: `with loopwright.group("tenant-7", weight=2): ...`."""

    def __init__(self, **parts: Unpack[_ButScheduler]) -> None:
        _said_once(FairEventLoopPolicy, "scheduler", parts)
        super().__init__(scheduler="fair", **parts)


class DeadlineEventLoopPolicy(EventLoopPolicy):
    """Of the tasks that are ready, the one whose deadline is first: `with loopwright.deadline(...): ...`."""

    def __init__(self, **parts: Unpack[_ButScheduler]) -> None:
        _said_once(DeadlineEventLoopPolicy, "scheduler", parts)
        super().__init__(scheduler="deadline", **parts)


class LimitedEventLoopPolicy(EventLoopPolicy):
    """At most `max_tasks` tasks, 1 or more, are under way at a time on each loop; the others wait for their turn."""

    def __init__(self, max_tasks: int, **parts: Unpack[_ButMaxTasks]) -> None:
        super().__init__(max_tasks=max_tasks, **parts)
