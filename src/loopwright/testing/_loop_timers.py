# mypy: disable-error-code="no-untyped-call"
"""The contract of event loops: timers."""

from __future__ import annotations

import asyncio
import contextvars
import time
from typing import Any

from loopwright.testing._loop_stage import LIMIT, WOKEN, LoopTests

__all__ = ["LoopTimers"]

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def _in_context(value: str) -> contextvars.Context:
    context = contextvars.copy_context()
    context.run(variable.set, value)
    return context


class LoopTimers(LoopTests):
    """They come by their time, and never before it."""

    # Timers

    def test_timers_come_by_time(self) -> None:
        with self.stage() as stage:
            seen: list[Any] = []
            now = stage.loop.time()
            for number in (3, 1, 4, 2, 0):
                stage.loop.call_at(now + number / 500, seen.append, number)
            stage.run(asyncio.sleep(0.02))
            assert seen == [0, 1, 2, 3, 4]

    def test_timers_of_one_pass_come_by_time(self) -> None:
        with self.stage() as stage:
            seen: list[Any] = []
            now = stage.loop.time()
            order = [number * 7919 % 500 for number in range(500)]
            for number in order:
                stage.loop.call_at(now + number / 1e6, seen.append, number)
            time.sleep(0.001)
            stage.run(asyncio.sleep(0.002))
            assert seen == list(range(500))

    def test_timers_of_the_same_time_come_in_the_order_they_were_made(self) -> None:
        """More than asyncio promises: its heap knows no order among equals."""
        with self.stage() as stage:
            seen: list[int] = []
            when = stage.loop.time() + 0.001
            for number in range(200):
                stage.loop.call_at(when, seen.append, number)
            stage.run(asyncio.sleep(0.02))
            assert seen == list(range(200))

    def test_timers_are_never_early(self) -> None:
        with self.stage() as stage:
            busy = False

            def again() -> None:
                if busy:
                    stage.loop.call_soon(again)

            async def main() -> None:
                for delay in (0.0001, 0.0004, 0.001, 0.0015, 0.003, 0.0101):
                    start = time.monotonic()
                    await asyncio.sleep(delay)
                    took = time.monotonic() - start
                    # asyncio's own clock may be as coarse as its resolution says
                    assert took >= delay - 2 * time.get_clock_info("monotonic").resolution, (took, delay)

            stage.run(main())
            busy = True  # the loop does not sleep until they are due, but looks at the clock all the time
            again()
            stage.run(main())
            busy = False

    def test_a_timer_that_is_due_already_comes_soon(self) -> None:
        with self.stage() as stage:
            seen: list[str] = []
            stage.loop.call_at(0, seen.append, "long ago")
            stage.loop.call_later(-5, seen.append, "negative")
            stage.loop.call_later(0, seen.append, "now")
            stage.run(asyncio.sleep(0.002))
            assert seen == ["long ago", "negative", "now"]

    def test_a_timer_that_is_due_already_waits_for_the_next_pass(self) -> None:
        with self.stage() as stage:
            seen: list[str] = []

            def first() -> None:
                seen.append("first")
                stage.loop.call_soon(seen.append, "queued")
                stage.loop.call_at(-5, seen.append, "timed")

            stage.loop.call_soon(first)
            stage.loop.call_soon(seen.append, "second")
            stage.run(asyncio.sleep(0.002))
            assert seen == ["first", "second", "queued", "timed"]

    def test_a_timer_that_is_always_behind_does_not_keep_the_loop(self) -> None:
        """One that sets itself for its next time, which has gone by."""
        with self.stage() as stage:
            start = stage.loop.time()
            seen: list[int] = []

            def tick(number: int) -> None:
                if number < 100_000 and not seen:
                    stage.loop.call_at(start - 100 + number / 1000, tick, number + 1)
                else:
                    seen.append(number)

            stage.loop.call_at(start - 100, tick, 0)
            stage.run(asyncio.sleep(0))
            stage.run(asyncio.sleep(0.001))
            assert seen == []
            seen.append(-1)
            stage.run(asyncio.sleep(0.001))

    def test_a_timer_may_be_further_away_than_a_poll_can_wait(self) -> None:
        with self.stage() as stage:
            for delay in (1e6, 1e9, 1e12):
                stage.loop.call_later(delay, print)
            stage.run(asyncio.sleep(0.005))

    def test_a_timer_without_time_is_refused(self) -> None:
        with self.stage() as stage:
            nothing: Any = None
            for call in (lambda: stage.loop.call_later(nothing, print), lambda: stage.loop.call_at(nothing, print)):
                try:
                    call()
                except TypeError:
                    continue
                raise AssertionError("a timer was made for no time")

    def test_cancelling_among_ten_thousand(self) -> None:
        with self.stage() as stage:
            seen: list[int] = []
            now = stage.loop.time()
            timers = [stage.loop.call_at(now + number % 7 / 500, seen.append, number) for number in range(10_000)]
            kept = [number for number in range(10_000) if number % 3 == 0]
            for number, timer in enumerate(timers):
                if number % 3:
                    timer.cancel()
            stage.run(asyncio.sleep(0.05))
            assert sorted(seen) == kept
            assert [number % 7 for number in seen] == sorted(number % 7 for number in kept)

    def test_a_timer_cancelled_by_one_that_is_due_at_the_same_time_does_not_come(self) -> None:
        with self.stage() as stage:
            seen: list[str] = []
            when = stage.loop.time() + 0.001
            timers: list[asyncio.TimerHandle] = []
            stage.loop.call_at(when, lambda: timers[0].cancel())
            timers.append(stage.loop.call_at(when, seen.append, "cancelled"))
            stage.run(asyncio.sleep(0.005))
            assert seen == []

    def test_timers_come_while_callbacks_never_stop(self) -> None:
        with self.stage() as stage:
            due: list[float] = []

            def again() -> None:
                if not due:
                    stage.loop.call_soon(again)

            start = time.monotonic()
            stage.loop.call_soon(again)
            stage.loop.call_later(0.005, lambda: due.append(time.monotonic() - start))
            stage.loop.call_later(LIMIT, due.append, LIMIT)
            stage.run(asyncio.sleep(0.01))
            assert due[0] < WOKEN, f"a timer of 5 ms came after {due[0]:g} s"
