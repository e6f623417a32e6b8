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

ENOUGH = 5.0  # seconds, for what takes none
FACTORIES = pytest.mark.parametrize("factory", [asyncio.SelectorEventLoop, NativeEventLoop], ids=["asyncio", "native"])


def send(number: int) -> None:
    os.kill(os.getpid(), number)


def interrupt_soon(times: int = 1) -> threading.Thread:
    def interrupt() -> None:
        for _ in range(times):
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
        thread = interrupt_soon(2)
        try:
            await asyncio.sleep(ENOUGH)
        except asyncio.CancelledError:
            seen.append("cancelled")
            try:
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
        if sleeps:
            thread = interrupt_soon()
        else:
            thread = threading.Thread(target=int)
            thread.start()
            loop.call_soon(send, signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            loop.run_forever()
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
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            with pytest.raises(TimeoutError, match="expired"):
                loop.run_forever()
    finally:
        signal.signal(signal.SIGALRM, before)
