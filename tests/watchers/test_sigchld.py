"""Watchers by SIGCHLD: the signal's one handler is shared, chained and given back, and lost signals lose nobody."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.errors import NoLoopError, WrongThreadError
from loopwright.watchers import FastChildWatcher, MultiLoopChildWatcher, SafeChildWatcher
from loopwright.watchers._ear import ear
from tests.watchers.children import heard, held, start

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from loopwright.watchers._sigchld import SignalWatcher

    Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(autouse=True)
def same_handler_afterwards() -> Iterator[None]:
    before = signal.getsignal(signal.SIGCHLD)
    yield
    after = signal.signal(signal.SIGCHLD, before)
    assert after == before


@pytest.fixture(params=[MultiLoopChildWatcher, SafeChildWatcher, FastChildWatcher])
def make(request: pytest.FixtureRequest) -> Iterator[Callable[[], SignalWatcher]]:
    """Makes watchers of each kind, with the running loop attached, if there is one."""
    made: list[SignalWatcher] = []

    def make_one() -> SignalWatcher:
        watcher: SignalWatcher = request.param()
        made.append(watcher)
        if asyncio._get_running_loop() is not None:
            watcher.attach_loop(asyncio.get_running_loop())
        return watcher

    yield make_one
    for watcher in made:
        watcher.close()


async def check(watcher: SignalWatcher) -> float:
    """Have a child watched; how long its end took to be told, in seconds."""
    begun, result = time.monotonic(), heard()
    with watcher:
        pid = start("exit 3")
        watcher.add_child_handler(pid, result)
    assert await result == (pid, 3)
    return time.monotonic() - begun


# One handler


def test_handler_that_was_there_is_called_and_comes_back(run: Run, make: Callable[[], SignalWatcher]) -> None:
    calls: list[int] = []

    def mine(number: int, _frame: object) -> None:
        calls.append(number)

    async def play() -> None:
        watcher = make()
        assert ear.hears()
        await check(watcher)
        assert set(calls) == {signal.SIGCHLD}
        watcher.close()
        assert signal.getsignal(signal.SIGCHLD) is mine
        watcher.close()

    before = signal.signal(signal.SIGCHLD, mine)
    try:
        run(play())
    finally:
        signal.signal(signal.SIGCHLD, before)


@pytest.mark.parametrize("last", [0, 1])
def test_watchers_closed_in_any_order(last: int, run: Run, make: Callable[[], SignalWatcher]) -> None:
    async def play() -> None:
        before = signal.getsignal(signal.SIGCHLD)
        watchers = [MultiLoopChildWatcher(), make()]
        watchers.pop(1 - last).close()
        await check(watchers[0])
        watchers[0].close()
        assert signal.getsignal(signal.SIGCHLD) == before

    run(play())


def test_handler_of_the_loop_hears_as_before(make: Callable[[], SignalWatcher]) -> None:
    """asyncio's add_signal_handler() hears by the wake-up descriptor. uvloop refuses one for SIGCHLD."""

    async def play() -> None:
        loop = asyncio.get_running_loop()
        signalled = asyncio.Event()
        loop.add_signal_handler(signal.SIGCHLD, signalled.set)
        watcher = make()
        await check(watcher)
        await signalled.wait()
        watcher.close()
        signalled.clear()
        os.waitpid(start("exit 0"), 0)  # noqa: ASYNC222 - it ends at once
        await signalled.wait()
        loop.remove_signal_handler(signal.SIGCHLD)

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(asyncio.wait_for(play(), 20))


def test_handler_set_after_ours_is_left_alone_and_nobody_is_lost(
    run: Run, make: Callable[[], SignalWatcher], caplog: pytest.LogCaptureFixture
) -> None:
    def theirs(number: int, frame: object) -> None: ...

    async def play() -> None:
        watcher = make()
        ours = signal.signal(signal.SIGCHLD, theirs)
        assert not ear.hears()
        await check(watcher)
        watcher.close()
        assert signal.getsignal(signal.SIGCHLD) is theirs
        assert ours is not theirs

    before = signal.getsignal(signal.SIGCHLD)
    try:
        run(play())
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert "handler of SIGCHLD was changed by other code" in caplog.text


def test_handler_set_after_ours_that_calls_ours(run: Run, make: Callable[[], SignalWatcher]) -> None:
    """The next watcher takes its place in turn; called in a circle, each is called once."""
    calls: list[int] = []

    async def play() -> None:
        first = make()
        ours = signal.getsignal(signal.SIGCHLD)
        assert callable(ours)

        def theirs(number: int, frame: Any) -> None:
            calls.append(number)
            ours(number, frame)

        signal.signal(signal.SIGCHLD, theirs)
        second = make()
        if isinstance(first, FastChildWatcher):  # two of them would take each other's children
            first.close()
        await check(second)
        assert calls
        if not isinstance(first, FastChildWatcher):
            await check(first)

    before = signal.getsignal(signal.SIGCHLD)
    try:
        run(play())
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_ignored_signal(run: Run, make: Callable[[], SignalWatcher]) -> None:
    """While we listen, the kernel does not reap, and the status is true; afterwards it is ignored again."""

    async def play() -> None:
        watcher = make()
        await check(watcher)
        watcher.close()
        assert signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN

    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        run(play())
    finally:
        signal.signal(signal.SIGCHLD, before)


