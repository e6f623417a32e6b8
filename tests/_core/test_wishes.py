from __future__ import annotations

import asyncio
import contextvars
import time
from typing import Any

import pytest

from loopwright._core import PriorityLanes, deadline, group, priority
from loopwright._core._wishes import DEADLINE, GROUP, PRIORITY
from loopwright.errors import UnknownLaneError
from loopwright.loops import schedule


def test_a_wish_holds_within_its_block_and_what_held_before_does_after_it() -> None:
    def play() -> None:
        with priority("high"):
            assert PRIORITY.get() == "high"
            with priority("low"), group("a", 2):
                assert PRIORITY.get() == "low"
                assert GROUP.get() == ("a", 2.0)
                with priority(None), group(None):
                    assert PRIORITY.get() is None
                    assert GROUP.get() is None
                assert PRIORITY.get() == "low"
            assert PRIORITY.get() == "high"
            assert GROUP.get() is None
            with pytest.raises(KeyError), group("b"):
                raise KeyError
            assert GROUP.get() is None
        assert PRIORITY.get() is None

    contextvars.Context().run(play)


def test_deadlines_are_relative_and_the_earlier_one_holds() -> None:
    def play() -> None:
        before = time.monotonic()
        with deadline(10):
            first = DEADLINE.get()
            assert first is not None
            assert before + 10 <= first <= time.monotonic() + 10
            with deadline(1000):
                assert DEADLINE.get() == first
            with deadline(1):
                assert (DEADLINE.get() or 0) < first
            with deadline(None):
                assert DEADLINE.get() is None
            with deadline(-5):
                assert (DEADLINE.get() or 0) < time.monotonic()
            assert DEADLINE.get() == first

    contextvars.Context().run(play)


def test_tasks_inherit_and_one_wish_serves_many_tasks_at_once() -> None:
    urgent = priority("urgent")

    async def child() -> Any:
        return PRIORITY.get()

    async def play(seconds: float) -> None:
        with urgent:
            made = asyncio.create_task(child())
            await asyncio.sleep(seconds)
            assert PRIORITY.get() == "urgent"
            with urgent:
                await asyncio.sleep(0)
            assert PRIORITY.get() == "urgent"
        assert PRIORITY.get(None) is None
        assert await made == "urgent"
        assert await asyncio.create_task(child()) is None

    async def main() -> None:
        await asyncio.gather(*(play(seconds) for seconds in (0.02, 0.01, 0.0)))

    async def with_default() -> None:
        with priority(None):
            await main()

    asyncio.run(with_default())


def test_a_block_that_is_left_elsewhere_is_told_of() -> None:
    wish = priority("low")
    contextvars.Context().run(wish.__enter__)
    with pytest.raises(RuntimeError, match="another context"):
        contextvars.Context().run(wish.__exit__)


@pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf")])
def test_weights_out_of_range(weight: float) -> None:
    with pytest.raises(ValueError, match="weight must be a finite number above 0"):
        group("a", weight)


@pytest.mark.parametrize("weight", ["two", True, [2]])
def test_weights_that_are_no_numbers(weight: Any) -> None:
    with pytest.raises(TypeError, match="weight must be a number above 0"):
        group("a", weight)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: group(7), TypeError),  # type: ignore[arg-type]
        (lambda: group(""), ValueError),
        (lambda: group(None, 2), ValueError),
        (lambda: priority(1), TypeError),  # type: ignore[arg-type]
        (lambda: priority(""), ValueError),
        (lambda: deadline("soon"), TypeError),  # type: ignore[arg-type]
        (lambda: deadline(True), TypeError),
        (lambda: deadline(float("nan")), ValueError),
        (lambda: deadline(float("inf")), ValueError),
    ],
)
def test_what_is_no_wish(make: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        make()


def test_a_wish_is_no_decorator_and_says_what_it_is() -> None:
    wish: Any = group("a")
    assert not callable(wish)
    assert repr(wish) == "<a wish for a group>"


def test_an_unknown_lane_is_an_error_where_the_loop_has_lanes() -> None:
    async def main() -> None:
        with pytest.raises(UnknownLaneError, match="did you mean 'urgent'"), priority("Urgnt"):
            pass
        with pytest.raises(ValueError, match="there are: urgent, usual"), priority("bulk"):
            pass
        with priority("usual"):
            assert PRIORITY.get() == "usual"

    loop = asyncio.SelectorEventLoop()
    schedule(loop, PriorityLanes(("urgent", "usual"), default="usual"))
    try:
        loop.run_until_complete(main())
        with priority("bulk"):  # no loop runs here
            pass
    finally:
        loop.close()
