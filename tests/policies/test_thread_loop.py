from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.errors import LoopClosedError, LoopDiedError, LoopRunningError, NotALoopError
from loopwright.loops import groups, schedule, task_limit
from loopwright.policies import LoopHandle, ThreadLoop, on

if TYPE_CHECKING:
    from collections.abc import Callable

variable = contextvars.ContextVar("variable", default="unset")


async def where() -> tuple[threading.Thread, asyncio.AbstractEventLoop]:
    await asyncio.sleep(0)
    return threading.current_thread(), asyncio.get_running_loop()


def test_several_run_side_by_side(watched_loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    meeting = threading.Barrier(3)  # each blocks its loop until all three are there

    async def meet() -> int:
        return meeting.wait(30)

    loops = [ThreadLoop(watched_loop_factory) for _ in range(3)]
    try:
        tasks = [loop.create_task(meet()) for loop in loops]
        results = {loop.run_until_complete(task) for loop, task in zip(loops, tasks, strict=True)}
        assert results == {0, 1, 2}
    finally:
        for loop in loops:
            loop.close()


def test_what_is_handed_in_goes_on_between_runs(thread_loop: ThreadLoop) -> None:
    done = threading.Event()
    assert not thread_loop.is_running()
    thread_loop.call_later(0.01, done.set)
    assert done.wait(30)
    assert thread_loop.submit(where).result(30)[0].name == thread_loop._core.name


def test_contexts_are_the_callers(thread_loop: ThreadLoop) -> None:
    seen: list[str] = []
    all_there = threading.Semaphore(0)

    def note() -> None:
        seen.append(variable.get())
        all_there.release()

    async def read() -> str:
        return variable.get()

    token = variable.set("mine")
    try:
        thread_loop.call_soon(note)
        thread_loop.call_soon_threadsafe(note)
        thread_loop.call_later(0, note)
        thread_loop.call_at(thread_loop.time(), note)
        thread_loop.call_soon(note, context=contextvars.Context())
        assert thread_loop.run_until_complete(read()) == "mine"
        assert thread_loop.run_until_complete(thread_loop.create_task(read(), context=contextvars.Context())) == "unset"
        assert thread_loop.submit(read()).result(30) == "mine"
        assert thread_loop.submit(read, context=contextvars.Context()).result(30) == "unset"
    finally:
        variable.reset(token)
    assert all(all_there.acquire(timeout=30) for _ in range(5))
    assert sorted(seen) == ["mine"] * 4 + ["unset"]


def test_every_method_is_there_and_carried_over(thread_loop: ThreadLoop) -> None:
    for name, function in vars(asyncio.AbstractEventLoop).items():
        if callable(function) and not name.startswith("_"):
            assert getattr(ThreadLoop, name) is not function
    addresses = thread_loop.run_until_complete(thread_loop.getaddrinfo("127.0.0.1", 80))
    assert addresses[0][4] == ("127.0.0.1", 80)
    assert not thread_loop.remove_reader(0)
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionRefusedError):
            thread_loop.run_until_complete(thread_loop.create_connection(asyncio.Protocol, *unheard.getsockname()))


def test_a_server_and_its_client(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readline()).upper())
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def main() -> bytes:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
            writer.write(b"hello\n")
            answered = await reader.readline()
            writer.close()
            await writer.wait_closed()
            return answered

    with contextlib.closing(ThreadLoop(loop_factory)) as loop:
        assert loop.run_until_complete(main()) == b"HELLO\n"


def test_awaiting_its_methods_on_another_loop(thread_loop: ThreadLoop) -> None:
    async def main() -> Any:
        return (await thread_loop.getaddrinfo("127.0.0.1", 80))[0][4], await on(thread_loop, where)

    address, (thread, _) = asyncio.run(main())
    assert address == ("127.0.0.1", 80)
    assert thread.name == thread_loop._core.name


def test_run_in_executor(thread_loop: ThreadLoop) -> None:
    future = thread_loop.run_in_executor(None, threading.current_thread)
    assert thread_loop.run_until_complete(future) not in (threading.current_thread(), thread_loop._core.thread)
    thread_loop.run_until_complete(thread_loop.shutdown_default_executor())


def test_within_the_loop_everything_is_the_loops_own(thread_loop: ThreadLoop) -> None:
    async def main() -> list[Any]:
        real = asyncio.get_running_loop()
        future = thread_loop.create_future()
        thread_loop.call_soon(future.set_result, 5)
        thread_loop.call_later(0, str)
        task = thread_loop.create_task(where())
        await thread_loop.run_in_executor(None, str)
        await thread_loop.shutdown_default_executor()
        return [
            future.get_loop() is real,
            await future,
            type(task) is asyncio.Task,
            (await task)[1] is real,
            not thread_loop.remove_reader(0),
            thread_loop.is_running(),
        ]

    assert thread_loop.run_until_complete(main()) == [True, 5, True, True, True, True]


def test_within_the_loop_it_cannot_be_run_or_closed(thread_loop: ThreadLoop) -> None:
    async def main() -> None:
        with pytest.raises(LoopRunningError, match="already running: run_forever"):
            thread_loop.run_forever()
        with pytest.raises(LoopRunningError, match="Cannot close a running event loop"):
            thread_loop.close()

    thread_loop.run_until_complete(main())


