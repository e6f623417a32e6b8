"""Hooks that higher floors fill, so that a lower one can tell of something without knowing whom it tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["on_process_started", "tell_process_started"]

_listeners: tuple[Callable[[Any], object], ...] = ()


def on_process_started(listener: Callable[[Any], object]) -> Callable[[], None]:
    """Have `listener(process)` called for every process that `spawn()` starts, in any thread; gives what ends that.

    It is called in the task that starts the process, at once, and must neither raise nor wait.
    """
    global _listeners  # noqa: PLW0603 - a tuple that is replaced whole can be walked through in any thread
    _listeners = (*_listeners, listener)

    def stop() -> None:
        global _listeners  # noqa: PLW0603 - as above
        _listeners = tuple(each for each in _listeners if each is not listener)

    return stop


def tell_process_started(process: object) -> None:
    """A process was started: called by `spawn()`, in the task that asked for it."""
    for listener in _listeners:
        listener(process)
