"""The child watcher of one loop: its policy's, unless it was given one of its own."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any

from loopwright.errors import WatcherIgnoredError
from loopwright.loops._asyncio_private import serve_subprocesses
from loopwright.policies._abstract import checked_watcher

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable

    from loopwright.policies._abstract import ChildWatcher

__all__ = ["give_watcher", "ignored"]


def give_watcher(loop: Any, of_policy: Callable[[], Any], *, given: ChildWatcher | None) -> None:
    """Have the loop's subprocesses watched by what `of_policy()` gives then, as far as this kind of loop asks anybody.

    A standard Unix loop gets two methods, `get_child_watcher()` and `set_child_watcher(watcher)`: a watcher that is
    set there counts for that loop alone, and None puts the policy's back. A loop whose class has a
    `set_child_watcher()` of its own is told of `given`, the watcher that was given to the policy, if there is one.
    """
    own = _OwnWatcher(loop, of_policy)
    if serve_subprocesses(loop, own.get_child_watcher):
        loop.get_child_watcher = own.get_child_watcher
        loop.set_child_watcher = own.set_child_watcher
    elif given is not None and callable(tell := getattr(loop, "set_child_watcher", None)):
        tell(given)


class _OwnWatcher:
    """The two methods. It does not hold the loop, which holds it."""

    def __init__(self, loop: AbstractEventLoop, of_policy: Callable[[], Any]) -> None:
        self._loop = weakref.ref(loop)
        self._of_policy = of_policy
        self._watcher: ChildWatcher | None = None

    def get_child_watcher(self) -> Any:
        """The watcher that this loop's next subprocess is handed to."""
        return self._of_policy() if self._watcher is None else self._watcher

    def set_child_watcher(self, watcher: ChildWatcher | None) -> None:
        """Hand this loop's subprocesses to `watcher` from the next one on; with None, to the policy's.

        In the main thread the loop is attached to it, and the watcher set here before is closed: both as a policy
        does it. NotAWatcherError (a TypeError) for what is no watcher; then nothing changes.
        """
        new = None if watcher is None else checked_watcher(watcher)
        old, self._watcher = self._watcher, new
        if new is not None and threading.current_thread() is threading.main_thread():
            new.attach_loop(self._loop())
        if old is not None and old is not new:
            old.close()


def ignored(watcher: ChildWatcher, package: str) -> WatcherIgnoredError:
    return WatcherIgnoredError(
        f"{watcher!r} would never be asked: loops of {package} watch their own subprocesses. Leave the watcher out,"
        " or use it with loop='asyncio'; loopwright.process.spawn() and the watcher's own methods work on either"
    )