def test_it_does_not_hold_another_loop_up(thread_loop: ThreadLoop) -> None:
    async def main() -> None:
        coroutine = where()
        with pytest.raises(LoopRunningError, match=r"while another loop is running.*loopwright\.on"):
            thread_loop.run_until_complete(coroutine)
        coroutine.close()

    asyncio.run(main())


def test_only_one_thread_runs_it_and_none_closes_it_meanwhile(thread_loop: ThreadLoop) -> None:
    thread = threading.Thread(target=thread_loop.run_forever, name="the runner")
    thread.start()
    try:
        while not thread_loop.is_running():
            time.sleep(0.001)
        with pytest.raises(LoopRunningError, match="'the runner' waits for it"):
            thread_loop.run_forever()
        with pytest.raises(LoopRunningError, match=r"Cannot close.*'the runner'.*stop\(\) it first"):
            thread_loop.close()
    finally:
        thread_loop.stop()
        thread.join(30)
    assert not thread.is_alive()


def test_what_is_no_loop_is_refused() -> None:
    with pytest.raises(NotALoopError, match="returned 5"):
        ThreadLoop(lambda: 5)  # type: ignore[arg-type,return-value]
    with pytest.raises(ZeroDivisionError):
        ThreadLoop(lambda: 1 / 0)  # type: ignore[arg-type,return-value]
    with pytest.raises(ValueError, match="uvloop"):
        ThreadLoop("uvlop")
    with pytest.raises(ValueError, match="close_timeout must be"):
        ThreadLoop("asyncio", close_timeout=-1)


def test_what_comes_after_its_close_is_refused(thread_loop: ThreadLoop) -> None:
    thread_loop.close()
    thread_loop.close()
    assert thread_loop.is_closed()
    assert "closed" in repr(thread_loop)
    for call in (
        thread_loop.run_forever,
        thread_loop.stop,
        lambda: thread_loop.call_soon(str),
        lambda: thread_loop.call_later(1, str),
        lambda: thread_loop.run_in_executor(None, str),
        lambda: thread_loop.remove_reader(0),
        lambda: thread_loop.submit(where()),
    ):
        with pytest.raises(LoopClosedError, match="Event loop is closed"):
            call()
    coroutine = where()
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        thread_loop.create_task(coroutine)
    coroutine.close()


def test_one_that_is_forgotten_warns_and_ends(watched_loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    loop = ThreadLoop(watched_loop_factory)
    thread = loop._core.thread
    with pytest.warns(ResourceWarning, match="unclosed event loop <ThreadLoop"):  # noqa: PT031 - either may be the last
        del loop
        collect_until_ended(thread)
    assert not thread.is_alive()


def collect_until_ended(thread: threading.Thread) -> None:
    """The thread may itself hold the loop for a moment yet, in the frame of what it did last."""
    deadline = time.monotonic() + 30
    while thread.is_alive() and time.monotonic() < deadline:
        gc.collect()
        thread.join(0.01)


def test_a_loop_that_breaks_fails_what_waits() -> None:
    class Breaking(asyncio.SelectorEventLoop):
        broken = False

        def _run_once(self) -> None:
            if self.broken:
                self.broken = False  # so that it can be ended
                raise OSError("the selector is gone")
            super()._run_once()  # type: ignore[misc]

    told: list[dict[str, Any]] = []
    loop = ThreadLoop(Breaking)
    loop.set_exception_handler(lambda *told_of: told.append(told_of[-1]))
    waiting = loop.submit(asyncio.sleep, 1000)
    task = loop.create_task(asyncio.sleep(1000))
    loop.call_later(0.1, setattr, loop._core.loop, "broken", True)
    with pytest.raises(LoopDiedError, match="selector is gone") as caught:
        loop.run_until_complete(task)
    assert isinstance(caught.value.__cause__, OSError)
    with pytest.raises(LoopDiedError, match="selector is gone"):
        waiting.result(30)
    with pytest.raises(LoopClosedError, match="broke with OSError"):
        loop.call_soon(str)
    loop.close()
    assert any(str(context.get("exception")) == "the selector is gone" for context in told)


def test_a_loop_of_a_thread_is_none_that_has_one_already(thread_loop: ThreadLoop) -> None:
    for made in (thread_loop, LoopHandle(thread_loop)):
        with pytest.raises(NotALoopError, match="none of its own"):
            ThreadLoop(lambda made=made: made)  # type: ignore[misc]
    assert thread_loop.run_until_complete(asyncio.sleep(0, 3)) == 3


def test_what_reads_a_scheduler_reads_that_of_the_loop_in_the_thread() -> None:
    def make() -> asyncio.AbstractEventLoop:
        loop = asyncio.SelectorEventLoop()
        schedule(loop, "fair", max_tasks=7)
        return loop

    loop = ThreadLoop(make)
    for each in (loop, LoopHandle(loop)):
        report = task_limit(each)
        assert report is not None
        assert report.max_tasks == 7
        assert groups(each) == {}
    loop.close()
