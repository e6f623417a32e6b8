from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from loopwright import policies
from loopwright.errors import LoopUnavailableError, MachineError, SchedulerRefusedError, WrongPlatformError
from loopwright.loops import (
    Deadlines,
    FairShares,
    PriorityLanes,
    SelectorEventLoop,
    deadline,
    group,
    groups,
    priority,
    task_limit,
)
from loopwright.policies import (
    ContextEventLoopPolicy,
    DeadlineEventLoopPolicy,
    DefaultEventLoopPolicy,
    EventLoopPolicy,
    FairEventLoopPolicy,
    LimitedEventLoopPolicy,
    LoopHandle,
    PriorityEventLoopPolicy,
    RloopEventLoopPolicy,
    SharedEventLoopPolicy,
    ThreadedEventLoopPolicy,
    ThreadLoop,
    UvloopEventLoopPolicy,
    macOSPolicy,
    run,
    set_event_loop_policy,
)
from tests.policies.conftest import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable

ELSEWHERE = {
    "WindowsSelectorEventLoopPolicy": ("Windows", r"EventLoopPolicy\(loop='selector'\)"),
    "WindowsProactorEventLoopPolicy": ("Windows", r"DefaultEventLoopPolicy\(\)"),
    "macOSPolicy": ("macOS", r"DefaultEventLoopPolicy\(\)"),
}


@pytest.mark.skipif(sys.platform != "linux", reason="for platforms that are none of theirs")
@pytest.mark.parametrize("name", ELSEWHERE)
def test_one_for_another_platform_says_so_and_what_to_use(name: str) -> None:
    platform, instead = ELSEWHERE[name]
    with pytest.raises(WrongPlatformError, match=f"{name} is for {platform} and this is linux; use {instead}") as told:
        getattr(policies, name)()
    for kind in (LoopUnavailableError, MachineError, ImportError):
        assert isinstance(told.value, kind)


def test_the_short_names_are_the_same_classes() -> None:
    assert policies.DefaultPolicy is DefaultEventLoopPolicy
    assert policies.ProactorEventLoopPolicy is policies.WindowsProactorEventLoopPolicy
    assert policies.WindowsProactorPolicy is policies.WindowsProactorEventLoopPolicy
    assert policies.WindowsSelectorPolicy is policies.WindowsSelectorEventLoopPolicy
    assert issubclass(macOSPolicy, EventLoopPolicy)


class Proactor(SelectorEventLoop):
    pass


@pytest.mark.parametrize(
    ("name", "platform", "kind"),
    [
        ("WindowsSelectorPolicy", "win32", SelectorEventLoop),
        ("WindowsProactorPolicy", "win32", Proactor),
        ("DefaultPolicy", "win32", Proactor),
        ("macOSPolicy", "darwin", SelectorEventLoop),
    ],
)
def test_on_its_platform_it_makes_that_ones_loops(
    name: str, platform: str, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(asyncio, "ProactorEventLoop", Proactor, raising=False)
    policy = getattr(policies, name)()
    monkeypatch.undo()
    loop = policy.new_event_loop()
    assert type(loop) is kind
    policy.close()


@pytest.mark.parametrize("policy", [UvloopEventLoopPolicy, RloopEventLoopPolicy])
def test_a_missing_package_is_told_how_to_install(policy: type, monkeypatch: pytest.MonkeyPatch) -> None:
    name = policy.__name__.removesuffix("EventLoopPolicy").lower()
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=f"pip install {name}"):
        policy()


def test_uvloops_makes_uvloops() -> None:
    uvloop = pytest.importorskip("uvloop")
    policy = UvloopEventLoopPolicy()
    loop = policy.new_event_loop()
    assert type(loop) is uvloop.Loop
    policy.close()


def test_each_takes_the_other_parts() -> None:
    pytest.importorskip("uvloop")
    UvloopEventLoopPolicy(scope="shared", rules="3.11")
    PriorityEventLoopPolicy(max_tasks=3, scope="context")
    LimitedEventLoopPolicy(3, scheduler="priority", loop="selector")
    SharedEventLoopPolicy(scheduler="fair")
    LimitedEventLoopPolicy(3, loop="uvloop")
    with pytest.raises(TypeError, match="UvloopEventLoopPolicy says the loop already"):
        UvloopEventLoopPolicy(loop="asyncio")  # type: ignore[call-arg] # that is the mistake
    with pytest.raises(SchedulerRefusedError, match="loops of uvloop"):
        PriorityEventLoopPolicy(max_tasks=3, loop="uvloop")


def test_what_each_stands_for() -> None:
    assert type(DefaultEventLoopPolicy()._scope) is type(EventLoopPolicy(scope="thread")._scope)
    assert type(SharedEventLoopPolicy()._scope) is type(EventLoopPolicy(scope="shared")._scope)
    assert type(ContextEventLoopPolicy()._scope) is type(EventLoopPolicy(scope="context")._scope)


# --- in which order


