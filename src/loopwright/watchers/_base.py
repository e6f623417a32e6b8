"""What a child watcher is."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

__all__ = ["AbstractChildWatcher"]


class AbstractChildWatcher(abc.ABC):
    """Learns that child processes have ended, and calls back.

    The interface is that of `asyncio.AbstractChildWatcher` as documented for Python 3.11; it is honoured here also
    where the standard library's own watchers broke it. asyncio's class is not its base: that one warns when subclassed
    on 3.12 and 3.13 and is gone since 3.14.
    """

    @abc.abstractmethod
    def add_child_handler(self, pid: int, callback: Callable[..., object], *args: Any) -> None:
        """Have `callback(pid, returncode, *args)` called once when the child `pid` has ended.

        `returncode` is as `subprocess.Popen` has it: the exit code, or a signal's number made negative. It is 255, with
        a warning logged, if something else in this program reaped the child, so that nobody can know.

        The callback runs on the loop that is running in the calling thread, else on the attached one (`attach_loop`),
        in the context of this call (contextvars). Registering the same pid again replaces the callback. A child that
        has ended already is reported all the same. RuntimeError if there is no loop, or the watcher is closed.
        """

    @abc.abstractmethod
    def remove_child_handler(self, pid: int) -> bool:
        """Forget the callback for `pid`: True if there was one, which then will not be called; False otherwise.

        A child without a callback is not reaped by this watcher. May be called from any thread.
        """

    @abc.abstractmethod
    def attach_loop(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """The loop for callbacks registered where none is running; None for none.

        Callbacks that were registered before stay on their loops.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Forget all callbacks and give back what the watcher holds. Idempotent. Children are left alone."""

    @abc.abstractmethod
    def is_active(self) -> bool:
        """Whether a child handed to it now would be reported: it is not closed, and works on this machine."""

    def __enter__(self) -> Self:
        """For use by asyncio, which wraps "start a child and register it" in `with watcher:`; returns the watcher."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing: a watcher of ours reports a child that ended before it was registered, so it needs no bracket."""
        return
