"""Every exception that Loopwright raises on purpose.

One root, and families named by whose fault it is, so that a program can tell them apart with one `except` clause each:
the calling program (`CallerError`), a configuration file (`ConfigurationError`), the machine (`MachineError`) or a
child process (`ChildError`). Where asyncio or the standard library documents a built-in exception for
the same mistake, ours inherits from that one too: code written against asyncio keeps working. `TaskStallWarning` is
no exception but a warning, and of no family.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "ArgumentsConflictError",
    "CallerError",
    "ChildError",
    "ClockStuckError",
    "ConfigurationError",
    "InstallError",
    "LeakError",
    "LoopClosedError",
    "LoopDiedError",
    "LoopPoolClosedError",
    "LoopRunningError",
    "LoopStuckError",
    "LoopUnavailableError",
    "LoopwrightError",
    "MachineError",
    "MaxTasksTypeError",
    "MaxTasksValueError",
    "MechanismUnavailableError",
    "NoLoopError",
    "NoSuchProcessError",
    "NotACoroutineError",
    "NotALoopError",
    "NotAPolicyError",
    "NotAProcessError",
    "NotASchedulerError",
    "NotAWatcherError",
    "OutputLimitError",
    "PolicyBlockError",
    "PolicyConfigurationError",
    "PolicyOptionError",
    "PolicyUnmadeError",
    "PoolClosedError",
    "PoolFullError",
    "PoolSizeError",
    "ProcessFailedError",
    "ProcessTimeoutError",
    "SchedulerRefusedError",
    "SchedulingTypeError",
    "SchedulingValueError",
    "TaskStallWarning",
    "TextModeError",
    "UnknownBalanceError",
    "UnknownLaneError",
    "UnknownLoopError",
    "UnknownSchedulerError",
    "WatcherClosedError",
    "WatcherIgnoredError",
    "WatcherInactiveError",
    "WatcherStartError",
    "WrongLoopError",
    "WrongPlatformError",
    "WrongThreadError",
]


class LoopwrightError(Exception):
    """The root of all exceptions that Loopwright defines."""


class CallerError(LoopwrightError):
    """The calling program made a mistake: a wrong argument, a wrong thread, a call at the wrong time."""


class ArgumentsConflictError(CallerError, TypeError):
    """Arguments were given together of which only one can hold."""


class NotACoroutineError(CallerError, TypeError, ValueError):
    """A coroutine function was given where its coroutine is needed. asyncio: ValueError up to 3.13, then TypeError."""


class NotALoopError(CallerError, TypeError):
    """Something that is no event loop, or does not make one, was given as one."""


class NotAPolicyError(CallerError, TypeError):
    """Something that is no event loop policy was given as one."""


class PolicyOptionError(CallerError, ValueError):
    """A part of a policy was given as something that it cannot be; the message names what it can be, nearest first."""


class PolicyUnmadeError(CallerError, AttributeError):
    """A policy was used whose class has an `__init__()` that does not call that of `EventLoopPolicy`."""


class PolicyBlockError(CallerError, RuntimeError):
    """Blocks of `policy()` were not entered and left like brackets; the message says what was made of it."""


class NotAWatcherError(CallerError, TypeError):
    """Something that is no child watcher was given as one."""


class UnknownLoopError(CallerError, ValueError):
    """No event loop goes by the name that was asked for; the message offers the nearest one."""


class NotASchedulerError(CallerError, TypeError):
    """Something that is no task scheduler was given as one."""


class UnknownSchedulerError(CallerError, ValueError):
    """No task scheduler goes by the name that was asked for; the message offers the nearest one."""


class UnknownLaneError(CallerError, ValueError):
    """No lane of the loop goes by the name that was asked for; the message offers the nearest one."""


class SchedulerRefusedError(CallerError, RuntimeError):
    """A loop was given a task scheduler that it cannot take, or not now, or asked for what its scheduler has not."""


class SchedulingTypeError(CallerError, TypeError):
    """A part of a task scheduler, or what a block wishes of one, was given as something of the wrong type."""


class SchedulingValueError(CallerError, ValueError):
    """A part of a task scheduler, or what a block wishes of one, was given as something that it cannot be."""


class MaxTasksTypeError(CallerError, TypeError):
    """A bound on the tasks of a loop was given as something that is no whole number."""


class MaxTasksValueError(CallerError, ValueError):
    """A bound on the tasks of a loop would let none start."""


class TaskStallWarning(RuntimeWarning):
    """Every task that a bound lets run waits for one that waits to be let: the message says which for which.

    A warning and no exception: it is given by `warnings.warn()`, and where that raises it, to the loop's exception
    handler.
    """


class UnknownBalanceError(CallerError, ValueError):
    """No rule for balancing goes by the name that was asked for; the message offers the nearest one."""


class NoLoopError(CallerError, RuntimeError):
    """A call needs an event loop, and there is none here: none running, and none set or attached."""


class InstallError(CallerError, RuntimeError):
    """`install()` or `uninstall()` was called in an order in which it cannot be done; nothing was changed."""


class LoopRunningError(CallerError, RuntimeError):
    """A loop that still runs was asked to do what only a stopped one can, such as being closed."""


class LoopClosedError(CallerError, RuntimeError):
    """Work was given to a loop after its close, or the loop was closed while the work ran."""


class LoopPoolClosedError(LoopClosedError):
    """Work was given to a pool of loops after its end had begun."""


class LoopStuckError(CallerError, RuntimeError):
    """A loop's thread did not end in the time it was given; the message says what holds it, and where."""


