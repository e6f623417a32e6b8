"""`AbstractChildWatcher` as programs know it that derive from asyncio's: a class that lacks methods can be made."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Any

from loopwright import watchers

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

__all__ = ["AbstractChildWatcher"]


class AbstractChildWatcher(metaclass=abc.ABCMeta):  # noqa: B024 - as it is about
    """What stands for `asyncio.AbstractChildWatcher`: each method raises NotImplementedError, as documented for 3.11.

    `loopwright.watchers.AbstractChildWatcher` would not let a class be made that lacks a method, and there are such:
    trio-asyncio's and gbulb's have no `is_active()`, which came with 3.8 and which only asyncio's own loops ask.
    For `isinstance()` and `issubclass()`, the watchers of Loopwright are of this class, too.
    """

    def add_child_handler(self, pid: int, callback: Callable[..., object], *args: Any) -> None:
        """Have `callback(pid, returncode, *args)` called when the child `pid` has ended."""
        raise NotImplementedError

    def remove_child_handler(self, pid: int) -> bool:
        """Forget the callback for `pid`: True if there was one."""
        raise NotImplementedError

    def attach_loop(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Use this loop; None for none."""
        raise NotImplementedError

    def close(self) -> None:
        """Give back what the watcher holds."""
        raise NotImplementedError

    def is_active(self) -> bool:
        """Whether a child handed to it now would be reported."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        """Before a child is started that will be handed to it; returns the watcher."""
        raise NotImplementedError

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """After it was."""
        raise NotImplementedError


AbstractChildWatcher.register(watchers.AbstractChildWatcher)  # type: ignore[type-abstract] # it is for isinstance()
