"""KeyboardInterrupt on the native loop, as asyncio.Runner promises it, and what else a signal's handler raises."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from loopwright import _native

if _native.LoopCore is None:
    pytest.skip(str(_native.MISSING), allow_module_level=True)

from loopwright.loops._native_loop import NativeEventLoop

if TYPE_CHECKING:
    from collections.abc import Callable

ENOUGH = 20.0  # seconds, for what takes none
FACTORIES = pytest.mark.parametrize("factory", [asyncio.SelectorEventLoop, NativeEventLoop], ids=["asyncio", "native"])


def send(number: int) -> None:
    os.kill(os.getpid(), number)


def interrupt_soon(again: threading.Event | None = None) -> threading.Thread:
    """Once, and a second time after that has happened."""

    def interrupt() -> None:
        time.sleep(0.03)
        send(signal.SIGINT)
        if again is not None and again.wait(ENOUGH):
            time.sleep(0.03)
            send(signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    return thread


@FACTORIES
def test_sigint_while_it_sleeps_cancels_the_main_task(factory: Callable[[], Any]) -> None:
    seen: list[str] = []

    async def sleep() -> None:
        thread = interrupt_soon()
        try:
            await asyncio.sleep(ENOUGH)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        finally:
            thread.join()

    with pytest.raises(KeyboardInterrupt), asyncio.Runner(loop_factory=factory) as runner:
        runner.run(sleep())
    assert seen == ["cancelled"]


@FACTORIES
def test_the_second_sigint_is_raised_at_once(factory: Callable[[], Any]) -> None:
    seen: list[str] = []

    async def hang_on() -> None:
        hangs_on = threading.Event()
        thread = interrupt_soon(hangs_on)
        try:
            await asyncio.sleep(ENOUGH)
        except asyncio.CancelledError:
            seen.append("cancelled")
            try:
                hangs_on.set()  # or the second might come before this, or be one with the first
                time.sleep(ENOUGH)  # noqa: ASYNC251 - it is what hangs on
            except KeyboardInterrupt:
                seen.append("interrupted")
                raise
        finally:
            thread.join()

    with pytest.raises(KeyboardInterrupt), asyncio.Runner(loop_factory=factory) as runner:
        runner.run(hang_on())
    assert seen == ["cancelled", "interrupted"]


@FACTORIES
def test_sigint_in_a_callback(factory: Callable[[], Any]) -> None:
    async def sleep() -> None:
        asyncio.get_running_loop().call_soon(send, signal.SIGINT)
        await asyncio.sleep(ENOUGH)

    with asyncio.Runner(loop_factory=factory) as runner:
        with pytest.raises(KeyboardInterrupt):
            runner.run(sleep())
        assert runner.run(asyncio.sleep(0, "still there")) == "still there"


@FACTORIES
@pytest.mark.parametrize("sleeps", [False, True])
def test_sigint_without_a_runner_leaves_the_loop_usable(factory: Callable[[], Any], sleeps: bool) -> None:
    with contextlib.closing(factory()) as loop:
        threads: list[threading.Thread] = []
        # Begun in the loop: one that came before it would be raised elsewhere.
        loop.call_soon((lambda: threads.append(interrupt_soon())) if sleeps else (lambda: send(signal.SIGINT)))
        with pytest.raises(KeyboardInterrupt):
            loop.run_forever()
        for thread in threads:
            thread.join()
        assert signal.set_wakeup_fd(-1) == -1
        assert loop.run_until_complete(asyncio.sleep(0, "still there")) == "still there"


@FACTORIES
def test_a_handler_that_raises_ends_the_run(factory: Callable[[], Any]) -> None:
    def expire(*_: Any) -> None:
        raise TimeoutError("expired")

    before = signal.signal(signal.SIGALRM, expire)
    try:
        with contextlib.closing(factory()) as loop:
            loop.call_soon(signal.setitimer, signal.ITIMER_REAL, 0.02)  # as above
            with pytest.raises(TimeoutError, match="expired"):
                loop.run_forever()
    finally:
        signal.signal(signal.SIGALRM, before)
