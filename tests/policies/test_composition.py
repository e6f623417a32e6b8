"""Parts that go together, parts that do not, and parts that are none."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.errors import (
    CallerError,
    LoopRunningError,
    LoopUnavailableError,
    NotALoopError,
    NotASchedulerError,
    SchedulerRefusedError,
    UnknownLoopError,
    UnknownSchedulerError,
    WatcherIgnoredError,
)
from loopwright.loops import PriorityLanes, SelectorEventLoop, TaskScheduler, loop_factory, task_limit
from loopwright.policies import EventLoopPolicy, get_event_loop_policy, run, set_event_loop_policy
from loopwright.watchers import PidfdChildWatcher

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loopwright.loops import ReadyStep


# --- scheduler and max_tasks


@pytest.mark.parametrize(
    ("parts", "error", "said"),
    [
        ({"max_tasks": 0}, ValueError, "max_tasks"),
        ({"max_tasks": -1}, ValueError, "-1"),
        ({"max_tasks": "ten"}, TypeError, "'ten'"),
        ({"max_tasks": 2.5}, TypeError, "2.5"),
        ({"max_tasks": True}, TypeError, "True"),
        ({"scheduler": "priorty"}, UnknownSchedulerError, "did you mean 'priority'?"),
        ({"scheduler": 3}, NotASchedulerError, "not 3"),
        ({"scheduler": PriorityLanes}, NotASchedulerError, "call it first"),
        ({"scheduler": TaskScheduler()}, NotASchedulerError, "no select"),
    ],
)
def test_what_never_can_be_is_refused_at_once(parts: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said) as caught:
        EventLoopPolicy(**parts)
    assert isinstance(caught.value, CallerError)


def test_every_loop_gets_the_scheduler_and_the_bound() -> None:
    class LastFirst(TaskScheduler):
        def select(self, ready: Sequence[ReadyStep], /) -> int:
            return -1

    order: list[int] = []

    async def note(number: int) -> None:
        order.append(number)

    async def main() -> int:
        await asyncio.gather(*map(note, range(3)))
        report = task_limit()
        assert report is not None
        return report.max_tasks

    set_event_loop_policy(EventLoopPolicy(scheduler=LastFirst(), max_tasks=7))
    for runs in (run, asyncio.run):
        order.clear()
        assert runs(main()) == 7
        assert order == [2, 1, 0]
    loop = get_event_loop_policy().new_event_loop()
    assert loop.run_until_complete(main()) == 7
    loop.close()


@pytest.mark.parametrize("parts", [{"scheduler": "priority"}, {"scheduler": "fair", "max_tasks": 3}])
@pytest.mark.parametrize("name", ["uvloop", "rloop"])
def test_a_loop_that_queues_by_itself_is_refused_before_one_is_made(name: str, parts: dict[str, Any]) -> None:
    package = pytest.importorskip(name)
    for loop in (name, package.new_event_loop):
        with pytest.raises(SchedulerRefusedError, match=f"would do nothing on loops of {name}") as caught:
            EventLoopPolicy(loop=loop, **parts)
        assert "scheduler=" in str(caught.value)
        assert "loop='asyncio'" in str(caught.value)


def test_every_loop_takes_a_bound(loop_name: str) -> None:
    async def main() -> object:
        tasks = [asyncio.create_task(asyncio.sleep(0, number)) for number in range(5)]
        await asyncio.sleep(0)
        report = task_limit()
        assert report is not None
        assert await asyncio.gather(*tasks) == [0, 1, 2, 3, 4]
        return report.max_tasks, report.waiting > 0

    set_event_loop_policy(EventLoopPolicy(loop=loop_name, max_tasks=2))
    assert run(main()) == (2, True)


def test_asyncios_own_order_is_for_every_loop(loop_name: str) -> None:
    policy = EventLoopPolicy(loop=loop_name, scheduler="fifo")
    loop = policy.new_event_loop()
    assert not loop.is_closed()
    policy.close()


def test_a_loop_that_only_shows_then_that_it_cannot_is_closed() -> None:
    uvloop = pytest.importorskip("uvloop")
    made: list[asyncio.AbstractEventLoop] = []

    def make() -> asyncio.AbstractEventLoop:
        made.append(uvloop.new_event_loop())
        return made[0]

    policy = EventLoopPolicy(loop=make, scheduler="priority")
    with pytest.raises(SchedulerRefusedError, match=r"loop='asyncio'"):
        policy.new_event_loop()
    assert made[0].is_closed()


# --- set_factory()


class Mine(SelectorEventLoop):
    pass


def test_set_factory_counts_from_the_next_loop_on(loop_name: str) -> None:
    policy = EventLoopPolicy()
    before = policy.new_event_loop()
    policy.set_event_loop(before)
    policy.set_factory(Mine)
    after = policy.new_event_loop()
    policy.set_factory(loop_name)
    last = policy.new_event_loop()
    reference = loop_factory(loop_name)()
    reference.close()
    assert [type(before), type(after), type(last)] == [SelectorEventLoop, Mine, type(reference)]
    assert policy.get_event_loop() is before
    policy.close()
    assert [loop.is_closed() for loop in (before, after, last)] == [True] * 3


def test_set_factory_keeps_scheduler_and_bound() -> None:
    policy = EventLoopPolicy(scheduler="priority", max_tasks=5)
    policy.set_factory(Mine)
    loop = policy.new_event_loop()
    assert type(loop) is Mine
    report = task_limit(loop)
    assert report is not None
    assert report.max_tasks == 5
    policy.close()


def test_what_is_no_factory_or_does_not_go_with_the_rest_changes_nothing() -> None:
    uvloop = pytest.importorskip("uvloop")
    watcher = PidfdChildWatcher()
    refused: list[tuple[EventLoopPolicy, Any, type[Exception]]] = [
        (EventLoopPolicy(loop=Mine), "uvlop", UnknownLoopError),
        (EventLoopPolicy(loop=Mine), "proactor", LoopUnavailableError),
        (EventLoopPolicy(loop=Mine), 3, NotALoopError),
        (EventLoopPolicy(loop=Mine, child_watcher=watcher), uvloop.new_event_loop, WatcherIgnoredError),
        (EventLoopPolicy(loop=Mine, scheduler="fair"), "uvloop", SchedulerRefusedError),
    ]
    for policy, loop, error in refused:
        with pytest.raises(error):
            policy.set_factory(loop)
        made = policy.new_event_loop()
        assert type(made) is Mine
        policy.close()
    watcher.close()


# --- while loops run


def test_a_policy_set_while_a_loop_runs_counts_from_the_next_one_on() -> None:
    """As in asyncio. It is `with policy()` that refuses."""

    async def main() -> asyncio.AbstractEventLoop:
        set_event_loop_policy(EventLoopPolicy(loop=Mine))
        await asyncio.sleep(0)
        return asyncio.get_running_loop()

    assert type(run(main())) is SelectorEventLoop
    assert type(run(asyncio.sleep(0, None)) or get_event_loop_policy()) is EventLoopPolicy
    made = get_event_loop_policy().new_event_loop()
    assert type(made) is Mine
    made.close()


def test_a_loop_that_another_thread_runs_can_be_set_as_in_asyncio() -> None:
    policy = EventLoopPolicy()
    loop = policy.new_event_loop()

    async def main() -> None:
        def elsewhere() -> bool:
            policy.set_event_loop(loop)
            return policy.get_event_loop() is loop

        assert await asyncio.to_thread(elsewhere)

    loop.run_until_complete(main())
    policy.close()


@pytest.mark.parametrize("again", [asyncio.run, run])
def test_a_run_within_a_run_is_refused(again: Any) -> None:
    async def main() -> None:
        inner = asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="running"):
            again(inner)
        inner.close()

    run(main(), policy=EventLoopPolicy())


def test_a_running_loop_cannot_be_closed_by_its_policy() -> None:
    policy = EventLoopPolicy(max_tasks=2)

    async def main() -> None:
        with pytest.raises(LoopRunningError, match="stop them first"):
            policy.close()

    run(main(), policy=policy)
    policy.close()


def test_a_policy_says_what_it_is_made_of() -> None:
    whole = EventLoopPolicy(loop=Mine, scope="shared", scheduler="priority", max_tasks=3, rules="3.13")
    expected = f"loop=Mine scope=shared scheduler={PriorityLanes()} max_tasks=3 rules=3.12>"
    assert repr(whole) == f"<loopwright.policies._policy.EventLoopPolicy {expected}"
    assert repr(EventLoopPolicy(rules="3.11")).endswith(".EventLoopPolicy loop=asyncio scope=thread rules=3.11>")