def order_of(policy: EventLoopPolicy, wishes: list[Callable[[], Any]]) -> list[int]:
    """In which order tasks run that are made one after the other, each with its wish."""
    order: list[int] = []

    async def note(number: int) -> None:
        order.append(number)

    async def main() -> None:
        tasks = []
        for number, wish in enumerate(wishes):
            with wish():
                tasks.append(asyncio.create_task(note(number)))
        await asyncio.gather(*tasks)

    run(main(), policy=policy)
    return order


def test_priority_lets_urgent_tasks_overtake() -> None:
    wishes = [lambda: priority("bulk"), lambda: priority("normal"), lambda: priority("urgent")]
    assert order_of(DefaultEventLoopPolicy(), wishes) == [0, 1, 2]
    assert order_of(PriorityEventLoopPolicy(), wishes) == [2, 1, 0]
    assert PriorityEventLoopPolicy()._scheduler == PriorityLanes()


def test_deadline_runs_the_earliest_first() -> None:
    wishes = [lambda: deadline(30), lambda: deadline(20), lambda: deadline(10)]
    assert order_of(DeadlineEventLoopPolicy(), wishes) == [2, 1, 0]
    assert DeadlineEventLoopPolicy()._scheduler == Deadlines()


def test_fair_keeps_an_account_of_groups() -> None:
    async def main() -> None:
        with group("tenant"):
            await asyncio.create_task(asyncio.sleep(0))
        assert "tenant" in groups()

    run(main(), policy=FairEventLoopPolicy())
    assert FairEventLoopPolicy()._scheduler == FairShares()


def test_limited_lets_that_many_run() -> None:
    at_once: list[int] = []

    async def work() -> None:
        running = asyncio.current_task()
        active.add(running)
        at_once.append(len(active))
        await asyncio.sleep(0.001)
        active.discard(running)

    async def main() -> None:
        await asyncio.gather(*(work() for _ in range(10)))
        report = task_limit()
        assert report is not None
        assert report.max_tasks == 3

    active: set[Any] = set()
    run(main(), policy=LimitedEventLoopPolicy(3))
    assert max(at_once) == 3
    assert len(at_once) == 10


# --- threads


@pytest.fixture
def threaded() -> Any:
    policy = ThreadedEventLoopPolicy()
    yield policy
    policy.close()


async def where() -> tuple[int, asyncio.AbstractEventLoop]:
    return threading.get_ident(), asyncio.get_running_loop()


def test_threaded_each_loop_has_a_thread_of_its_own(threaded: ThreadedEventLoopPolicy) -> None:
    loops: list[Any] = [threaded.new_event_loop() for _ in range(3)]
    assert {type(loop) for loop in loops} == {ThreadLoop}
    found = [loop.submit(where()).result(20) for loop in loops]
    assert len({ident for ident, _ in found} | {threading.get_ident()}) == 4
    assert len({loop for _, loop in found}) == 3


def test_threaded_work_goes_on_side_by_side(threaded: ThreadedEventLoopPolicy) -> None:
    barrier = threading.Barrier(3)
    loops: list[Any] = [threaded.new_event_loop() for _ in range(3)]

    async def meet() -> int:
        return barrier.wait(20)

    assert sorted(work.result(20) for work in [loop.submit(meet()) for loop in loops]) == [0, 1, 2]


def test_threaded_plain_asyncio_runs_there(threaded: ThreadedEventLoopPolicy) -> None:
    set_event_loop_policy(threaded)
    ident, loop = asyncio.run(where())
    assert ident != threading.get_ident()
    assert loop.is_closed()
    threaded.set_event_loop(mine := threaded.new_event_loop())
    assert asyncio.get_event_loop() is mine
    assert mine.run_until_complete(where())[0] != threading.get_ident()


def test_threaded_close_ends_the_threads(threaded: ThreadedEventLoopPolicy) -> None:
    loops: list[Any] = [threaded.new_event_loop() for _ in range(2)]
    threads = [loop.submit(where()).result(20)[0] for loop in loops]
    threaded.close()
    assert [loop.is_closed() for loop in loops] == [True, True]
    until = time.monotonic() + 20
    while any(thread.ident in threads for thread in threading.enumerate()):
        assert time.monotonic() < until
        time.sleep(0.005)


def test_threaded_loops_take_the_other_parts() -> None:
    policy = ThreadedEventLoopPolicy(max_tasks=2, scheduler="priority")

    async def limit() -> Any:
        return task_limit()

    loop: Any = policy.new_event_loop()
    assert loop.submit(limit()).result(20).max_tasks == 2
    policy.close()


def test_shared_in_a_thread_is_a_handle_whose_methods_refuse() -> None:
    policy = SharedEventLoopPolicy(rules="3.14")
    loop = policy.new_event_loop()
    policy.set_event_loop(loop)
    handle = in_thread(policy.get_event_loop)
    assert type(handle) is LoopHandle

    def misuse() -> None:
        with pytest.raises(RuntimeError, match="other threads share"):
            handle.run_forever()

    in_thread(misuse)
    assert contextvars.Context().run(policy.get_event_loop) is loop
    policy.close()
