"""Queues of steps, and contexts with wishes in them, for tests."""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING, Any

from loopwright._core import step_queue
from loopwright._core._wishes import DEADLINE, GROUP, PRIORITY

if TYPE_CHECKING:
    from loopwright._core import TaskScheduler
    from loopwright._core._wishes import GroupWish


def context_with(lane: str | None = None, group: GroupWish | None = None, due: float | None = None) -> Any:
    context = contextvars.Context()
    for variable, value in ((PRIORITY, lane), (GROUP, group), (DEADLINE, due)):
        if value is not None:
            context.run(variable.set, value)  # type: ignore[arg-type]
    return context


def queue_for(scheduler: TaskScheduler, told: list[Any] | None = None) -> Any:
    heard: list[Any] = [] if told is None else told
    return step_queue(
        scheduler,
        task_of=lambda step: step[0] if isinstance(step, tuple) else step,
        failed=lambda *what: heard.append(what),
        unknown_lane=lambda *what: heard.append(what),
    )
