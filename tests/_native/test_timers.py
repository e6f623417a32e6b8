"""The heap of timers: in order, whatever is taken out of it."""

from __future__ import annotations

import contextvars
import gc
import random
import tracemalloc
import weakref
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loopwright._native import MISSING
from tests._native.passes import woken

if MISSING is not None:
    pytest.skip(MISSING, allow_module_level=True)

from loopwright.loops import NativeEventLoop

Loop = Any

MANY = 100_000


def test_very_many_run_in_their_order(loop: Loop) -> None:
    seen: list[int] = []
    times = [random.randrange(MANY // 10) for _ in range(MANY)]
    for number, time in enumerate(times):
        loop.call_at(time - 1e6, seen.append, number)
    assert len(loop._scheduled) == MANY
    woken(loop)
    assert len(loop._scheduled) == 0
    assert seen == sorted(range(MANY), key=times.__getitem__)  # which is stable: equals as they came


def test_very_many_cancelled_in_any_order(loop: Loop) -> None:
    handles = [loop.call_later(random.randrange(1000, 2000), int) for _ in range(MANY)]
    random.shuffle(handles)
    for left, handle in zip(range(MANY - 1, -1, -1), handles, strict=True):
        handle.cancel()
        if left % 1000 == 0:
            assert len(loop._scheduled) == left
    assert all(handle.cancelled() and not handle._scheduled for handle in handles)
    woken(loop)


def test_very_many_cleared_at_the_end() -> None:
    gc.disable()
    try:
        loop: Loop = NativeEventLoop()
        things = [loop.call_later(1000, int, number) for number in range(MANY // 10)]
        for number in range(MANY):
            loop.call_later(1000, int, number)
        assert things[0]._scheduled
        loop.close()
        assert len(loop._scheduled) == 0
        assert not any(handle._scheduled or handle.cancelled() for handle in things)
        for handle in things:
            handle.cancel()  # of which the heap knows nothing any more
        gone = weakref.ref(loop)
        things.clear()
        del loop, handle
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("by", ["running", "cancelling", "closing"])
def test_what_many_needed_is_given_back(by: str) -> None:
    loop: Loop = NativeEventLoop()
    woken(loop)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        if by == "cancelling":
            handles = [loop.call_later(1000, int) for _ in range(MANY)]
        else:
            for _ in range(MANY):
                loop.call_at(-1 if by == "running" else loop.time() + 1000, int)
        full, _ = tracemalloc.get_traced_memory()
        if by == "cancelling":
            for handle in handles:
                handle.cancel()
            del handles, handle
        if by == "closing":
            loop.close()
        else:
            woken(loop)
            woken(loop)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        loop.close()
    assert full - before > 8_000_000
    assert after - before < 100_000


@settings(max_examples=100, deadline=None)
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.integers(0, 20), st.booleans()),
            st.tuples(st.just("cancel"), st.integers(0, 200), st.just(False)),
            st.tuples(st.just("run"), st.integers(0, 20), st.just(False)),
        ),
        max_size=150,
    )
)
def test_any_order_of_adding_cancelling_and_running(steps: list[tuple[str, int, bool]]) -> None:
    """With a list as the oracle. What is to be run is due already, all the rest long after."""
    loop: Loop = NativeEventLoop()
    far = 1e6
    waiting: list[tuple[int, int, Any]] = []
    seen: list[int] = []
    serial = 0
    try:
        for what, number, keep in steps:
            if what == "add":
                serial += 1
                handle = loop.call_at(loop.time() + far + number * 1e4, seen.append, serial)
                waiting.append((number, serial, handle if keep else None))
            elif what == "cancel":
                if not waiting:
                    continue
                _, _, handle = waiting[number % len(waiting)]
                if handle is not None:
                    del waiting[number % len(waiting)]
                    handle.cancel()
                    assert handle.cancelled()
                    assert not handle._scheduled
            else:
                serial += 1
                loop.call_at(number - far, seen.append, serial)
                woken_at_once(loop)
                assert seen == [serial]
                seen.clear()
            assert len(loop._scheduled) == len(waiting)
        found = [handle._args[0] for handle in loop._scheduled]
        assert sorted(found) == sorted(serial for _, serial, _ in waiting)
        order = {serial: number for number, serial, _ in waiting}
        assert [order[each] for each in found] == sorted(order.values())
    finally:
        loop.close()


def woken_at_once(loop: Loop) -> None:
    loop.call_soon(loop.call_soon, loop.stop)
    loop.run_forever()


def test_timers_made_by_timers_wait_their_turn_also_when_they_are_late(loop: Loop) -> None:
    """Those that are set aside for the next round can be cancelled meanwhile, and come in their order."""
    seen: list[Any] = []
    kept: list[Any] = []

    def first() -> None:
        seen.append("first")
        loop.call_soon(seen.append, "queued")
        for number in (5, 3, 4, 3):
            loop.call_at(number - 1e6, seen.append, number)
        kept.append(loop.call_at(-2e6, seen.append, "cancelled"))

    loop.call_at(-1e6, first)
    loop.call_at(-9e5, lambda: (seen.append("second"), kept[0].cancel()))
    woken_at_once(loop)
    woken_at_once(loop)
    assert seen == ["first", "second", "queued", 3, 3, 4, 5]
    assert len(loop._scheduled) == 0


def test_late_timers_are_kept_when_a_callback_ends_the_run(loop: Loop) -> None:
    seen: list[str] = []

    def interrupted() -> None:
        loop.call_at(-2e6, seen.append, "late")
        loop.call_at(-2e6, stop)

    def stop() -> None:
        raise KeyboardInterrupt

    loop.call_at(-1e6, interrupted)
    loop.call_at(-9e5, stop)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            loop.run_forever()
    woken_at_once(loop)
    assert seen == ["late"]
    assert len(loop._scheduled) == 0


def test_a_timer_keeps_its_variables_and_gives_them_back(loop: Loop) -> None:
    class Value:
        pass

    variable: contextvars.ContextVar[Any] = contextvars.ContextVar("variable")

    def queue() -> None:
        value = Value()
        gone.append(weakref.ref(value))
        variable.set(value)
        for _ in range(10):
            loop.call_later(0, lambda: seen.append(variable.get() is gone[0]()))
            loop.call_later(1000, int).cancel()

    gone: list[Any] = []
    seen: list[bool] = []
    contextvars.Context().run(queue)
    woken(loop)
    assert seen == [True] * 10
    assert gone[0]() is None
