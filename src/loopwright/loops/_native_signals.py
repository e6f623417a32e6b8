"""How the native loop hears of signals.

Theory of operation. asyncio has Python write each signal's number into a socket (`signal.set_wakeup_fd()`), and reads
from there which callbacks are due. The socket takes some 280 of them; what comes after that, before the loop gets to
read, is lost. Here it is Python's own handler that queues the callback: Python keeps a flag for each signal, so none
can be lost, whatever came before it. As with `signal.signal()`, a signal that comes several times before Python gets to
run its handler counts once.

*While the loop runs* in the main thread, the wake-up descriptor is a pipe of ours, if nobody else has one: what is
written there wakes a loop that is about to sleep, or that sleeps while the kernel gave the signal to another thread. So
a handler that the program has set by `signal.signal()` runs at once, too, where asyncio's loop, if it has no signal
handler of its own, would sleep until something else happens. What is read from the pipe is of no interest, and it does
no harm if it is full.

*A fork*: the child is not to write its signals into its parent's pipe. It has no wake-up descriptor (asyncio sees to
that itself from Python 3.12 on), and its handlers do nothing, until a loop is run there.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import inspect
import os
import signal
import threading
import weakref
from asyncio import coroutines
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SignalledLoop"]

#: Whose callbacks a signal's are: of each, the loop that was the last to add a handler.
_loops: dict[int, weakref.ref[SignalledLoop]] = {}
#: The end of a pipe that is the wake-up descriptor, if one of ours is.
_wakeup = -1
#: What asyncio up to 3.15 marks functions with that are coroutine functions, though inspect does not know.
_marker = getattr(coroutines, "_is_coroutine", object())


def _on_signal(number: int, _frame: Any) -> None:
    reference = _loops.get(number)
    loop = None if reference is None else reference()
    if loop is not None:
        loop._handle_signal(number)


def _drain(number: int) -> None:
    with contextlib.suppress(BlockingIOError):  # a forked child, or a nested run, was here first
        os.read(number, 65536)


class SignalledLoop(asyncio.SelectorEventLoop):
    """The part of the native loop that has to do with signals."""

    _signal_handlers: dict[int, asyncio.Handle]
    _check_signal: Callable[[int], None]
    _check_closed: Callable[[], None]
    _check_running: Callable[[], None]
    _add_reader: Callable[..., Any]
    _remove_reader: Callable[[int], bool]
    _internal_fds: int
    #: Both ends of the pipe, once there is one, and in which process it was made.
    _signal_pipe: tuple[int, int] | None = None
    _signal_pipe_of: int = 0

    def run_forever(self) -> None:
        self._check_closed()
        self._check_running()  # asyncio of 3.13 looks too late, and then takes itself for stopped
        hears = self._start_hearing()
        try:
            super().run_forever()
        finally:
            if hears:
                self._stop_hearing()

    def _start_hearing(self) -> bool:
        """Have signals wake this loop; whether they do, and it is for this run to end that."""
        global _wakeup  # noqa: PLW0603 - as there is one in a process
        if threading.current_thread() is not threading.main_thread() or self.is_closed():
            return False
        try:
            if self._signal_pipe_of != os.getpid():
                self._open_signal_pipe()
        except OSError:  # no descriptor is left: it runs all the same, as asyncio's without a handler does
            return False
        if self._signal_pipe is None:
            return False
        try:
            before = signal.set_wakeup_fd(self._signal_pipe[1], warn_on_full_buffer=False)
        except ValueError:  # a subinterpreter, where there are no signals
            return False
        if before == self._signal_pipe[1]:
            return False
        if before != -1 and _is_open(before):
            signal.set_wakeup_fd(before)  # somebody else's, who may be waiting for it
            return False
        _wakeup = self._signal_pipe[1]
        return True

    def _stop_hearing(self) -> None:
        global _wakeup  # noqa: PLW0603 - likewise
        now = signal.set_wakeup_fd(-1)
        if now not in (-1, _wakeup):
            signal.set_wakeup_fd(now)
        _wakeup = -1

    def _open_signal_pipe(self) -> None:
        self._close_signal_pipe()  # of the process that this one was forked from
        self._signal_pipe = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._signal_pipe_of = os.getpid()
        self._add_reader(self._signal_pipe[0], _drain, self._signal_pipe[0])
        for number in self._signal_handlers:
            _loops[number] = weakref.ref(self)

    def _close_signal_pipe(self) -> None:
        if self._signal_pipe is not None:
            self._remove_reader(self._signal_pipe[0])
            for end in self._signal_pipe:
                os.close(end)
            self._signal_pipe = None

    def _handle_signal(self, sig: int) -> None:
        handle: Any = self._signal_handlers.get(sig)
        if handle is None or self.is_closed():
            return
        if handle._cancelled:
            self.remove_signal_handler(sig)
        else:
            self.call_soon_threadsafe(handle._callback, *handle._args, context=handle._context)

    def _make_self_pipe(self) -> None:
        """asyncio's way to wake a loop, and to tell it of signals. Ours has an eventfd for the one and a pipe for the
        other, which is made when the loop is first run in the main thread."""
        self._ssock = self._csock = None
        self._internal_fds += 1

    def _close_self_pipe(self) -> None:
        self._internal_fds -= 1
        self._close_signal_pipe()

    def add_signal_handler(  # type: ignore[override]  # typeshed knows what the arguments are
        self, sig: int, callback: Any, *args: Any
    ) -> None:
        marked = getattr(callback, "_is_coroutine", None) is _marker
        if marked or asyncio.iscoroutine(callback) or inspect.iscoroutinefunction(callback):
            raise TypeError("coroutines cannot be used with add_signal_handler()")
        self._check_signal(sig)
        self._check_closed()
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("a signal handler can only be added in the main thread of the main interpreter")
        self._signal_handlers[sig] = asyncio.Handle(callback, args, self, None)
        _loops[sig] = weakref.ref(self)
        try:
            signal.signal(sig, _on_signal)
            signal.siginterrupt(sig, False)
        except (OSError, ValueError) as error:
            del self._signal_handlers[sig], _loops[sig]
            if isinstance(error, ValueError) or error.errno == errno.EINVAL:
                raise RuntimeError(f"sig {sig} cannot be caught: {error}") from error
            raise

    def remove_signal_handler(self, sig: int) -> bool:
        self._check_signal(sig)
        if self._signal_handlers.pop(sig, None) is None:
            return False
        default = signal.default_int_handler if sig == signal.SIGINT else signal.SIG_DFL
        try:
            signal.signal(sig, default)
        except OSError as error:
            if error.errno == errno.EINVAL:
                raise RuntimeError(f"sig {sig} cannot be caught") from error
            raise
        _loops.pop(sig, None)
        return True


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _forget_in_forked_child() -> None:
    global _wakeup  # noqa: PLW0603 - likewise
    _loops.clear()
    if _wakeup != -1:
        now = signal.set_wakeup_fd(-1)
        if now not in (-1, _wakeup):
            signal.set_wakeup_fd(now)
        _wakeup = -1


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_forget_in_forked_child)
