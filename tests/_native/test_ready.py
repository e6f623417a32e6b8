"""The queue of what is ready: used handles are used again, and what is hidden from the collector is found anyway."""

from __future__ import annotations

import contextlib
import gc
import tracemalloc
import warnings
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from loopwright._native import MISSING
from tests._native.passes import once, woken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

if MISSING is not None:
    pytest.skip(MISSING, allow_module_level=True)

from loopwright.loops import NativeEventLoop

Loop = Any


class Thing:
    handle: Any

    def method(self, *_: Any) -> None:
        """Nothing."""


@contextlib.contextmanager
def collected() -> Iterator[list[Any]]:
    """Give it weak references to what must be gone at the end, a loop dropped unclosed among them."""
    gone: list[Any] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield gone
        gc.collect()
    assert gone
    assert [each() for each in gone] == [None] * len(gone)


# Handles


def test_a_handle_that_is_used_again_is_as_new(loop: Loop) -> None:
    seen: list[Any] = []

    def fails() -> None:
        raise ValueError

    loop.set_exception_handler(lambda _, report: seen.append(("told", report["handle"]._callback)))

    def queue() -> None:
        for number in range(100):
            loop.call_soon(seen.append, number)
            loop.call_soon(seen.append, "cancelled").cancel()
            loop.call_soon(fails)
            loop.call_soon(list)

    for _ in range(5):
        loop.call_soon(queue)
    loop.call_later(0.02, loop.stop)
    loop.run_forever()
    told = ("told", fails)
    assert seen == [each for number in range(100) for each in (number, told)] * 5


def test_in_and_out_of_debug_mode(loop: Loop) -> None:
    """Where a handle was made is known in debug mode, and in no other."""
    seen: list[Any] = []

    def queue(left: int) -> None:
        loop.set_debug(left % 2 == 1)
        for _ in range(20):
            loop.call_soon(int)
        handle = loop.call_soon(int)
        seen.append((left % 2, handle._source_traceback is not None, handle._repr))
        loop.call_soon(*((queue, left - 1) if left else (loop.stop,)))

    loop.call_soon(queue, 20)
    loop.run_forever()
    assert seen == [(left % 2, left % 2 == 1, None) for left in range(20, -1, -1)]


def test_used_handles_do_not_keep_a_stopped_loop() -> None:
    gc.disable()
    try:
        loop = NativeEventLoop()
        for _ in range(5000):
            loop.call_soon(int)
        once(loop)
        once(loop)
        gone = weakref.ref(loop)
        loop.close()
        del loop
        assert gone() is None
    finally:
        gc.enable()


def test_a_run_within_a_run_drops_what_it_kept(loop: Loop) -> None:
    """By what a callback lets go of, too: its end is where a handle is put by."""

    class Runs:
        def __call__(self) -> None:
            """Nothing."""

        def __del__(self) -> None:
            loop.call_soon(seen.append, "in the finaliser")
            loop.call_soon(loop.stop)
            loop._run_once()

    seen: list[str] = []
    for _ in range(10):
        loop.call_soon(Runs())
        loop.call_soon(int)
    once(loop)
    once(loop)
    assert seen == ["in the finaliser"] * 10
    for _ in range(100):
        loop.call_soon(seen.append, "then")
    once(loop)
    assert seen.count("then") == 100


# What is hidden from the collector


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("run", [False, True])
def test_a_handle_taken_from_the_queue_is_collected(later: bool, run: bool) -> None:
    def play() -> None:
        loop: Loop = NativeEventLoop()
        schedule = (lambda callback: loop.call_later(0, callback)) if later else loop.call_soon
        things = [Thing() for _ in range(5)]
        for thing in things:
            schedule(thing.method)
        for thing, handle in zip(things, list(loop._scheduled if later else loop._ready), strict=True):
            thing.handle = handle
            gone.append(weakref.ref(thing))
        if run:
            loop.call_later(0.002, loop.stop)
            loop.run_forever()
        gone.append(weakref.ref(loop))

    with collected() as gone:
        play()


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("running", [False, True])
def test_a_handle_had_again_by_its_weak_reference_is_collected(later: bool, running: bool) -> None:
    def queue(loop: Loop) -> None:
        schedule = (lambda callback: loop.call_later(1000, callback)) if later else loop.call_soon
        for _ in range(3):
            thing = Thing()
            known = weakref.ref(schedule(thing.method))
            schedule(int)
            thing.handle = known()
            assert thing.handle is not None
            gone.append(weakref.ref(thing))

    def play() -> None:
        loop: Loop = NativeEventLoop()
        if running:
            for _ in range(10):
                loop.call_soon(int)
            loop.call_soon(loop.stop)
            loop.call_soon(loop.call_soon, queue, loop)
            loop.run_forever()
            once(loop)
        else:
            queue(loop)
        gone.append(weakref.ref(loop))

    with collected() as gone:
        play()


