"""What people hand over when they mean a process: a pid, a Popen, an asyncio process, one of ours."""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import dataclass
from types import FunctionType
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from loopwright._core import ExitStatus, StatusLost

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Named", "ProcessLike", "checked_callback", "checked_pid", "is_coroutine_function", "named", "returncode_of"]


class HasPid(Protocol):
    """An object that stands for a process."""

    @property
    def pid(self) -> int | None:
        """Its process id."""


ProcessLike: TypeAlias = "int | HasPid"
"""A pid, or an object with one: `subprocess.Popen`, `multiprocessing.Process`, `asyncio.subprocess.Process`,
`loopwright.process.Process`."""


@dataclass(frozen=True, slots=True)
class Named:
    """A process that was handed over."""

    pid: int
    owner: Any = None
    """The object that must reap it, or whose business that is (asyncio's); None if its watcher may."""
    known: ExitStatus | StatusLost | None = None
    """How it ended, if the object knows: its pid may mean another process by now."""

    @property
    def followed(self) -> bool:
        """Whether another watcher, asyncio's, watches it: it is asked instead of the kernel."""
        return isinstance(self.owner, asyncio.subprocess.Process)


def named(process: ProcessLike) -> Named:
    """Which process is meant. TypeError or ValueError, naming what was given, for what is none."""
    if isinstance(process, int):
        return Named(checked_pid(process))
    pid = getattr(process, "pid", None)
    if pid is None:
        if hasattr(process, "pid"):
            raise ValueError(f"{process!r} has no process id yet; start it first")
        raise TypeError(f"a process id is an int, not {process!r}, which is no process object with a `pid` either")
    return Named(checked_pid(pid), _owner(process), _known(process))


def checked_pid(pid: object, *, processes_too: str = "") -> int:
    """The pid itself. TypeError for what is no int, ValueError for one that can be nobody's."""
    if isinstance(pid, bool) or not isinstance(pid, int):
        raise TypeError(f"a process id is an int, not {pid!r}{processes_too if hasattr(pid, 'pid') else ''}")
    if pid < 1:
        raise ValueError(f"a process id is 1 or more, not {pid}")
    return pid


def checked_callback(callback: object, pid: int) -> Callable[..., object]:
    """The callback itself. TypeError for what cannot be called."""
    if not callable(callback):
        raise TypeError(f"the callback for process {pid} must be callable, not {callback!r}")
    return callback


def is_coroutine_function(callback: Callable[..., object]) -> bool:
    """Whether calling it gives a coroutine: an `async def`, a partial of one, an object with an async `__call__`."""
    if isinstance(callback, FunctionType) and not callback.__dict__:  # no markcoroutinefunction(): a tenth of the time
        return bool(callback.__code__.co_flags & inspect.CO_COROUTINE)
    return inspect.iscoroutinefunction(callback) or inspect.iscoroutinefunction(
        getattr(callback, "__call__", None)  # noqa: B004 - not whether it can be called, but whether that is async
    )


def returncode_of(process: object) -> int | None:
    """What the object knows of its process's end; a `multiprocessing.Process` asks, and reaps, when asked."""
    code = getattr(process, "returncode", None)
    if code is None:
        try:
            code = getattr(process, "exitcode", None)
        except ValueError:  # it was closed, which is possible once it is reaped, and says nothing any more
            return None
    return code if isinstance(code, int) else None


def _owner(process: Any) -> Any:
    # poll: subprocess.Popen. exitcode: multiprocessing.Process, whose is_alive() would be true for ever if somebody
    # else reaped it.
    wants_to_reap = hasattr(type(process), "poll") or hasattr(type(process), "exitcode")
    return process if wants_to_reap or isinstance(process, asyncio.subprocess.Process) else None


def _known(process: Any) -> ExitStatus | StatusLost | None:
    status = getattr(process, "status", None)
    if isinstance(status, (ExitStatus, StatusLost)):
        return status
    code = returncode_of(process)
    return None if code is None else ExitStatus.from_returncode(code)
