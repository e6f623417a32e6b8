"""What is refused as a bound on tasks."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from loopwright.errors import CallerError, MaxTasksTypeError, MaxTasksValueError
from loopwright.loops._limit import TaskLimit, checked_max_tasks


@pytest.mark.parametrize("wrong", [True, False, 2.5, "ten", [], 10.0])
def test_what_is_no_number_of_tasks(wrong: Any) -> None:
    with pytest.raises(MaxTasksTypeError, match="whole number") as raised:
        checked_max_tasks(wrong)
    assert repr(wrong) in str(raised.value)
    assert isinstance(raised.value, TypeError)
    assert isinstance(raised.value, CallerError)


@pytest.mark.parametrize("wrong", [0, -1])
def test_too_few_tasks(wrong: int) -> None:
    with pytest.raises(MaxTasksValueError, match=f"max_tasks={wrong} .* 1 or more, or None for no limit") as raised:
        checked_max_tasks(wrong)
    assert isinstance(raised.value, ValueError)


def test_a_number_of_tasks_is_what_was_given() -> None:
    assert checked_max_tasks(3) == 3
    assert checked_max_tasks(None) is None
    loop = asyncio.new_event_loop()
    with pytest.raises(MaxTasksTypeError, match="None is for no limit"):
        TaskLimit(loop, None, ready=lambda _: None, rank=lambda _: 0)  # type: ignore[arg-type]
    loop.close()
