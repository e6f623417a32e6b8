"""The native loop in the hands of policies, and of all that takes a loop by its name."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest

import loopwright
from loopwright import watchers
from loopwright.errors import (
    ArgumentsConflictError,
    PolicyConfigurationError,
    SchedulerRefusedError,
)
from loopwright.loops import NativeEventLoop, available_loops, schedule, task_limit, watches_by_itself
from loopwright.loops._names import queues_by_itself
from loopwright.policies import (
    EventLoopPolicy,
    LoopHandle,
    LoopPool,
    NativeEventLoopPolicy,
    SharedEventLoopPolicy,
    ThreadedEventLoopPolicy,
    ThreadLoop,
    installed,
    on,
    policy,
    policy_from,
    run,
    set_event_loop_policy,
    submit,
)
from tests.conftest import factory_of
from tests.policies.conftest import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(autouse=True)
def needed() -> None:
    factory_of("native")  # skips where it cannot run


class Mine(NativeEventLoop):
    pass


async def kind() -> type:
    return type(asyncio.get_running_loop())


# --- by which name


def test_a_policy_of_its_name() -> None:
    with contextlib.closing(NativeEventLoopPolicy(max_tasks=3, scope="context")) as native:
        assert run(kind(), policy=native) is NativeEventLoop
        assert "loop=native scope=context max_tasks=3" in repr(native)
    with pytest.raises(ArgumentsConflictError, match="NativeEventLoopPolicy says the loop already"):
        NativeEventLoopPolicy(loop="asyncio")  # type: ignore[call-arg] # that is the mistake
    assert loopwright.NativeEventLoopPolicy is NativeEventLoopPolicy
    assert loopwright.NativeEventLoop is NativeEventLoop


def test_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(policy_from("native; scope=shared")) is NativeEventLoopPolicy
    assert type(policy_from("NativeEventLoopPolicy")) is NativeEventLoopPolicy
    for words in ("native; max_tasks=3", "loop=native", "limited; loop=native; max_tasks=3", {"loop": NativeEventLoop}):
        with policy(words):
            assert asyncio.run(kind()) is run(kind()) is NativeEventLoop
    monkeypatch.setenv("LOOPWRIGHT_POLICY", "native; scope=shared")
    assert run(kind()) is NativeEventLoop


def test_it_asks_a_watcher_and_takes_no_scheduler() -> None:
    made = Mine()
    for native in ("native", NativeEventLoop, Mine, made):
        assert watches_by_itself(native) is None
        assert queues_by_itself(native) == "native"
    made.close()
    assert queues_by_itself("asyncio") is queues_by_itself(asyncio.SelectorEventLoop) is None
    assert queues_by_itself("uvloop") == "uvloop"


def test_a_loop_that_has_no_fine_timers_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def report() -> Any:
        return next(report for report in available_loops() if report.name == "native")

    assert report().available
    assert report().detail.startswith("NativeEventLoop of Loopwright ")
    assert "epoll_pwait2" not in report().detail  # which the machines have on which this is tested
    monkeypatch.setattr("loopwright.loops._names._tried", lambda: False)
    assert report().available
    assert "timers to the millisecond, for want of epoll_pwait2(2)" in report().detail


def test_a_loop_that_cannot_be_made_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_descriptors() -> bool:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("loopwright.loops._names._tried", no_descriptors)
    (report,) = (report for report in available_loops() if report.name == "native")
    assert not report.available
    assert report.detail == "the loop 'native' fails here (OSError: [Errno 24] Too many open files)"


def test_a_running_loop_may_ask() -> None:
    async def main() -> bool:
        return next(report for report in available_loops() if report.name == "native").available

    assert run(main(), policy=NativeEventLoopPolicy())


# --- schedulers and bounds


@pytest.mark.parametrize("loop", ["native", NativeEventLoop, Mine])
def test_a_scheduler_is_refused_before_a_loop_is_made(loop: Any) -> None:
    later = "is refused by the native loop: native scheduling comes later; .*loop='asyncio'"
    for scheduler in ("priority", "fair", "deadline"):
        with pytest.raises(SchedulerRefusedError, match=later):
            EventLoopPolicy(loop=loop, scheduler=scheduler)
    native = EventLoopPolicy(loop=loop, scheduler="fifo")
    with pytest.raises(SchedulerRefusedError, match=later):
        EventLoopPolicy(scheduler="fair").set_factory(loop)
    native.new_event_loop()
    native.close()


def test_a_loop_itself_says_the_same() -> None:
    loop = NativeEventLoop()
    with pytest.raises(SchedulerRefusedError, match=r"FairShares\(.*\): native scheduling comes later; .*'asyncio'"):
        schedule(loop, "fair")
    schedule(loop, "fifo")
    loop.close()


def test_in_words_it_is_a_mistake_that_names_the_key() -> None:
    for words, found in (("native; scheduler=fair", 'scheduler: found "fair"'), ("fair; loop=native", "loop: found")):
        with pytest.raises(PolicyConfigurationError, match=f"{found}.*native scheduling comes later"):
            policy_from(words)


def test_a_bound_on_tasks_holds() -> None:
    async def main() -> tuple[int, int]:
        now = most = 0

        async def work() -> None:
            nonlocal now, most
            now += 1
            most = max(most, now)
            await asyncio.sleep(0)
            await asyncio.sleep(0.001)
            now -= 1

        await asyncio.gather(*(work() for _ in range(10)))
        report = task_limit()
        assert report is not None
        return most, report.max_tasks

    assert run(main(), policy=NativeEventLoopPolicy(max_tasks=3)) == (3, 3)


# --- subprocesses


class Noting(watchers.PidfdChildWatcher):
    def __init__(self) -> None:
        super().__init__()
        self.told: list[int] = []

    def add_child_handler(self, pid: int, callback: Callable[..., object], *args: Any) -> None:
        self.told.append(pid)
        super().add_child_handler(pid, callback, *args)


async def one_child() -> tuple[int, int | None]:
    process = await asyncio.create_subprocess_exec("sh", "-c", "exit 3")
    return process.pid, await process.wait()


def test_subprocesses_are_handed_to_the_policys_watcher() -> None:
    watcher = Noting()
    with contextlib.closing(NativeEventLoopPolicy(child_watcher=watcher)) as native:
        pid, code = run(one_child(), policy=native)
        assert (watcher.told, code) == ([pid], 3)
        loop: Any = native.new_event_loop()
        own = Noting()
        loop.set_child_watcher(own)
        assert loop.get_child_watcher() is own
        pid, code = loop.run_until_complete(one_child())
        assert (own.told, code, len(watcher.told)) == ([pid], 3, 1)
        loop.set_child_watcher(None)  # closes it
        assert loop.get_child_watcher() is watcher
    watcher.close()


def test_without_a_policy_they_are_handed_to_the_processs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[int] = []
    own = watchers.process_watcher()
    add = type(own).add_child_handler

    def noting(self: Any, pid: int, *rest: Any) -> None:
        heard.append(pid)
        add(self, pid, *rest)

    monkeypatch.setattr(type(own), "add_child_handler", noting)
    with asyncio.Runner(loop_factory=NativeEventLoop) as runner:
        pid, code = runner.run(one_child())
    assert (heard, code) == ([pid], 3)


def test_every_named_watcher_serves_it() -> None:
    for name in ("PidfdChildWatcher", "ThreadedChildWatcher", "PollingChildWatcher", "FastChildWatcher"):
        watcher = getattr(watchers, name)()
        with contextlib.closing(NativeEventLoopPolicy(child_watcher=watcher)) as native:
            native.set_event_loop(loop := native.new_event_loop())
            assert loop.run_until_complete(one_child())[1] == 3, name
            native.set_event_loop(None)
        watcher.close()


def test_spawn() -> None:
    async def main() -> tuple[bytes, int | None]:
        async with await loopwright.spawn(["cat"], stdin=loopwright.PIPE, stdout=loopwright.PIPE) as process:
            output, _ = await process.communicate(b"through a pipe" * 10_000)
        return output, process.status.code

    assert run(main(), policy=NativeEventLoopPolicy()) == (b"through a pipe" * 10_000, 0)


# --- in threads, and for whom


def test_in_a_thread_of_its_own() -> None:
    with contextlib.closing(ThreadLoop("native")) as loop:
        assert loop.submit(kind).result(30) is NativeEventLoop
        assert loop.run_until_complete(kind()) is NativeEventLoop
        assert run(from_elsewhere(loop)) is NativeEventLoop
    with contextlib.closing(ThreadedEventLoopPolicy(loop="native")) as threaded:
        set_event_loop_policy(threaded)
        assert asyncio.run(kind()) is NativeEventLoop


async def from_elsewhere(loop: Any) -> type:
    return await on(loop, kind())


def test_a_pool_of_them() -> None:
    with LoopPool(2, loop="native") as pool:
        assert set(pool.map(lambda _: kind(), range(8))) == {NativeEventLoop}


def test_work_from_other_threads() -> None:
    async def main() -> list[int]:
        loop = asyncio.get_running_loop()

        async def double(number: int) -> int:
            await asyncio.sleep(0)
            return 2 * number

        def elsewhere() -> list[int]:
            return [submit(loop, double, number).result(30) for number in range(100)]

        return await asyncio.to_thread(elsewhere)

    assert run(main(), policy=NativeEventLoopPolicy()) == [2 * number for number in range(100)]


def test_shared_it_is_seen_from_threads_as_a_handle() -> None:
    with contextlib.closing(SharedEventLoopPolicy(loop="native")) as shared:
        shared.set_event_loop(loop := shared.new_event_loop())
        handle = in_thread(shared.get_event_loop)
        assert type(handle) is LoopHandle
        got = threading.Thread(target=lambda: handle.call_soon_threadsafe(loop.stop))
        loop.call_soon(got.start)
        loop.run_forever()
        got.join()


def test_installed_plain_asyncio_gets_it() -> None:
    with installed("native"):
        assert asyncio.run(kind()) is NativeEventLoop
        assert asyncio.run(one_child())[1] == 3


# --- ends


def test_one_that_is_dropped_says_so_and_leaves_nothing() -> None:
    before = len(os.listdir("/proc/self/fd"))
    loop: Any = NativeEventLoopPolicy().new_event_loop()
    loop.call_soon(print, loop)  # it holds itself, by what is queued
    loop.call_later(3600, print, loop)
    reference = weakref.ref(loop)
    with pytest.warns(ResourceWarning, match="unclosed event loop"):  # noqa: PT031 - either may be the last
        del loop
        gc.collect()
    assert reference() is None
    assert len(os.listdir("/proc/self/fd")) == before
