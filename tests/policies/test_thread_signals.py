from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.errors import LoopClosedError, WrongThreadError
from loopwright.policies import ThreadLoop

if TYPE_CHECKING:
    pass


def test_signal_handlers(thread_loop: ThreadLoop) -> None:
    called: list[Any] = []

    def note(number: int) -> None:
        called.append((number, threading.current_thread()))
        thread_loop.stop()

    async def coroutine_function() -> None:
        """Refused."""

    thread_loop.add_signal_handler(signal.SIGUSR1, note, 1)
    os.kill(os.getpid(), signal.SIGUSR1)
    thread_loop.run_forever()
    assert called == [(1, thread_loop._core.thread)]
    assert thread_loop.remove_signal_handler(signal.SIGUSR1)
    assert not thread_loop.remove_signal_handler(signal.SIGUSR1)
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
    with pytest.raises(TypeError, match="coroutines cannot be used"):
        thread_loop.add_signal_handler(signal.SIGUSR1, coroutine_function)  # type: ignore[arg-type]

    async def within() -> None:
        thread_loop.add_signal_handler(signal.SIGUSR1, str)

    with pytest.raises(WrongThreadError, match=r"add_signal_handler\(\) was called in thread 'loop-"):
        thread_loop.run_until_complete(within())
    thread_loop.add_signal_handler(signal.SIGINT, note, 2)
    thread_loop.close()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with pytest.raises(LoopClosedError):
        thread_loop.add_signal_handler(signal.SIGINT, note, 3)


def test_a_signal_after_the_loop_was_closed_elsewhere(thread_loop: ThreadLoop) -> None:
    thread_loop.add_signal_handler(signal.SIGINT, str)
    closer = threading.Thread(target=thread_loop.close)
    closer.start()
    closer.join(30)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
