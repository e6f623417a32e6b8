# mypy: disable-error-code="func-returns-value,no-untyped-call"
"""The contract of event loops: what becomes of handles that were run, and of loops that were closed; call_soon()."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import threading
import warnings
import weakref
from typing import TYPE_CHECKING, Any

from loopwright.testing._loop_stage import LoopTests, eventually, raises

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LoopHandles"]

MANY = 3000


class Thing:
    """Which holds the handles of its own callbacks."""

    handles: list[Any]

    def method(self, *_: Any) -> None:
        """Nothing."""


class LoopHandles(LoopTests):
    """A handle is that of one callback, for ever; what is in a cycle with one is collected."""

    # Handles that are kept

    def test_cancelling_what_has_run_cancels_nothing_else(self) -> None:
        with self.stage() as stage:
            seen: list[int] = []
            kept: list[Any] = []

            def queue() -> None:
                for number in range(MANY):
                    kept.append(stage.loop.call_soon(seen.append, number))
                    stage.loop.call_soon(int)  # nobody keeps that one

            queue()
            stage.run(asyncio.sleep(0))
            stage.loop.call_soon(queue)
            stage.run(asyncio.sleep(0.001))
            assert len(seen) == 2 * MANY
            before, kept = kept, []

            def again() -> None:
                queue()
                for handle in before:
                    handle.cancel()

            stage.loop.call_soon(again)
            stage.run(asyncio.sleep(0.001))
            assert seen == list(range(MANY)) * 3
            assert all(handle.cancelled() for handle in before)
            assert not any(handle.cancelled() for handle in kept)

    def test_no_two_callbacks_have_the_same_handle(self) -> None:
        with self.stage() as stage:
            handles: list[Any] = []

            def queue(left: int) -> None:
                if left:
                    handles.extend(stage.loop.call_soon(int) for _ in range(10))
                    for _ in range(10):
                        stage.loop.call_soon(int)
                    stage.loop.call_soon(queue, left - 1)

            stage.loop.call_soon(queue, 50)
            stage.run(eventually(lambda: len(handles) == 500))
            assert len({id(handle) for handle in handles}) == 500

    def test_a_handle_says_after_its_run_what_it_called(self) -> None:
        with self.stage() as stage:
            kept: list[Any] = []

            def queue() -> None:
                kept.append(stage.loop.call_soon(_named("kept")))
                for _ in range(10):
                    stage.loop.call_soon(_named("another"))

            queue()
            stage.loop.call_soon(queue)
            stage.loop.call_soon(queue)
            stage.run(asyncio.sleep(0.001))
            assert len(kept) == 3
            for handle in kept:
                assert "kept" in repr(handle)
                assert not handle.cancelled()

    def test_a_weak_reference_to_a_handle_goes_with_it(self) -> None:
        with self.stage() as stage:
            gone: list[weakref.ref[Any]] = []
            ended: list[weakref.ref[Any]] = []
            kept: list[Any] = []

            def queue() -> None:
                for schedule in (stage.loop.call_soon, stage.loop.call_soon_threadsafe):
                    for _ in range(10):
                        schedule(int)
                        gone.append(weakref.ref(schedule(int), ended.append))
                        schedule(int)
                kept.append(stage.loop.call_soon(int))
                gone.append(weakref.ref(kept[-1], ended.append))

            queue()
            assert all(gone)
            assert all(each() is not None for each in gone)
            stage.loop.call_soon(queue)
            stage.run(asyncio.sleep(0.001))
            stage.run(asyncio.sleep(0))
            assert [each() for each in gone if each() is not None] == kept
            assert len(ended) == 40
            kept.clear()
            assert [each() for each in gone] == [None] * 42
            assert len(ended) == 42

    def test_a_handle_that_the_exception_handler_keeps(self) -> None:
        with self.stage() as stage:

            def queue(first: int) -> None:
                for number in range(first, first + 20):
                    stage.loop.call_soon(_named(f"callback {number}.", ValueError(number)))
                    stage.loop.call_soon(int)

            queue(0)
            stage.loop.call_soon(queue, 20)
            stage.run(asyncio.sleep(0.001))
            reports = stage.reported()
            for _ in range(100):
                stage.loop.call_soon(int)
            stage.run(asyncio.sleep(0))
            assert [report["exception"].args for report in reports] == [(number,) for number in range(40)]
            for number, report in enumerate(reports):
                assert f"callback {number}." in repr(report["handle"])

    # Cycles

    def _collected(self, play: Callable[[Any, Callable[[Any], Any]], None], *, close: bool = True) -> None:
        """What holds handles of its own callbacks must be gone when the loop, or its use of them, is."""
        gone: list[weakref.ref[Any]] = []

        def made(schedule: Any) -> list[Any]:
            """Handles in cycles, each in its own way."""
            one, other, third = Thing(), Thing(), Thing()
            one.handles = [schedule(one.method)]
            other.handles = [schedule(id, other)]
            third.handles = [schedule(third.method, number) for number in range(5)]
            gone.extend(map(weakref.ref, (one, other, third)))
            return [*one.handles, *other.handles, *third.handles]

        with self.stage() as stage:
            play(stage, made)
            if close:
                stage.loop.close()
            gc.collect()
            assert gone
            assert [each() for each in gone] == [None] * len(gone)

    def test_cycles_through_handles_that_have_run_are_collected(self) -> None:
        def play(stage: Any, made: Any) -> None:
            for schedule in (stage.loop.call_soon, stage.loop.call_soon_threadsafe, _at_once(stage.loop)):
                made(schedule)
                stage.loop.call_soon(made, schedule)
                thread = threading.Thread(target=made, args=(stage.loop.call_soon_threadsafe,))
                thread.start()
                stage.run(asyncio.sleep(0.003))
                thread.join()
            stage.run(asyncio.sleep(0.001))

        self._collected(play, close=False)

    def test_cycles_through_handles_that_were_cancelled_are_collected(self) -> None:
        def play(stage: Any, made: Any) -> None:
            def cancel(schedule: Any) -> None:
                for handle in made(schedule):
                    handle.cancel()

            for schedule in (stage.loop.call_soon, stage.loop.call_soon_threadsafe, _long_after(stage.loop)):
                cancel(schedule)
                stage.loop.call_soon(cancel, schedule)
                stage.run(asyncio.sleep(0.001))

        self._collected(play, close=False)

    def test_cycles_through_handles_of_a_closed_loop_are_collected(self) -> None:
        def play(stage: Any, made: Any) -> None:
            for schedule in (stage.loop.call_soon, stage.loop.call_soon_threadsafe, _long_after(stage.loop)):
                made(schedule)
                stage.loop.call_soon(stage.loop.stop)
                stage.loop.call_soon(made, schedule)  # and so they are left behind
                stage.loop.run_forever()
                made(schedule)

        self._collected(play)

    def test_cycles_through_handles_of_a_loop_that_is_dropped_are_collected(self) -> None:
        self.make_loop().close()
        gone: list[weakref.ref[Any]] = []

        def made(schedule: Any) -> None:
            one, other = Thing(), Thing()
            one.handles = [schedule(one.method) for _ in range(3)]
            other.handles = [schedule(id, other)]
            gone.extend(map(weakref.ref, (one, other)))

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            for run in (False, True):
                loop = self.make_loop()
                for schedule in (loop.call_soon, loop.call_soon_threadsafe, _long_after(loop)):
                    made(schedule)
                    if run:
                        loop.call_soon(loop.stop)
                        loop.call_soon(made, schedule)
                        loop.run_forever()
                gone.append(weakref.ref(loop))
                del loop, schedule
            gc.collect()
        assert [each() for each in gone] == [None] * len(gone)

    # What a closed loop leaves

    def test_a_closed_loop_goes_with_the_last_reference_to_it(self) -> None:
        self.make_loop().close()

        async def main() -> None:
            await asyncio.gather(*(asyncio.sleep(number % 2 / 1000) for number in range(100)))

        def use(loop: Any) -> None:
            loop.run_until_complete(main())

        def leave_much(loop: Any) -> None:
            for number in range(2000):
                loop.call_soon(int, number)
                loop.call_soon_threadsafe(int, number)
                loop.call_later(1000, int, number)
            loop.call_soon(loop.stop)
            loop.run_forever()
            for number in range(2000):
                loop.call_soon(int, number)

        enabled = gc.isenabled()
        gc.disable()
        try:
            for play in (lambda _: None, use, leave_much):
                loop = self.make_loop()
                play(loop)
                gone = weakref.ref(loop)
                loop.close()
                del loop
                assert gone() is None, f"still there after {play!r}"
        finally:
            if enabled:
                gc.enable()

    # How call_soon() is called

    def test_call_soon_takes_its_arguments_in_every_way(self) -> None:
        with self.stage() as stage:
            seen: list[Any] = []
            soon = stage.loop.call_soon
            soon(seen.append, "positional")
            soon(seen.append, "context", context=None)
            soon(seen.append, "not interned", **{b"context".decode(): None})
            soon(callback=functools.partial(seen.append, "by name"))
            soon(context=None, callback=functools.partial(seen.append, "both by name"))
            functools.partial(soon, seen.append)("partial")
            functools.partial(soon, context=None)(seen.append, "partial context")
            type(stage.loop).call_soon(stage.loop, seen.append, "by the class")
            soon(lambda *args: seen.append(args), *range(50))
            soon(lambda *args: seen.append(args))
            stage.run(asyncio.sleep(0))
            assert seen == [
                "positional",
                "context",
                "not interned",
                "by name",
                "both by name",
                "partial",
                "partial context",
                "by the class",
                tuple(range(50)),
                (),
            ]

    def test_call_soon_names_the_argument_that_is_wrong(self) -> None:
        with self.stage() as stage:
            soon: Any = stage.loop.call_soon
            wrong: list[tuple[Callable[[], object], str]] = [
                (soon, "callback"),
                (lambda: soon(context=None), "callback"),
                (lambda: soon(print, contexts=None), "contexts"),
                (lambda: soon(print, 1, contex=None), "contex"),
                (lambda: soon(print, 1, context=None, another=2), "another"),
                (lambda: soon(print, callback=print), "callback"),
            ]
            for call, name in wrong:
                said = str(raises(TypeError, call))
                assert "call_soon" in said, said
                assert f"'{name}'" in said, said
            no_names: Any = {1: 2}
            raises(TypeError, lambda: soon(print, **no_names))

    def test_call_soon_shows_its_signature(self) -> None:
        with self.stage() as stage:
            expected = inspect.signature(asyncio.BaseEventLoop.call_soon)
            assert list(inspect.signature(type(stage.loop).call_soon).parameters) == list(expected.parameters)
            assert str(inspect.signature(stage.loop.call_soon)) == str(expected).replace("self, ", "")


def _named(name: str, error: Exception | None = None) -> Callable[[], None]:
    """A callback that a handle shows by this name."""

    def callback() -> None:
        if error is not None:
            raise error

    callback.__qualname__ = name
    return callback


def _at_once(loop: Any) -> Callable[..., Any]:
    return lambda callback, *args: loop.call_later(0, callback, *args)


def _long_after(loop: Any) -> Callable[..., Any]:
    return lambda callback, *args: loop.call_later(1000, callback, *args)
