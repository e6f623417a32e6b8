"""This process's one handler of SIGCHLD, for all watchers that live by it.

Theory of operation. A signal has one handler a process. Were each watcher to set one of its own and restore the one
before, closing them in another order than they were opened would bring a closed one back. So there is one, set with the
first watcher and given up with the last; what was there before is called after us, every time.

- The handler runs in the main thread, between any two steps of it, locks held or not: it takes none, and only asks
  loops to call somebody soon.
- `loop.add_signal_handler(SIGCHLD, ...)`, asyncio's way, does not depend on the handler but on the wake-up descriptor
  (`signal.set_wakeup_fd()`), to which every signal with a Python handler is written: one set before us hears as before.
- Whoever sets a handler after us takes our place, as the last one does in Unix; nobody is told of it. `hears()` says
  so to those who then have to look at their children more often, and at the end their handler is left alone.
- Signals are handled in the main thread alone, and a handler can be set there alone. Given up elsewhere, it stays,
  calling only what was before it, until the next signal or the next visit from the main thread takes it away.
- CPython (3.10 to 3.15, at least) handles a signal some time after it came, and where by then the default action or
  none is set, it prints "OSError: Signal 17 ignored due to race condition" (`_PyErr_CheckSignalsTstate`). Its
  signal.signal() handles what came before it changes anything, and leaves a gap of a microsecond; a thread that the
  kernel has just handed a signal to leaves a longer one. So when one of those two is given back, the kernel is told
  first, past Python, and other threads (also those that `threading` does not know) get a moment, and as long as one
  is within C's handler: from then on nothing comes, and what came meets our handler.
  Blocking the signal would not do: that counts for one thread, and the kernel gives a process's signal to any.
- With SIGCHLD ignored, the kernel reaps and every status is lost (wait(2)). While ours is set it does not; what was
  ignored is ignored again at the end.
"""

from __future__ import annotations

import logging
import pathlib
import signal
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

from loopwright.errors import WrongThreadError

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["Ear", "Listener", "ear", "in_main_thread"]

#: How long other threads get to remember a signal that the kernel has already handed to them, in seconds: at least,
#: and at most.
UNDER_WAY, TOO_LONG = 0.001, 0.1

logger = logging.getLogger("loopwright.watchers")


class Listener(Protocol):
    """Who is told of SIGCHLD."""

    def _on_sigchld(self) -> None:
        """Called in a signal handler: takes no locks."""


def in_main_thread() -> bool:
    """Whether signal handlers can be set here."""
    return threading.current_thread() is threading.main_thread()


class Ear:
    """See above. `join()` and the like may be called from any thread, the first `join()` from the main one."""

    def __init__(self) -> None:
        # Replaced, never changed: the handler may come between any two steps of a change.
        self._listeners: tuple[Listener, ...] = ()
        self._before: Any = None
        self._set = False
        self._within = False
        self._giving_up = False

    def hears(self) -> bool:
        """Whether our handler is the process's."""
        return self._set and signal.getsignal(signal.SIGCHLD) == self._heard

    def join(self, listener: Listener) -> None:
        """Tell it of SIGCHLD from now on. WrongThreadError (a RuntimeError) outside the main thread."""
        if not in_main_thread():
            raise WrongThreadError(
                "a handler of SIGCHLD can only be set in the main thread, and this is "
                f"{threading.current_thread().name!r}; make the watcher, or attach its loop, in the main thread"
            )
        if listener not in self._listeners:  # before we look: from then on no signal takes the handler away
            self._listeners = (*self._listeners, listener)
        if not self.hears():
            # Whoever took our place may call us in turn: `_within` ends that circle.
            before = signal.signal(signal.SIGCHLD, self._heard)
            if before is None:
                logger.warning(
                    "SIGCHLD had a handler that was not set by Python: it does not hear while a child watcher uses "
                    "the signal, and the default one takes its place afterwards"
                )
                before = signal.SIG_DFL
            self._before, self._set = before, True
            signal.siginterrupt(signal.SIGCHLD, False)  # as asyncio: fewer EINTR for those who do not expect any

    def leave(self, listener: Listener) -> None:
        """Tell it no more."""
        self._listeners = tuple(other for other in self._listeners if other is not listener)
        if not self._listeners and in_main_thread():
            self._give_up()

    def _give_up(self) -> None:
        if self._giving_up:
            return
        self._giving_up = True  # and only then the looking: a signal that comes in between does all of this
        try:
            if not self._set:
                return
            if self.hears():
                if not callable(self._before):
                    _tell_the_kernel(self._before)
                signal.signal(signal.SIGCHLD, self._before)
            else:
                logger.warning(
                    "the handler of SIGCHLD was changed by other code while a child watcher used it; it stays"
                )
            self._set = False
        finally:
            self._giving_up = False

    def _heard(self, number: int, frame: FrameType | None) -> None:
        for listener in self._listeners:
            listener._on_sigchld()
        if self._within:  # a circle, or a signal during the rest of this function
            return
        self._within = True
        try:
            before = self._before
            if not self._listeners and self.hears():
                self._give_up()
            if callable(before):
                before(number, frame)
        finally:
            self._within = False


def _tell_the_kernel(action: int) -> None:
    """Set what SIGCHLD does, signal.SIG_DFL or SIG_IGN, and nothing of what Python has for it; only for a moment."""
    try:
        import ctypes  # here: it takes its time, and a Python built without libffi has none
    except ImportError:
        return  # then a line on standard error, once in many thousand times, is all there is to it
    function = ctypes.CDLL(None).signal
    function.argtypes, function.restype = (ctypes.c_int, ctypes.c_void_p), ctypes.c_void_p
    function(signal.SIGCHLD, int(action))  # the two are C's own numbers
    _let_others_remember()


def _let_others_remember() -> None:
    """Wait until no other thread is within C's handler, if the kernel says so; a moment if it does not."""
    try:
        threads = [int(it.name) for it in pathlib.Path("/proc/self/task").iterdir()]
    except OSError:  # no Linux, or no /proc
        time.sleep(UNDER_WAY)
        return
    others = [it for it in threads if it != threading.get_native_id()]
    if not others:
        return
    deadline = time.monotonic() + TOO_LONG  # one may block the signal for good
    time.sleep(UNDER_WAY)  # for one between the kernel's choice and its first step in the handler
    while any(map(_blocks, others)) and time.monotonic() < deadline:
        time.sleep(UNDER_WAY)


def _blocks(thread: int) -> bool:
    """Whether a thread of ours blocks SIGCHLD, as every one does while in its handler (sigaction(2): no SA_NODEFER)."""
    try:
        status = pathlib.Path(f"/proc/self/task/{thread}/status").read_text("ascii", "replace")
    except OSError:  # it has ended
        return False
    blocked = status.partition("SigBlk:")[2].partition("\n")[0]
    return bool(int(blocked or "0", 16) >> (signal.SIGCHLD - 1) & 1)


ear = Ear()
