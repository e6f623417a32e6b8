"""Signals on the native loop. What asyncio's loop does with the same is asked of it here, where it does it right."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from loopwright import _native

if _native.LoopCore is None:
    pytest.skip(str(_native.MISSING), allow_module_level=True)

from loopwright.loops._native_loop import NativeEventLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ENOUGH = 20.0  # seconds, for what takes none
KINDS = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGTERM, signal.SIGRTMIN)
#: The children do next to nothing, and the threads that there may be are idle ones of ours.
FORKS = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
FACTORIES = pytest.mark.parametrize("factory", [asyncio.SelectorEventLoop, NativeEventLoop], ids=["asyncio", "native"])


@pytest.fixture(autouse=True)
def handlers_are_as_before() -> Iterator[None]:
    found = {number: signal.getsignal(number) for number in (*KINDS, signal.SIGINT)}
    for number in KINDS:  # whoever started this may have ignored some (nohup)
        signal.signal(number, signal.SIG_DFL)
    before = {number: signal.getsignal(number) for number in found}
    yield
    after = {number: signal.getsignal(number) for number in before}
    wakeup = signal.set_wakeup_fd(-1)
    for number, handler in found.items():
        signal.signal(number, handler)
    assert after == before
    assert wakeup == -1


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=NativeEventLoop) as runner:
        yield runner


def drop(held: list[Any]) -> None:
    held.clear()
    gc.collect()


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("debug", [False, True])
def test_a_signal_while_the_loop_sleeps(runner: asyncio.Runner, debug: bool) -> None:
    async def hear() -> str:
        loop = asyncio.get_running_loop()
        loop.set_debug(debug)
        heard: asyncio.Future[str] = loop.create_future()
        loop.add_signal_handler(signal.SIGUSR1, heard.set_result, "heard")
        timer = threading.Timer(0.02, send, (signal.SIGUSR1,))
        timer.start()
        try:
            return await asyncio.wait_for(heard, ENOUGH)
        finally:
            timer.join()
            assert loop.remove_signal_handler(signal.SIGUSR1)
            assert not loop.remove_signal_handler(signal.SIGUSR1)

    assert runner.run(hear()) == "heard"


def test_of_ten_thousand_signals_none_of_another_kind_is_lost(runner: asyncio.Runner) -> None:
    async def hear() -> dict[int, int]:
        loop = asyncio.get_running_loop()
        heard: dict[int, int] = dict.fromkeys(KINDS, 0)

        def hear_one(number: int) -> None:
            heard[number] += 1

        for number in KINDS:
            loop.add_signal_handler(number, hear_one, number)
        for _ in range(10_000):  # more than asyncio's socket, or a pipe, takes
            send(signal.SIGUSR1)
        for number in KINDS[1:]:
            send(number)
        assert not any(heard.values())  # nothing runs but in the loop's turn
        for _ in range(2):
            await asyncio.sleep(0)
        for number in KINDS:
            loop.remove_signal_handler(number)
        return heard

    heard = runner.run(hear())
    assert heard[signal.SIGUSR1] == 10_000  # each was delivered before the next was sent
    assert [heard[number] for number in KINDS[1:]] == [1] * 4


@FORKS
def test_signals_from_another_process_while_nobody_can_hear(runner: asyncio.Runner) -> None:
    async def hear() -> set[int]:
        loop = asyncio.get_running_loop()
        heard: set[int] = set()
        for number in KINDS:
            loop.add_signal_handler(number, heard.add, number)
        child = os.fork()
        if child == 0:
            for number in [signal.SIGUSR1] * 2000 + list(KINDS):
                os.kill(os.getppid(), number)
            os._exit(0)
        os.waitpid(child, 0)  # noqa: ASYNC222 - so that the loop cannot hear
        await asyncio.sleep(0.001)
        for number in KINDS:
            loop.remove_signal_handler(number)
        return heard

    assert runner.run(hear()) == set(KINDS)


@FACTORIES
def test_a_signal_between_two_runs_is_heard_in_the_second(factory: Callable[[], Any]) -> None:
    heard: list[str] = []
    with asyncio.Runner(loop_factory=factory) as runner:
        loop = runner.get_loop()
        loop.add_signal_handler(signal.SIGUSR1, heard.append, "heard")
        send(signal.SIGUSR1)
        assert not heard
        runner.run(asyncio.sleep(0.001))
        loop.remove_signal_handler(signal.SIGUSR1)
    assert heard == ["heard"]


@FACTORIES
def test_what_cannot_be_a_handler(factory: Callable[[], Any]) -> None:
    async def coroutine() -> None:
        raise AssertionError("it is not to run")

    with contextlib.closing(factory()) as loop:
        with pytest.raises(TypeError, match="coroutines cannot be used"):
            loop.add_signal_handler(signal.SIGUSR1, coroutine)
        with pytest.raises(ValueError, match="invalid signal number"):
            loop.add_signal_handler(1000, print)
        with pytest.raises(TypeError, match="must be an int"):
            loop.add_signal_handler("SIGUSR1", print)
        with pytest.raises(RuntimeError, match="cannot be caught"):
            loop.add_signal_handler(signal.SIGKILL, print)
        assert not loop.remove_signal_handler(signal.SIGUSR1)
        failed = []

        def add() -> None:
            try:
                loop.add_signal_handler(signal.SIGUSR1, print)
            except RuntimeError as error:
                failed.append(error)

        thread = threading.Thread(target=add)
        thread.start()
        thread.join()
        assert len(failed) == 1
    with pytest.raises(RuntimeError, match="closed"):
        loop.add_signal_handler(signal.SIGUSR1, print)


@FACTORIES
def test_closing_a_loop_takes_its_handlers_away(factory: Callable[[], Any]) -> None:
    loop = factory()
    loop.add_signal_handler(signal.SIGUSR1, print)
    loop.add_signal_handler(signal.SIGINT, print)
    loop.close()
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_handler_does_not_hold_its_loop() -> None:
    loop = NativeEventLoop()
    loop.add_signal_handler(signal.SIGUSR1, print)
    gone = weakref.ref(loop)
    held = [loop]
    del loop
    with pytest.warns(ResourceWarning, match="unclosed event loop"):
        drop(held)
    assert gone() is None
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


def test_a_handler_that_raises_meets_the_exception_handler(runner: asyncio.Runner) -> None:
    async def hear() -> list[Any]:
        loop = asyncio.get_running_loop()
        problems: list[Any] = []
        loop.set_exception_handler(lambda _loop, context: problems.append(context["exception"]))
        loop.add_signal_handler(signal.SIGUSR1, [].pop)
        send(signal.SIGUSR1)
        await asyncio.sleep(0.001)
        loop.remove_signal_handler(signal.SIGUSR1)
        return problems

    assert [type(problem) for problem in runner.run(hear())] == [IndexError]


def test_a_slow_handler_is_named_in_debug_mode(caplog: pytest.LogCaptureFixture) -> None:
    async def hear() -> None:
        loop = asyncio.get_running_loop()
        loop.slow_callback_duration = 0.01
        loop.add_signal_handler(signal.SIGUSR1, time.sleep, 0.02)
        send(signal.SIGUSR1)
        await asyncio.sleep(0.001)
        loop.remove_signal_handler(signal.SIGUSR1)

    with (
        caplog.at_level(logging.WARNING, "asyncio"),
        asyncio.Runner(loop_factory=NativeEventLoop, debug=True) as runner,
    ):
        runner.run(hear())
    assert any("sleep" in record.message and "took 0." in record.message for record in caplog.records)


# The program's own handlers, by signal.signal()


def test_the_programs_own_handler_runs_though_another_thread_got_the_signal(runner: asyncio.Runner) -> None:
    """Then nothing interrupts the loop's sleep. On asyncio's loop it runs when something else happens."""

    async def sleep() -> float:
        heard = asyncio.get_running_loop().create_future()
        before = signal.signal(
            signal.SIGUSR1, lambda *_: heard.get_loop().call_soon_threadsafe(heard.set_result, time.monotonic())
        )
        sent = 0.0

        def send_it_here() -> None:
            nonlocal sent
            time.sleep(0.05)
            sent = time.monotonic()
            signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)

        thread = threading.Thread(target=send_it_here)
        thread.start()
        try:
            came: float = await asyncio.wait_for(heard, ENOUGH)
            return came - sent
        finally:
            thread.join()
            signal.signal(signal.SIGUSR1, before)

    assert runner.run(sleep()) < ENOUGH / 2


def test_leaves_a_wakeup_descriptor_of_somebody_elses_alone(runner: asyncio.Runner) -> None:
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    async def send_one() -> None:
        send(signal.SIGUSR1)
        await asyncio.sleep(0)

    signal.set_wakeup_fd(writing)
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        runner.run(send_one())
        assert os.read(reading, 10) == bytes([signal.SIGUSR1])
    finally:
        signal.signal(signal.SIGUSR1, before)
        assert signal.set_wakeup_fd(-1) == writing
        os.close(reading)
        os.close(writing)


def test_has_no_wakeup_descriptor_but_while_it_runs(runner: asyncio.Runner) -> None:
    async def look() -> int:
        now = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(now, warn_on_full_buffer=False)
        return now

    assert runner.run(look()) >= 0
    assert signal.set_wakeup_fd(-1) == -1


def test_runs_in_another_thread_without_hearing_of_signals() -> None:
    def run() -> None:
        with asyncio.Runner(loop_factory=NativeEventLoop) as runner:
            runner.run(asyncio.sleep(0))
            loop: Any = runner.get_loop()
            assert loop._signal_pipe is None

    asyncio.run(asyncio.to_thread(run))


# A fork


@FORKS
def test_a_forked_child_does_not_write_its_signals_to_its_parent(runner: asyncio.Runner) -> None:
    async def fork() -> list[str]:
        loop = asyncio.get_running_loop()
        heard: list[str] = []
        loop.add_signal_handler(signal.SIGUSR1, heard.append, "heard")
        child = os.fork()
        if child == 0:
            send(signal.SIGUSR1)
            os._exit(0 if signal.set_wakeup_fd(-1) == -1 and not heard else 1)
        _, status = os.waitpid(child, 0)  # noqa: ASYNC222 - likewise
        await asyncio.sleep(0.01)
        loop.remove_signal_handler(signal.SIGUSR1)
        assert status == 0
        return heard

    assert runner.run(fork()) == []


@FORKS
def test_a_loop_that_a_forked_child_runs_hears_of_the_childs_signals(runner: asyncio.Runner) -> None:
    heard: list[str] = []
    loop = runner.get_loop()
    loop.add_signal_handler(signal.SIGUSR1, heard.append, "heard")
    runner.run(asyncio.sleep(0))
    child = os.fork()
    if child == 0:
        wrong = 1
        with contextlib.suppress(BaseException):

            def look() -> None:
                loop.stop() if heard else loop.call_later(0.01, look)

            loop.call_later(0.01, send, signal.SIGUSR1)
            loop.call_later(0.02, look)
            loop.call_later(ENOUGH, loop.stop)
            loop.run_forever()
            wrong = 0 if heard == ["heard"] else 2
        os._exit(wrong)
    _, status = os.waitpid(child, 0)
    runner.run(asyncio.sleep(0.001))
    loop.remove_signal_handler(signal.SIGUSR1)
    assert os.waitstatus_to_exitcode(status) == 0
    assert heard == []
