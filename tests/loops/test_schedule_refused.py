"""Loops that take no scheduler, and what is no scheduler."""

from __future__ import annotations

import asyncio
import collections
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.errors import (
    CallerError,
    MaxTasksValueError,
    NotALoopError,
    NotASchedulerError,
    SchedulerRefusedError,
    UnknownSchedulerError,
)
from loopwright.loops import (
    PriorityLanes,
    schedule,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def loop() -> Iterator[Any]:
    made = asyncio.SelectorEventLoop()
    yield made
    made.close()


def test_a_foreign_loop_is_refused_what_it_cannot_do_and_only_that() -> None:
    uvloop = pytest.importorskip("uvloop")
    foreign = uvloop.new_event_loop()
    try:
        schedule(foreign, "fifo")  # is what it does
        with pytest.raises(
            SchedulerRefusedError, match=r"cannot take the scheduler PriorityLanes\(.*no loop of asyncio's"
        ):
            schedule(foreign, "priority")
        schedule(foreign, max_tasks=3)
    finally:
        foreign.close()


class RunsItsOwnWay(asyncio.SelectorEventLoop):
    def _run_once(self) -> None:
        super()._run_once()  # type: ignore[misc]


def test_a_loop_that_runs_callbacks_in_its_own_way_is_refused() -> None:
    own = RunsItsOwnWay()
    try:
        with pytest.raises(SchedulerRefusedError, match=r"_run_once\(\) that is not asyncio's"):
            schedule(own, "fair")
    finally:
        own.close()


def test_a_loop_whose_queue_somebody_replaced_is_refused(loop: Any) -> None:
    loop._ready = collections.UserList()
    with pytest.raises(SchedulerRefusedError, match="something else has replaced its queue"):
        schedule(loop, "fair")


def test_a_closed_loop_is_refused(loop: Any) -> None:
    loop.close()
    with pytest.raises(SchedulerRefusedError, match="is closed"):
        schedule(loop, "priority")
    assert issubclass(SchedulerRefusedError, CallerError)
    assert issubclass(SchedulerRefusedError, RuntimeError)


def test_what_is_no_loop_and_no_scheduler(loop: Any) -> None:
    with pytest.raises(NotALoopError):
        schedule("asyncio", "priority")  # type: ignore[arg-type]
    with pytest.raises(UnknownSchedulerError, match="did you mean 'priority'"):
        schedule(loop, "priorty")
    with pytest.raises(NotASchedulerError, match="call it first"):
        schedule(loop, PriorityLanes)  # type: ignore[arg-type]
    with pytest.raises(MaxTasksValueError):
        schedule(loop, "priority", 0)
    assert type(loop._ready) is collections.deque


def test_a_loop_that_runs_in_another_thread_is_refused(loop: Any) -> None:
    refused: list[BaseException] = []

    def play() -> None:
        try:
            schedule(loop, "priority")
        except SchedulerRefusedError as error:
            refused.append(error)

    async def main() -> None:
        await asyncio.to_thread(play)
        await loop.shutdown_default_executor()

    loop.run_until_complete(main())
    assert "runs in another thread" in str(refused[0])
