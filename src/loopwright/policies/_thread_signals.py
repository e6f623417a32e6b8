"""Signal handlers of a loop that runs in a thread of its own.

A loop cannot have any there: Python calls handlers in the main thread alone, and asyncio wakes its loop by
`signal.set_wakeup_fd()`, which only that thread may call. So they are Python's own handlers, set in the main thread,
and post to the loop. They are called while that thread waits for the loop, too.
"""

from __future__ import annotations

import contextvars
import inspect
import signal
import threading
from typing import TYPE_CHECKING, TypeVarTuple, Unpack

from loopwright.errors import LoopClosedError, WrongThreadError
from loopwright.policies._loop_base import LoopBase

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SignalHandlers"]

Ts = TypeVarTuple("Ts")


class SignalHandlers(LoopBase):  # type: ignore[misc]
    """The part of `ThreadLoop` that concerns signals."""

    _signals: dict[int, object]

    def add_signal_handler(self, sig: int, callback: Callable[[Unpack[Ts]], object], *args: *Ts) -> None:
        """Have the loop call this, in its thread, at that signal; instead of any other handler, as in asyncio.

        WrongThreadError (a RuntimeError) outside the main thread; TypeError for a coroutine function; ValueError or
        OSError for a signal that cannot be handled. `close()` in the main thread takes the handlers away. After a
        `close()` elsewhere the first signal finds the loop closed, and does what it does by default.
        """
        if inspect.iscoroutinefunction(callback):
            raise TypeError("coroutines cannot be used with add_signal_handler()")
        self._check_main_thread("add_signal_handler")
        if self.is_closed():
            raise LoopClosedError("Event loop is closed")
        context = contextvars.copy_context()

        def handle(number: int, _: object) -> None:
            try:
                self.call_soon_threadsafe(callback, *args, context=context)
            except LoopClosedError:
                _restore(number)
                signal.raise_signal(number)

        signal.signal(sig, handle)
        if hasattr(signal, "siginterrupt"):
            signal.siginterrupt(sig, False)
        self._signals[sig] = handle

    def remove_signal_handler(self, sig: int) -> bool:
        """Have the signal do what it does by default; whether there was a handler of this loop's.

        WrongThreadError (a RuntimeError) outside the main thread.
        """
        self._check_main_thread("remove_signal_handler")
        ours = self._signals.pop(sig, None)
        if ours is not None and signal.getsignal(sig) is ours:
            _restore(sig)
        return ours is not None

    def _remove_all_signal_handlers(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for sig in tuple(self._signals):
                self.remove_signal_handler(sig)

    def _check_main_thread(self, method: str) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise WrongThreadError(
                f"{method}() was called in thread {threading.current_thread().name!r}; Python has signal handlers set"
                " in the main thread only"
            )


def _restore(sig: int) -> None:
    signal.signal(sig, signal.default_int_handler if sig == signal.SIGINT else signal.SIG_DFL)
