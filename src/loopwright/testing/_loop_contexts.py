# mypy: disable-error-code="func-returns-value"
"""The contract of event loops: the variables (contextvars) that callbacks see, set and keep."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

from loopwright.testing._loop_stage import LoopTests, eventually, raises

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LoopContexts"]

variable: contextvars.ContextVar[Any] = contextvars.ContextVar("variable", default="unset")

#: Not written where it is compared: type checkers take what follows for dead on the Python they check for.
PYTHON_3_12: tuple[int, ...] = (3, 12)
#: Of each kind in a row: a loop may have its ways with many that are alike.
MANY = 10


class Thing:
    """Whose end can be seen."""


def _ways(loop: Any) -> list[Callable[..., Any]]:
    return [
        loop.call_soon,
        loop.call_soon_threadsafe,
        lambda callback, *args: loop.call_later(0, callback, *args),
        lambda callback, *args: loop.call_at(loop.time(), callback, *args),
    ]


class LoopContexts(LoopTests):
    """A callback finds the variables as they were when it was queued, and nobody finds what it sets."""

    def test_each_callback_sees_the_variables_as_they_were_when_it_was_queued(self) -> None:
        with self.stage() as stage:
            seen: list[tuple[Any, Any]] = []

            def queue() -> None:
                for schedule in _ways(stage.loop):
                    for value in ("a", "b", "a", "a", "b"):
                        variable.set(value)
                        for _ in range(MANY):
                            schedule(lambda value: seen.append((value, variable.get())), value)
                    variable.set("later")

            contextvars.Context().run(queue)  # before the loop runs
            stage.run(asyncio.sleep(0.005))
            stage.loop.call_soon(queue)  # and while it does
            stage.run(asyncio.sleep(0.005))
            assert len(seen) == 2 * 4 * 5 * MANY
            assert [each for each in seen if each[0] != each[1]] == []

    def test_what_a_callback_sets_no_other_one_sees(self) -> None:
        tokens: list[Any] = []
        with self.stage() as stage:
            for schedule in _ways(stage.loop):
                for change in _changes(tokens):
                    seen: list[Any] = []

                    def queue(change: Any = change, schedule: Any = schedule, seen: Any = seen) -> None:
                        for each in (_look, change, _look, change, change, _look):
                            for _ in range(MANY):
                                schedule(each, seen)

                    stage.loop.call_soon(queue)
                    _with("mine", queue)
                    stage.run(asyncio.sleep(0.002))
                    assert seen.count("unset") == 3 * MANY, change
                    assert seen.count("mine") == 3 * MANY, change
                    assert len(seen) == 6 * MANY, change
            assert {type(report["exception"]) for report in stage.reported()} == {ValueError}
            assert variable.get() == "unset"
        assert tokens

    def test_a_token_is_of_no_use_in_another_callback(self) -> None:
        """ "was created in a different Context", says ContextVar.reset()."""
        with self.stage() as stage:
            tokens: list[Any] = []
            refused: list[BaseException] = []

            def queue(value: Any) -> None:
                for schedule in _ways(stage.loop):
                    for _ in range(MANY):
                        schedule(lambda: tokens.append(variable.set(value)))
                    for _ in range(MANY):
                        schedule(lambda: refused.append(raises(ValueError, variable.reset, tokens.pop())))

            queue("anything")
            queue("unset")
            variable_before = variable.get()
            _with("the same", lambda: queue("the same"))
            stage.run(asyncio.sleep(0.005))
            assert len(refused) == 3 * 4 * MANY
            assert variable.get() == variable_before

    def test_a_handle_gives_its_context_at_any_time(self) -> None:
        """Handle.get_context(), new in Python 3.12."""
        if sys.version_info < PYTHON_3_12:
            return
        with self.stage() as stage:
            handles: list[Any] = []
            asked: list[Any] = []

            def asks(number: int) -> None:
                variable.set(number)
                context = handles[number].get_context()
                assert context[variable] == number
                raises(RuntimeError, context.run, int)  # it is entered
                asked.append(context)

            def sets(number: int) -> None:
                variable.set(number)

            def leaves_it(_: int) -> None:
                """Nothing."""

            def queue() -> None:
                for schedule in _ways(stage.loop):
                    for callback in (asks, sets, leaves_it):
                        for _ in range(MANY):
                            handles.append(schedule(callback, len(handles)))

            _with("before", queue)
            early = {number: handles[number].get_context() for number in range(0, len(handles), 3)}
            assert [context[variable] for context in early.values()] == ["before"] * len(early)
            stage.run(asyncio.sleep(0.005))
            asked_then = {context[variable]: context for context in asked}
            assert len(asked_then) == 4 * MANY
            found: set[int] = set()
            for number, handle in enumerate(handles):
                context = handle.get_context()
                found.add(id(context))
                assert context[variable] == ("before" if number // MANY % 3 == 2 else number)
                assert context is early.get(number, context)
                assert context is asked_then.get(number, context)
                assert context is handle.get_context()
                context.run(variable.set, "after")  # and that is its own
            assert len(found) == len(handles)
            assert all(handle.get_context()[variable] == "after" for handle in handles)

    def test_the_exception_handler_sees_what_the_callback_has_set(self) -> None:
        """As asyncio's does from Python 3.12 on: it is run in the context of what failed."""
        if sys.version_info < PYTHON_3_12:
            return
        with self.stage() as stage:
            seen: list[Any] = []
            stage.loop.set_exception_handler(lambda *_: (seen.append(variable.get()), variable.set("by the handler")))

            def fails(number: int | None) -> None:
                if number is not None:
                    variable.set(number)
                raise ValueError

            def queue() -> None:
                for number in range(MANY):
                    stage.loop.call_soon(fails, number)
                    stage.loop.call_soon(fails, None)

            _with("queued", queue)
            stage.run(asyncio.sleep(0))
            assert seen == [each for number in range(MANY) for each in (number, "queued")]

    def test_a_context_that_is_entered_already_is_not_entered_again(self) -> None:
        with self.stage() as stage:
            seen: list[str] = []
            context = contextvars.Context()

            def run() -> None:
                stage.loop.call_soon(seen.append, "in vain", context=context)
                stage.loop.call_soon(seen.append, "in another")
                stage.loop.call_soon(stage.loop.stop)
                stage.loop.run_forever()

            context.run(run)
            assert seen == ["in another"]
            stage.reported()  # before Python 3.12: from then on, its handler is to run in that context, too
            stage.loop.call_soon(seen.append, "now", context=context)
            stage.run(asyncio.sleep(0))
            assert seen == ["in another", "now"]

    def test_a_readers_callback_finds_again_what_it_has_set(self) -> None:
        with self.stage() as stage:
            mine, peer = stage.pair("unix")
            seen: list[Any] = []

            def read() -> None:
                mine.recv(1)
                seen.append(variable.get())
                variable.set(len(seen))

            async def main() -> None:
                for number in range(1, 4):
                    await peer.write(b".")
                    await eventually(lambda: len(seen) == number)  # noqa: B023

            _with("added", lambda: stage.loop.add_reader(mine, read))
            stage.run(main())
            stage.loop.remove_reader(mine)
            assert seen == ["added", 1, 2]

    def test_threads_queue_each_under_its_own_variables(self) -> None:
        with self.stage() as stage:
            seen: list[tuple[Any, Any]] = []

            def look(value: int) -> None:
                seen.append((value, variable.get()))
                variable.set("looked")

            def queue(value: int) -> None:
                variable.set(value)
                for _ in range(100):
                    stage.loop.call_soon_threadsafe(look, value)

            threads = [threading.Thread(target=queue, args=(value,)) for value in range(4)]
            for thread in threads:
                thread.start()
            stage.run(eventually(lambda: len(seen) == 400))
            for thread in threads:
                thread.join()
            assert [each for each in seen if each[0] != each[1]] == []

    # What is left

    def test_a_value_goes_with_the_last_callback_that_can_see_it(self) -> None:
        with self.stage() as stage:
            seen: list[bool] = []
            values: list[weakref.ref[Thing]] = []

            def queue() -> None:
                thing = Thing()
                values.append(weakref.ref(thing))
                variable.set(thing)
                for _ in range(MANY):
                    stage.loop.call_soon(lambda: None)
                    stage.loop.call_soon(variable.set, Thing())

            def own() -> None:
                thing = Thing()
                values.append(weakref.ref(thing))
                variable.set(thing)

            def look() -> None:
                seen.append(all(gone() is None for gone in values))

            async def in_turn(callback: Callable[[], object]) -> None:
                for _ in range(MANY):
                    contextvars.Context().run(stage.loop.call_soon, callback)
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                look()  # while the loop goes on
                await asyncio.sleep(0.001)
                look()  # when it has slept

            for callback in (queue, own):
                stage.run(in_turn(callback))
                look()  # when it has stopped
                _with("before", callback)
                stage.loop.call_soon(stage.loop.stop)
                stage.loop.run_forever()
                look()
            assert seen == [True] * 8
            assert len(values) == 2 * (MANY + 1)

    def test_a_value_that_has_its_callback_is_collected(self) -> None:
        """A cycle from a context to what is run in it, and back."""
        with self.stage() as stage:
            gone: list[weakref.ref[Thing]] = []

            def queue(run: bool) -> None:
                for schedule in _ways(stage.loop):
                    thing: Any = Thing()
                    gone.append(weakref.ref(thing))
                    variable.set(thing)
                    thing.handles = [schedule(id, thing) for _ in range(MANY)]
                    if not run:
                        for handle in thing.handles:
                            handle.cancel()

            contextvars.Context().run(queue, False)
            contextvars.Context().run(queue, True)
            stage.run(asyncio.sleep(0.005))
            contextvars.Context().run(queue, True)
            stage.loop.close()
            gc.collect()
            assert [each() for each in gone] == [None] * 12


def _with(value: Any, call: Callable[[], object]) -> None:
    """Call it under a value of the variable."""
    context = contextvars.Context()
    context.run(variable.set, value)
    context.run(call)


def _look(seen: list[Any]) -> None:
    seen.append(variable.get())


def _changes(tokens: list[Any]) -> list[Callable[[Any], None]]:
    """All that a callback may do to its context."""

    def sets(_: Any) -> None:
        variable.set("set")

    def keeps_the_token(_: Any) -> None:
        tokens.append(variable.set("kept"))

    def sets_and_resets(_: Any) -> None:
        variable.reset(variable.set("reset"))

    def sets_what_is_there(_: Any) -> None:
        variable.set(variable.get())

    def keeps_the_token_of_what_is_there(_: Any) -> None:
        tokens.append(variable.set(variable.get()))

    def raises_then(_: Any) -> None:
        variable.set("raised")
        raise ValueError

    return [
        sets,
        keeps_the_token,
        sets_and_resets,
        sets_what_is_there,
        keeps_the_token_of_what_is_there,
        raises_then,
    ]