class LoopDiedError(CallerError, RuntimeError):
    """A loop in a thread of its own broke while it ran, and what was under way there with it; `__cause__` says how."""


class WatcherClosedError(CallerError, RuntimeError):
    """A watcher was used after its `close()`."""


class WatcherStartError(CallerError, RuntimeError):
    """A watcher was used before its `start()`, or started twice."""


class NotAProcessError(CallerError, TypeError):
    """Something that names no process, and is no command to start one, was given to be watched."""


class NoSuchProcessError(CallerError, ProcessLookupError):
    """No process has the pid that was given, or the one that had it has ended and was reaped."""


class WatcherIgnoredError(CallerError, RuntimeError):
    """A child watcher was given to a policy whose loops hear of exits by themselves and would never ask it."""


class WatcherInactiveError(CallerError, RuntimeError):
    """A subprocess was asked for while the child watcher in use would not tell of its end; nothing was started."""


class PoolSizeError(CallerError, ValueError):
    """A pool was asked to have a number of members with which it could do nothing."""


class PoolClosedError(CallerError, RuntimeError):
    """A pool of processes was used after its end, or ended while a call waited or its process ran."""


class PoolFullError(CallerError, RuntimeError):
    """More calls would wait for a place in a pool of processes than it was told to let wait."""


class ClockStuckError(CallerError, RuntimeError):
    """A loop with a fake clock waits for something that can never happen; the message names the tasks that wait."""


class LeakError(CallerError, AssertionError):
    """A block of code left something behind; the message names each thing (`testing.LeakCheck`)."""


class WrongLoopError(CallerError, RuntimeError):
    """Something that belongs to one event loop was used from another; the message names both."""


class WrongThreadError(CallerError, RuntimeError):
    """A call that only one thread may make, mostly the main one, was made in another."""


class TextModeError(CallerError, TypeError):
    """bytes were given to a process in text mode, or str to one that is not; the message says which would be right."""


class ConfigurationError(LoopwrightError):
    """A configuration is wrong: a file (nothing was started then), or what says which policy to use.

    `mistakes` holds every mistake found, as one sentence each (file, key, what was found, what would be right).
    """

    def __init__(self, mistakes: Sequence[object]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.mistakes,)  # and not `args`, which is the sentences in one


class PolicyConfigurationError(ConfigurationError, ValueError):
    """What says in words which policy to use is wrong: a text, a table, the environment variable LOOPWRIGHT_POLICY."""


class MachineError(LoopwrightError):
    """This machine lacks what was asked for: a kernel feature, a library, a permission."""


class LoopUnavailableError(MachineError, ImportError):
    """An event loop that exists is not installed or not built here, or not for this machine; what to do is said."""


class WrongPlatformError(LoopUnavailableError):
    """A loop, or a policy named after one, is made for another operating system; the message says what to use here."""


class MechanismUnavailableError(MachineError, OSError):
    """A kernel mechanism that was asked for does not work here; the message says what was tried and what it said."""


class ChildError(LoopwrightError):
    """A child process did not do what it was asked: it failed, took too long, or wrote too much."""


class ProcessFailedError(ChildError, subprocess.CalledProcessError):
    """A process, or a stage of a pipeline, failed. The message has its command, how it ended, and its last errors.

    Also what `subprocess.run(check=True)` raises, with that one's attributes: `cmd`, `returncode`, `stdout` (also as
    `output`), `stderr`.
    """

    def __init__(self, message: str, result: Any) -> None:
        self.message = message
        self.result = result
        """What ran, and how it ended: a `Completed`, or the `PipelineResult` of a pipeline."""
        subprocess.CalledProcessError.__init__(
            self, result.status.returncode, result.args, result.stdout, result.stderr
        )

    @property
    def status(self) -> Any:
        """How the process ended that failed: an `ExitStatus`, or a `StatusLost`."""
        return self.result.status

    def __str__(self) -> str:
        return self.message


class ProcessTimeoutError(ChildError, TimeoutError, subprocess.TimeoutExpired):
    """A process was not done in time. `stdout` and `stderr` have what it had written so far, where that was read.

    Also what asyncio's timeouts raise, and what `subprocess.run(timeout=...)` does, with that one's attributes: `cmd`,
    `timeout` (seconds), `output`.
    """

    def __init__(self, message: str, cmd: Any, timeout: float, output: Any = None, stderr: Any = None) -> None:
        # Explicitly, each: OSError, which a TimeoutError is, sets `args` only from here.
        TimeoutError.__init__(self, message)
        subprocess.TimeoutExpired.__init__(self, cmd, timeout, output, stderr)
        self.message = message

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message, self.cmd, self.timeout, self.output, self.stderr)


class OutputLimitError(ChildError):
    """A process wrote more than was to be kept, and was ended. `stdout` and `stderr` have what was kept."""

    def __init__(self, message: str, stdout: Any = None, stderr: Any = None) -> None:
        super().__init__(message, stdout, stderr)
        self.stdout = stdout
        self.stderr = stderr

    def __str__(self) -> str:
        return str(self.args[0])
