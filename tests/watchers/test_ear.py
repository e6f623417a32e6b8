"""Taking the handler of SIGCHLD and giving it back while the signal keeps coming; all else of it is in test_sigchld."""

from __future__ import annotations

import _thread
import asyncio
import os
import signal
import sys
import threading
import time

import pytest

from loopwright.watchers import MultiLoopChildWatcher
from loopwright.watchers._ear import ear


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("strangers", [0, 2])
def test_given_back_in_a_storm_of_signals(threads: int, strangers: int, caplog: pytest.LogCaptureFixture) -> None:
    """None is handled after the handler has gone, which Python would complain of; nobody else is blamed."""
    already = len(os.listdir("/proc/self/task"))
    over, unraisable = threading.Event(), list[object]()
    others = [threading.Thread(target=over.wait) for _ in range(threads)]  # whom the kernel may give a signal, too
    ends = [os.pipe() for _ in range(strangers)]
    for end, _ in ends:
        _thread.start_new_thread(os.read, (end, 1))  # `threading` does not count these
    before, hook = signal.getsignal(signal.SIGCHLD), sys.unraisablehook
    pest = os.posix_spawn("/bin/sh", ["sh", "-c", f"while kill -CHLD {os.getpid()}; do :; done"], os.environ)
    loop = asyncio.SelectorEventLoop()
    sys.unraisablehook = lambda it: unraisable.append(it.exc_value)
    try:
        for thread in others:
            thread.start()
        deadline = time.monotonic() + 0.5
        while time.monotonic() < deadline:
            watcher = MultiLoopChildWatcher()
            watcher.attach_loop(loop)
            assert ear.hears()
            watcher.close()
            assert signal.getsignal(signal.SIGCHLD) == before
    finally:
        os.kill(pest, signal.SIGKILL)
        os.waitpid(pest, 0)
        over.set()
        for thread in others:
            thread.join()
        for _, other in ends:
            os.close(other)
        deadline = time.monotonic() + 10
        while len(os.listdir("/proc/self/task")) > already and time.monotonic() < deadline:
            time.sleep(0.001)
        for end, _ in ends:
            os.close(end)
        sys.unraisablehook = hook
        loop.close()
    assert unraisable == []
    assert caplog.text == ""
