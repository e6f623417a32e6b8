from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from loopwright.policies import ThreadLoop, submit

if TYPE_CHECKING:
    pass

variable = contextvars.ContextVar("variable", default="unset")


def test_ctrl_c_in_result(thread_loop: ThreadLoop) -> None:
    future = submit(thread_loop, asyncio.sleep, 1000)
    waits = threading.Event()

    def interrupt() -> None:
        assert waits.wait(30)  # or it might come before, and be raised elsewhere
        time.sleep(0.05)
        signal.raise_signal(signal.SIGINT)

    def wait() -> None:
        waits.set()
        future.result()

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        wait()
    thread.join()
    assert future.cancel()
    with pytest.raises(concurrent.futures.CancelledError):
        future.result(30)


def test_many_waits_with_ctrl_c_at_any_moment(thread_loop: ThreadLoop) -> None:
    """KeyboardInterrupt must leave no lock held that the loop's thread needs."""
    ended = threading.Event()

    def interrupt() -> None:
        while not ended.is_set():
            signal.raise_signal(signal.SIGINT)
            time.sleep(0.002)

    armed = False

    def ctrl_c(*_: object) -> None:
        nonlocal armed
        if armed:  # once for each wait: a second one would come while the test deals with the first
            armed = False
            raise KeyboardInterrupt

    thread = threading.Thread(target=interrupt)
    before = signal.signal(signal.SIGINT, ctrl_c)
    interrupted = 0
    thread.start()
    try:
        for _ in range(100):
            future = submit(thread_loop, asyncio.sleep, 0.003)
            try:
                armed = True
                future.result()
                armed = False
            except KeyboardInterrupt:
                interrupted += 1
            assert future.result(30) is None
    finally:
        ended.set()
        thread.join(30)
        signal.signal(signal.SIGINT, before)
    assert interrupted
