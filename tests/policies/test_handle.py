from __future__ import annotations

import asyncio
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.errors import LoopClosedError, WrongThreadError
from loopwright.policies import LoopHandle, ThreadLoop, on
from tests.conftest import UVLOOP, factory_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def running(loop: asyncio.AbstractEventLoop) -> Iterator[threading.Thread]:
    """Runs the loop in a thread of its own, and closes it."""
    thread = threading.Thread(target=loop.run_forever, name="the owner")
    thread.start()
    try:
        yield thread
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


@pytest.fixture
def shared(
    watched_loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> Iterator[tuple[asyncio.AbstractEventLoop, LoopHandle]]:
    loop = watched_loop_factory()
    with running(loop) as thread:
        yield loop, LoopHandle(loop, owner=thread)


async def which_loop() -> asyncio.AbstractEventLoop:
    await asyncio.sleep(0)
    return asyncio.get_running_loop()


def test_other_threads_hand_work_in(shared: tuple[asyncio.AbstractEventLoop, LoopHandle]) -> None:
    loop, handle = shared
    assert isinstance(handle, asyncio.AbstractEventLoop)
    called = threading.Event()
    handle.call_soon_threadsafe(called.set)
    assert called.wait(30)
    assert handle.submit(which_loop()).result(30) is loop
    assert handle.submit(which_loop).result(30) is loop
    assert asyncio.run_coroutine_threadsafe(which_loop(), handle).result(30) is loop

    async def elsewhere() -> Any:
        return await on(handle, which_loop()), await asyncio.wrap_future(handle.submit(which_loop))

    assert asyncio.run(elsewhere()) == (loop, loop)


def test_what_only_reads(shared: tuple[asyncio.AbstractEventLoop, LoopHandle]) -> None:
    loop, handle = shared
    while not handle.is_running():
        time.sleep(0.001)
    assert not handle.is_closed()
    assert abs(handle.time() - loop.time()) < 30
    assert handle.get_debug() == loop.get_debug()
    assert handle.get_task_factory() is None
    assert handle.get_exception_handler() is None


def test_the_exception_handler_is_called_in_the_loops_thread(
    shared: tuple[asyncio.AbstractEventLoop, LoopHandle],
) -> None:
    loop, handle = shared
    told: list[tuple[str, dict[str, Any]]] = []
    called = threading.Event()

    def note(*told_of: Any) -> None:
        told.append((threading.current_thread().name, told_of[-1]))
        called.set()

    loop.set_exception_handler(note)
    handle.call_exception_handler({"message": "from afar"})
    assert called.wait(30)
    assert told == [("the owner", {"message": "from afar"})]


def test_everything_else_is_refused_with_what_to_do(shared: tuple[asyncio.AbstractEventLoop, LoopHandle]) -> None:
    loop, handle = shared
    allowed = {
        "call_exception_handler",
        "call_soon_threadsafe",
        "get_debug",
        "get_exception_handler",
        "get_task_factory",
        "is_closed",
        "is_running",
        "time",
    }
    refused = [
        name
        for name, function in vars(asyncio.AbstractEventLoop).items()
        if callable(function) and not name.startswith("_") and name not in allowed
    ]
    assert len(refused) > 40
    for name in refused:
        with pytest.raises(WrongThreadError, match=rf"{name}\(\) was called in thread 'MainThread'.*'the owner'"):
            getattr(handle, name)()
    with pytest.raises(WrongThreadError, match=r"submit\(coroutine\)"):
        handle.run_until_complete(None)
    with pytest.raises(WrongThreadError, match="Only who made it closes it"):
        handle.close()
    with pytest.raises(WrongThreadError, match=r"call_soon_threadsafe\(loop\.stop\)"):
        handle.stop()
    assert not loop.is_closed()


def test_in_the_loops_own_thread_it_is_the_loop(shared: tuple[asyncio.AbstractEventLoop, LoopHandle]) -> None:
    _, handle = shared

    async def main() -> Any:
        future = handle.create_future()
        handle.call_soon(future.set_result, 3)
        return future.get_loop(), await future, await handle.create_task(which_loop())

    assert handle.submit(main).result(30) == (shared[0], 3, shared[0])


def test_without_an_owner_it_is_whoever_runs_it(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    loop = loop_factory()
    handle = LoopHandle(loop)
    with pytest.raises(WrongThreadError, match=r"create_future\(\) was called"):
        handle.create_future()

    async def main() -> bool:
        return handle.create_future().get_loop() is loop

    assert loop.run_until_complete(main())
    owned = LoopHandle(loop, owner=threading.current_thread())
    assert owned.run_until_complete(main())
    owned.close()
    assert loop.is_closed()
    with pytest.raises(LoopClosedError, match="Event loop is closed"):
        handle.submit(which_loop())


def test_work_waits_for_a_loop_that_is_not_run_yet(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    loop = loop_factory()
    future = LoopHandle(loop).submit(which_loop())
    cancelled = LoopHandle(loop).submit(which_loop())
    assert cancelled.cancel()
    assert cancelled.cancelled()
    with running(loop):
        assert future.result(30) is loop


def test_equality(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    loop, other = loop_factory(), loop_factory()
    handle = LoopHandle(loop)
    assert handle == LoopHandle(loop) == LoopHandle(handle)
    assert hash(handle) == hash(LoopHandle(loop))
    assert handle not in (loop, other, LoopHandle(other), 5)
    assert repr(LoopHandle(loop, owner=threading.main_thread())) == (
        f"<LoopHandle of {loop!r}, which belongs to thread 'MainThread'>"
    )
    loop.close()
    other.close()


def test_of_a_loop_in_a_thread_of_its_own(thread_loop: ThreadLoop) -> None:
    handle = LoopHandle(thread_loop)
    assert handle.submit(which_loop).result(30) is thread_loop._core.loop
    assert asyncio.run_coroutine_threadsafe(which_loop(), handle).result(30) is thread_loop._core.loop
    with pytest.raises(WrongThreadError, match="create_task"):
        handle.create_task(None)


@pytest.mark.parametrize("loop_name", ["asyncio", "native", UVLOOP])
def test_a_forked_child_is_told_that_the_loop_is_its_parents(script: Callable[..., str], loop_name: str) -> None:
    factory_of(loop_name)  # skips, or fails on CI, where there is none
    source = """
        import asyncio, os, signal, sys, threading, warnings
        from loopwright.errors import LoopClosedError
        from loopwright.policies import SharedEventLoopPolicy, on, run, set_event_loop_policy, submit

        warnings.simplefilter("ignore")  # of fork() beside threads, and of what the child drops
        set_event_loop_policy(SharedEventLoopPolicy(loop=sys.argv[1]))
        serving, forked, stop = threading.Event(), threading.Event(), threading.Event()
        loops = []

        async def serve():
            loops.append(asyncio.get_running_loop())
            serving.set()
            while not stop.is_set():  # in no executor: one that begins while another thread forks can break
                await asyncio.sleep(0.01)

        async def until_forked():
            while not forked.is_set():
                await asyncio.sleep(0.01)
            return "parent"

        thread = threading.Thread(target=lambda: asyncio.run(serve()))
        thread.start()
        serving.wait()
        handle = asyncio.get_event_loop_policy().get_event_loop()
        pending = handle.submit(until_forked)
        pid = os.fork()
        forked.set()
        if not pid:
            signal.alarm(20)  # in place of waiting for ever
            for use in (
                lambda: handle.submit(asyncio.sleep, 0).result(),
                lambda: handle.call_soon_threadsafe(print),
                lambda: submit(loops[0], asyncio.sleep, 0).result(),
                lambda: asyncio.run(on(loops[0], asyncio.sleep, 0)),
                pending.result,
            ):
                try:
                    use()
                except LoopClosedError as error:
                    assert "runs in the parent of this forked process" in str(error)
                else:
                    os._exit(1)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        print(pending.result(30), handle.submit(asyncio.sleep, 0, 5).result(30))
        stop.set()
        thread.join()
    """
    assert script(source, loop_name) == "0\nparent 5\n"
