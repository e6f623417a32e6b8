"""Exits told by SIGCHLD: on each one, the watcher's own children are looked at one by one.

Theory of operation; what watchers have in common is in `_table`, the handler of the signal in `_ear`, and the looking
in `_polling`. A signal does not say which child has ended (several may have, signals of one kind are merged), so
every loop's watches are scanned, on that loop: the cost of an exit grows with the number of children alive. As signals
can be lost (another handler took the place of ours), every loop also scans by timer: rarely while our handler is in
place, at the pace of `PollingChildWatcher` when it is not.

asyncio's `SafeChildWatcher` scans on the attached loop and calls there; this one, as all of ours, calls on the loop
that was running at registration. What it keeps of asyncio's is what its documentation says: it needs an attached loop,
attached in the main thread, and is active while that one runs.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from loopwright.errors import MechanismUnavailableError, NoLoopError, WrongThreadError
from loopwright.watchers._ear import ear, in_main_thread
from loopwright.watchers._polling import ScanWard, TimedWard
from loopwright.watchers._probe import probe_sigchld
from loopwright.watchers._table import TableWatcher

if TYPE_CHECKING:
    import asyncio

    from loopwright.watchers._watch import Ward

__all__ = ["AttachedWatcher", "MultiLoopChildWatcher", "SafeChildWatcher"]


class SignalWatcher(TableWatcher):
    """What watchers by SIGCHLD have in common."""

    def __init__(self) -> None:
        super().__init__()
        self._joined = False

    def close(self) -> None:
        super().close()
        self._leave()

    def _check_usable(self, pid: int) -> None:
        if not (mechanism := probe_sigchld()).works:
            raise MechanismUnavailableError(f"cannot watch process {pid}: {mechanism.reason}")

    def _new_ward(self, loop: asyncio.AbstractEventLoop) -> Ward:
        return ScanWard(loop, self._tell, ear.hears)

    def _on_sigchld(self) -> None:
        for ward in tuple(self._wards.values()):
            if isinstance(ward, TimedWard):
                ward.ask()

    def _join(self) -> None:
        ear.join(self)
        self._joined = True

    def _leave(self) -> None:
        if self._joined:
            self._joined = False
            ear.leave(self)


class MultiLoopChildWatcher(SignalWatcher):
    """Watches children by SIGCHLD, for any number of loops in any threads.

    It sets a handler for the signal when it is made, if that is in the main thread; made elsewhere it is not active,
    and refuses with WrongThreadError (a RuntimeError), until `attach_loop()` is called in the main thread. The handler
    that was there is called, too, and is back when the watcher is closed. The cost of an exit grows with the number of
    children alive.
    """

    def __init__(self) -> None:
        super().__init__()
        if in_main_thread() and probe_sigchld().works:
            self._join()

    def attach_loop(self, loop: asyncio.AbstractEventLoop | None) -> None:
        super().attach_loop(loop)
        if not self._joined and not self._closed and loop is not None:
            self._join()

    def is_active(self) -> bool:
        return super().is_active() and self._joined

    def _check_usable(self, pid: int) -> None:
        super()._check_usable(pid)
        if not self._joined:
            raise WrongThreadError(
                f"cannot watch process {pid}: this {type(self).__name__} was made outside the main thread and does not "
                "hear SIGCHLD yet; make it in the main thread, or call attach_loop(loop) there once"
            )


class AttachedWatcher(SignalWatcher):
    """A watcher by SIGCHLD that needs a loop attached in the main thread, as asyncio's does."""

    def attach_loop(self, loop: asyncio.AbstractEventLoop | None) -> None:
        if loop is not None and not in_main_thread():
            raise WrongThreadError(
                f"{type(self).__name__}.attach_loop() must be called in the main thread, where signals are handled"
            )
        if loop is None and self._attached is not None and self._handlers:
            warnings.warn(
                "A loop is being detached from a child watcher with pending handlers", RuntimeWarning, stacklevel=2
            )
        super().attach_loop(loop)
        if loop is None or self._closed:
            self._leave()
        elif probe_sigchld().works:
            self._join()

    def is_active(self) -> bool:
        return super().is_active() and self._joined and self._attached is not None and self._attached.is_running()

    def _check_usable(self, pid: int) -> None:
        super()._check_usable(pid)
        if self._attached is None or self._attached.is_closed():
            what = "no loop is" if self._attached is None else "the loop that is closed is"
            raise NoLoopError(
                f"cannot watch process {pid}: {what} attached to this {type(self).__name__}, which needs one; "
                "call attach_loop(loop) in the main thread, with the loop that runs there"
            )


class SafeChildWatcher(AttachedWatcher):
    """Watches children by SIGCHLD, with a loop attached in the main thread, and asks after its own children alone.

    `attach_loop(loop)` must be called in the main thread (WrongThreadError, a RuntimeError, elsewhere); without an open
    loop attached, registering is refused with NoLoopError, a RuntimeError. As in asyncio it is active while that loop
    runs, and detaching it with handlers pending gives a RuntimeWarning; those stay on their loops. The cost of an exit
    grows with the number of children alive.
    """