@pytest.mark.long
def test_signal_ignored_later(run: Run, make: Callable[[], SignalWatcher], caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is signalled and the status is gone: the timer finds out, and it is said."""

    async def play() -> None:
        watcher = make()
        with watcher:
            result = heard()
            pid, until = held()
            watcher.add_child_handler(pid, result)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        os.close(until)
        assert await result == (pid, 255)

    before = signal.getsignal(signal.SIGCHLD)
    try:
        run(play())
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert "is lost and reported as 255" in caplog.text


def test_signal_that_never_arrives(run: Run, make: Callable[[], SignalWatcher]) -> None:
    async def play() -> None:
        watcher = make()
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
        try:
            await check(watcher)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])

    run(play())


def test_closed_in_another_thread_the_handler_goes_with_the_next_signal(
    run: Run, make: Callable[[], SignalWatcher]
) -> None:
    async def play() -> None:
        before = signal.getsignal(signal.SIGCHLD)
        watcher = make()
        thread = threading.Thread(target=watcher.close)
        thread.start()
        thread.join()
        os.waitpid(start("exit 0"), 0)  # noqa: ASYNC222 - it ends at once
        while signal.getsignal(signal.SIGCHLD) != before:  # noqa: ASYNC110 - signals set no event
            await asyncio.sleep(0.001)

    run(play())


# Threads and loops


def test_multi_loop_made_in_another_thread(run: Run) -> None:
    made: list[MultiLoopChildWatcher] = []
    thread = threading.Thread(target=lambda: made.append(MultiLoopChildWatcher()))
    thread.start()
    thread.join()
    (watcher,) = made

    async def play() -> None:
        assert watcher.is_active() is False
        with pytest.raises(WrongThreadError, match="was made outside the main thread and does not hear SIGCHLD yet"):
            watcher.add_child_handler(1, print)
        with pytest.raises(WrongThreadError, match="can only be set in the main thread"):
            await asyncio.to_thread(watcher.attach_loop, asyncio.get_running_loop())
        watcher.attach_loop(asyncio.get_running_loop())
        assert watcher.is_active() is True
        await check(watcher)

    run(play())
    watcher.close()


@pytest.mark.parametrize("kind", [SafeChildWatcher, FastChildWatcher])
def test_attached_in_another_thread(kind: type[SafeChildWatcher], run: Run) -> None:
    async def play() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(WrongThreadError, match=f"{kind.__name__}.attach_loop.* must be called in the main thread"):
            await asyncio.to_thread(watcher.attach_loop, loop)
        with pytest.raises(NoLoopError, match=f"no loop is attached to this {kind.__name__}"):
            watcher.add_child_handler(1, print)
        assert watcher.is_active() is False

    watcher = kind()
    run(play())
    watcher.close()


@pytest.mark.parametrize("kind", [SafeChildWatcher, FastChildWatcher])
def test_attached_loop_that_is_closed(kind: type[SafeChildWatcher], run: Run) -> None:
    async def play() -> None:
        with pytest.raises(NoLoopError, match=f"the loop that is closed is attached to this {kind.__name__}"):
            watcher.add_child_handler(1, print)

    watcher, loop = kind(), asyncio.SelectorEventLoop()
    watcher.attach_loop(loop)
    loop.close()
    run(play())
    watcher.close()
    watcher.attach_loop(None)
    assert not ear.hears()


def test_closed_watcher_that_is_attached_listens_to_nothing(make: Callable[[], SignalWatcher]) -> None:
    watcher, loop = make(), asyncio.SelectorEventLoop()
    watcher.close()
    watcher.attach_loop(loop)
    assert not ear.hears()
    loop.close()


@pytest.mark.long
def test_many_that_end_while_the_loop_is_stuck(run: Run, make: Callable[[], SignalWatcher]) -> None:
    """Signals of one kind are merged: one for all of them."""

    async def play() -> None:
        watcher, told = make(), set[int]()
        with watcher:
            pids = {start("exit 0") for _ in range(20)}
            for pid in pids:
                watcher.add_child_handler(pid, lambda pid, code: told.add(pid) if code == 0 else None)
            time.sleep(0.3)  # noqa: ASYNC251 - stuck, that is the point
            await watcher
        assert told == pids

    run(play())
