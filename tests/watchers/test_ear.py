"""Taking the handler of SIGCHLD and giving it back while the signal keeps coming; all else of it is in test_sigchld."""

from __future__ import annotations

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
def test_given_back_in_a_storm_of_signals(threads: int, caplog: pytest.LogCaptureFixture) -> None:
    """None is handled after the handler has gone, which Python would complain of; nobody else is blamed."""
    over, unraisable = threading.Event(), list[object]()
    others = [threading.Thread(target=over.wait) for _ in range(threads)]  # whom the kernel may give a signal, too
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
        sys.unraisablehook = hook
        loop.close()
    assert unraisable == []
    assert caplog.text == ""
