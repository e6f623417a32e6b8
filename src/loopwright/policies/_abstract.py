"""What an event loop policy is, and what it asks of a child watcher."""

from __future__ import annotations

import abc
import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from loopwright.errors import NotAPolicyError, NotAWatcherError
from loopwright.loops import loop_names
from loopwright.loops._asyncio_private import PolicyBase

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["AbstractEventLoopPolicy", "ChildWatcher", "checked_policy", "checked_watcher"]


class ChildWatcher(Protocol):
    """What a policy accepts as a child watcher: Loopwright's, and on Python 3.11 to 3.13 also asyncio's.

    The methods are those of `loopwright.watchers.AbstractChildWatcher`.
    """

    def add_child_handler(self, pid: int, callback: Callable[..., Any], /, *args: Any) -> None:
        """Have `callback(pid, returncode, *args)` called when the child has ended."""

    def remove_child_handler(self, pid: int, /) -> bool:
        """Forget the callback for this child."""

    def attach_loop(self, loop: AbstractEventLoop | None, /) -> None:
        """Use this loop where none is running."""

    def close(self) -> None:
        """Give back what the watcher holds."""

    def is_active(self) -> bool:
        """Whether a child can be handed to it now."""

    def __enter__(self) -> Any:
        """Before a child is started that will be handed to it."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """After it was."""


_WATCHER_METHODS = (
    "add_child_handler",
    "remove_child_handler",
    "attach_loop",
    "close",
    "is_active",
    "__enter__",
    "__exit__",
)


class AbstractEventLoopPolicy(PolicyBase, metaclass=abc.ABCMeta):
    """Says which event loop a piece of code gets, makes new ones, and says who watches child processes.

    The interface is that of `asyncio.AbstractEventLoopPolicy` as documented for Python 3.11, on every Python.
    Where asyncio still has a base class for policies this one inherits from it, so that asyncio accepts ours.

    For `isinstance()` and `issubclass()`, asyncio's own policies and others' are of this class, too.

    A subclass overrides what it needs; each method here raises NotImplementedError.
    """

    @classmethod
    def __subclasshook__(cls, other: type) -> bool:
        # For programs that ask whether a policy is one, by the name under which install() or aio has this class.
        return NotImplemented if cls is not AbstractEventLoopPolicy else issubclass(other, PolicyBase)

    def get_event_loop(self) -> AbstractEventLoop:
        """The event loop of the current context, never None. RuntimeError if there is and will be none."""
        raise NotImplementedError

    def set_event_loop(self, loop: AbstractEventLoop | None) -> None:
        """Make `loop` the one of the current context; None for none."""
        raise NotImplementedError

    def new_event_loop(self) -> AbstractEventLoop:
        """A new event loop, not set as the current one."""
        raise NotImplementedError

    # Narrower here than in typeshed, whose watchers are asyncio's own classes: ours do not inherit from
    # those.
    def get_child_watcher(self) -> Any:
        """The child watcher that asyncio's subprocesses are handed to."""
        raise NotImplementedError

    def set_child_watcher(self, watcher: Any) -> None:
        """Use this child watcher; None for the default one."""
        raise NotImplementedError


def checked_watcher(watcher: Any) -> ChildWatcher:
    """The watcher itself, if it is one; else NotAWatcherError (a TypeError), naming what it lacks."""
    if isinstance(watcher, type):
        raise NotAWatcherError(f"a child watcher is an object; {watcher.__qualname__} is a class: call it first")
    lacking = [name for name in _WATCHER_METHODS if not callable(getattr(watcher, name, None))]
    if lacking:
        raise NotAWatcherError(
            f"{watcher!r} is no child watcher: it has no {', '.join(lacking)}"
            " (see loopwright.watchers.AbstractChildWatcher)"
        )
    valid: ChildWatcher = watcher
    return valid


def checked_policy(policy: Any) -> PolicyBase:
    """The policy itself, if it is one; else NotAPolicyError (a TypeError), with the likely mend."""
    if isinstance(policy, PolicyBase):
        return policy
    told = f"policy must be an event loop policy (an AbstractEventLoopPolicy) or None, not {policy!r}"
    if isinstance(policy, str) and policy in loop_names():
        told += f"; for that loop, give EventLoopPolicy(loop={policy!r})"
    elif isinstance(policy, str | Mapping):
        told += "; policy_from() makes one of text or a table"
    elif isinstance(policy, type) and issubclass(policy, PolicyBase):
        told += f"; that is the class, call it first: {policy.__qualname__}()"
    elif isinstance(policy, asyncio.AbstractEventLoop) or (
        isinstance(policy, type) and issubclass(policy, asyncio.AbstractEventLoop)
    ):
        told += "; for loops of that kind, give EventLoopPolicy(loop=...) their class or a factory"
    raise NotAPolicyError(told)