@pytest.mark.parametrize("later", [False, True])
def test_the_current_handle_of_debug_mode_is_collected(loop: Loop, later: bool) -> None:
    class Keeps(Thing):
        def method(self, *_: Any) -> None:
            self.handle = loop._current_handle

    def play() -> None:
        for _ in range(3):
            thing = Keeps()
            gone.append(weakref.ref(thing))
            if later:
                loop.call_later(0, thing.method)
            else:
                loop.call_soon(thing.method)
        loop.set_debug(True)
        loop.call_later(0.002, loop.stop)
        loop.run_forever()
        assert thing.handle is not None
        loop.set_debug(False)

    with collected() as gone:
        play()


def test_arguments_in_cycles_with_what_is_queued_are_collected() -> None:
    def play(queue: Callable[[Loop, Any], None]) -> None:
        loop: Loop = NativeEventLoop()
        for _ in range(3):
            thing = Thing()
            thing.handle = loop
            gone.append(weakref.ref(thing))
            queue(loop, thing)
        gone.append(weakref.ref(loop))

    with collected() as gone:
        play(lambda loop, thing: loop.call_soon(id, thing))
        play(lambda loop, thing: loop.call_soon_threadsafe(id, thing))
        play(lambda loop, thing: loop.call_later(1000, id, thing))
        play(lambda loop, thing: loop.call_soon(thing.method, [thing], (thing, loop)))


def test_a_collection_amid_all_of_it_takes_nothing_away(loop: Loop) -> None:
    """Everything is looked at with every callback; what is wrongly thought garbage would be emptied."""
    seen: list[Any] = []

    def look(things: list[int]) -> None:
        gc.collect()
        seen.append(things[0])
        if len(seen) == 40:
            loop.call_later(0.002, loop.stop)  # so that one too many would be seen as well

    def queue(left: int) -> None:
        for number in range(5):
            loop.call_soon(look, [number])
            loop.call_later(0, look, [number])
        if left:
            loop.call_soon(queue, left - 1)

    loop.call_soon(queue, 3)
    late = loop.call_later(30, loop.stop)  # one is lost
    gc.freeze()
    try:
        loop.run_forever()
    finally:
        gc.unfreeze()
    late.cancel()
    assert sorted(seen) == sorted([*range(5)] * 8)


# The ring


def test_it_grows_while_it_is_emptied(loop: Loop) -> None:
    """Its two ends are anywhere in it when it grows."""
    seen: list[int] = []
    queued = 0

    def queue(count: int) -> None:
        nonlocal queued
        for _ in range(count):
            loop.call_soon(seen.append, queued)
            queued += 1

    for count in (1, 100, 255, 256, 257, 300, 511, 513, 3000):
        loop.call_soon(queue, count)
        loop.call_soon(queue, 3)
        queue(7)
        once(loop)
    once(loop)
    assert seen == list(range(queued))


def test_what_a_burst_needed_is_given_back(loop: Loop) -> None:
    woken(loop)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(100_000):
            loop.call_soon(int)
        full, _ = tracemalloc.get_traced_memory()
        woken(loop)
        woken(loop)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert full - before > 8_000_000
    assert after - before < 100_000
    assert len(loop._ready) == 0


def test_as_long_as_it_is(loop: Loop) -> None:
    handles = [loop.call_soon(int) for _ in range(300)]
    assert len(loop._ready) == 300
    assert list(loop._ready) == handles
    loop._ready.clear()
    assert len(loop._ready) == 0
    assert list(loop._ready) == []
    once(loop)
    assert not any(handle.cancelled() for handle in handles)


def test_cleared_by_a_callback_that_it_runs(loop: Loop) -> None:
    seen: list[str] = []
    loop.call_soon(loop._ready.clear)
    for _ in range(10):
        loop.call_soon(seen.append, "dropped")
    loop.call_later(0.001, loop.stop)
    loop.run_forever()
    assert seen == []
