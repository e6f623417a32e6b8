"""Waiting in the main thread, where Ctrl-C may come at any moment.

Two things go wrong with the usual ways, both seen on 3.11:

- `threading.Event` and `concurrent.futures.Future` wait by `threading.Condition`. KeyboardInterrupt between two steps
  of that leaves its lock held, or releases it twice, and then the loop's thread, which wants to tell of the end, hangs
  on that lock. A SimpleQueue waits in one call of C, and `put()` needs no lock of Python's.
- A signal that arrives when the main thread has just looked for one, and is about to wait in the kernel, does not wake
  it: its handler runs when something else does. So the main thread looks up now and then. That it costs a wake-up each
  time is why only this thread does.
"""

from __future__ import annotations

import concurrent.futures
import queue
import threading
import time
from typing import TypeVar

__all__ = ["PatientFuture", "patient_get"]

T = TypeVar("T")

#: Seconds after which a signal is heard at the latest.
LOOK_UP = 0.5


def patient_get(where: queue.SimpleQueue[T], timeout: float | None = None) -> T:
    """What is put there; `queue.Empty` after `timeout` seconds. In the main thread, signal handlers run meanwhile."""
    if threading.current_thread() is not threading.main_thread():
        return where.get(timeout=None if timeout is None else max(0.0, timeout))
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        left = LOOK_UP if deadline is None else min(LOOK_UP, deadline - time.monotonic())
        try:
            return where.get(timeout=max(0.0, left))
        except queue.Empty:
            if deadline is not None and time.monotonic() >= deadline:
                raise


class PatientFuture(concurrent.futures.Future[T]):
    """A future that the main thread can wait for although Ctrl-C may come at any moment."""

    def _wait(self, timeout: float | None) -> bool:
        """Wait at most `timeout` seconds until it is done; whether it is."""
        if not self.done():
            ended: queue.SimpleQueue[object] = queue.SimpleQueue()
            self.add_done_callback(ended.put)
            try:
                patient_get(ended, timeout)
            except queue.Empty:
                return self.done()
        return True

    def result(self, timeout: float | None = None) -> T:
        """Wait at most `timeout` seconds; the result, or what was raised. TimeoutError, CancelledError."""
        self._wait(timeout)
        return super().result(0)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait at most `timeout` seconds; what was raised, or None. TimeoutError, CancelledError."""
        self._wait(timeout)
        return super().exception(0)
