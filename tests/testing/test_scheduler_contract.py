"""The contract suite of task schedulers finds fault with loops that do not keep it."""

from __future__ import annotations

from typing import Any

import pytest

from loopwright.loops import _asyncio_ready as ready
from loopwright.loops import schedule
from loopwright.testing import TaskSchedulerContract


class Ignoring(TaskSchedulerContract):
    """Takes every scheduler, and goes on as before."""

    def set_scheduler(self, loop: Any, scheduler: Any, max_tasks: int | None = None) -> None:
        pass


class Forgetful(TaskSchedulerContract):
    """Loses what comes within a pass, once in a while."""

    def set_scheduler(self, loop: Any, scheduler: Any, max_tasks: int | None = None) -> None:
        schedule(loop, scheduler, max_tasks)
        append, count = loop._ready.append, 0

        def losing(handle: Any) -> None:
            nonlocal count
            count += 1
            if count % 11 or ready.is_step(handle._callback):
                append(handle)

        if not isinstance(loop._ready, list) and hasattr(loop._ready, "scheduler"):
            loop._ready.append = losing


@pytest.mark.parametrize(
    "name",
    [
        "test_urgent_work_overtakes_what_is_queued_already",
        "test_urgent_work_overtakes_within_one_pass",
        "test_the_earliest_deadline_first_and_what_has_none_last",
        "test_a_select_of_ones_own_sees_what_is_ready_and_chooses",
        "test_tasks_beyond_the_bound_wait_by_their_lanes",
        "test_timers_and_threads_are_heard_while_a_thousand_steps_stay_ready",
    ],
)
def test_a_loop_that_ignores_its_scheduler_is_found_out(name: str) -> None:
    with pytest.raises(AssertionError):
        getattr(Ignoring(), name)()


def test_a_loop_that_loses_callbacks_is_found_out() -> None:
    with pytest.raises(AssertionError):
        Forgetful().test_callbacks_stay_first_in_first_out_among_themselves()


class Endless(TaskSchedulerContract):
    """Makes passes as long as there are steps."""


def test_a_loop_whose_passes_do_not_end_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready, "SLICE", 1000.0)
    with pytest.raises(AssertionError, match="long been due"):
        Endless().test_timers_and_threads_are_heard_while_a_thousand_steps_stay_ready()
