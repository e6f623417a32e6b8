"""Every exception that Loopwright raises on purpose.

One root, and three families named by whose fault it is, so that a program can tell them apart with three `except`
clauses: the calling program (`CallerError`), a configuration file (`ConfigurationError`) or the machine
(`MachineError`). Where asyncio or the standard library documents a built-in exception for
the same mistake, ours inherits from that one too: code written against asyncio keeps working.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "ArgumentsConflictError",
    "CallerError",
    "ClockStuckError",
    "ConfigurationError",
    "LeakError",
    "LoopRunningError",
    "LoopUnavailableError",
    "LoopwrightError",
    "MachineError",
    "MechanismUnavailableError",
    "NoLoopError",
    "NotALoopError",
    "NotAPolicyError",
    "NotAWatcherError",
    "UnknownLoopError",
    "WatcherClosedError",
    "WrongLoopError",
    "WrongThreadError",
]


class LoopwrightError(Exception):
    """The root of all exceptions that Loopwright defines."""


class CallerError(LoopwrightError):
    """The calling program made a mistake: a wrong argument, a wrong thread, a call at the wrong time."""


class ArgumentsConflictError(CallerError, TypeError):
    """Arguments were given together of which only one can hold."""


class NotALoopError(CallerError, TypeError):
    """Something that is no event loop, or does not make one, was given as one."""


class NotAPolicyError(CallerError, TypeError):
    """Something that is no event loop policy was given as one."""


class NotAWatcherError(CallerError, TypeError):
    """Something that is no child watcher was given as one."""


class UnknownLoopError(CallerError, ValueError):
    """No event loop goes by the name that was asked for; the message offers the nearest one."""


class NoLoopError(CallerError, RuntimeError):
    """A call needs an event loop, and there is none here: none running, and none set or attached."""


class LoopRunningError(CallerError, RuntimeError):
    """A loop that still runs was asked to do what only a stopped one can, such as being closed."""


class WatcherClosedError(CallerError, RuntimeError):
    """A child watcher was used after its `close()`."""


class ClockStuckError(CallerError, RuntimeError):
    """A loop with a fake clock waits for something that can never happen; the message names the tasks that wait."""


class LeakError(CallerError, AssertionError):
    """A block of code left something behind; the message names each thing (`testing.LeakCheck`)."""


class WrongLoopError(CallerError, RuntimeError):
    """Something that belongs to one event loop was used from another; the message names both."""


class WrongThreadError(CallerError, RuntimeError):
    """A call that only one thread may make, mostly the main one, was made in another."""


class ConfigurationError(LoopwrightError):
    """A configuration file is wrong; nothing was started.

    `mistakes` holds every mistake found, as one sentence each (file, key, what was found, what would be right).
    """

    def __init__(self, mistakes: Sequence[object]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))


class MachineError(LoopwrightError):
    """This machine lacks what was asked for: a kernel feature, a library, a permission."""


class LoopUnavailableError(MachineError, ImportError):
    """An event loop that exists is not installed here, or not for this platform; the message says how to get it."""


class MechanismUnavailableError(MachineError, OSError):
    """A kernel mechanism that was asked for does not work here; the message says what was tried and what it said."""
