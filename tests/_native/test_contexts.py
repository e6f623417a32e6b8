"""The contexts that callbacks run in, which the native loop shares among many, against asyncio's own loop."""

from __future__ import annotations

import asyncio
import contextvars
import gc
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loopwright._native import MISSING
from tests._native.passes import once

if TYPE_CHECKING:
    from collections.abc import Callable

if MISSING is not None:
    pytest.skip(MISSING, allow_module_level=True)

from loopwright.loops import NativeEventLoop

Loop = Any
Step = tuple[Any, ...]

VARIABLES = [contextvars.ContextVar(name, default="unset") for name in ("one", "two")]
WHICH = st.integers(0, 1)
VALUE = st.integers(0, 2)
WAYS = ["soon", "soon", "soon", "threadsafe", "timed", "given"]
PASSES = 8

simple = st.one_of(
    st.tuples(st.just("get")),
    st.tuples(st.just("set"), WHICH, VALUE, st.booleans()),
    st.tuples(st.just("set what is there"), WHICH, st.booleans()),
    st.tuples(st.just("set and reset"), WHICH, VALUE),
    st.tuples(st.just("reset"), st.integers(0, 9)),
    st.tuples(st.just("drop")),
    st.tuples(st.just("cancel"), st.integers(0, 9)),
    st.tuples(st.just("ask"), st.integers(0, 9)),
    st.tuples(st.just("raise")),
)


def nested(steps: st.SearchStrategy[Step]) -> st.SearchStrategy[Step]:
    body = st.lists(steps, max_size=5)
    return st.one_of(
        st.tuples(st.just("queue"), st.sampled_from(WAYS), st.integers(1, 6), st.booleans(), body),
        st.tuples(st.just("task"), body, body),
        st.tuples(st.just("within a copy"), body),
    )


BODIES = st.lists(st.recursive(simple, nested, max_leaves=25), min_size=1, max_size=8)


class Player:
    """Plays callbacks that do what they are told, on one loop, and writes down what they find."""

    def __init__(self, loop: Loop, debug: bool) -> None:
        self.loop = loop
        loop.set_debug(debug)
        loop.set_exception_handler(self.told)
        self.trace: list[Any] = []
        self.tokens: list[Any] = []
        self.handles: list[Any] = []
        self.tasks: list[Any] = []
        self.given = contextvars.Context()
        self.serial = 0

    def told(self, _: Any, report: dict[str, Any]) -> None:
        self.note("told", type(report["exception"]))
        VARIABLES[0].set("by the handler")

    def note(self, *what: Any) -> None:
        self.trace.append((*what, *(variable.get() for variable in VARIABLES)))

    def play(self, serial: int, steps: list[Step]) -> None:
        for name, *args in steps:
            self.note(serial, name)
            try:
                self.do(name, *args)
            except (ValueError, RuntimeError) as error:
                self.note(serial, type(error), str(error).rsplit(" ", 1)[-1])
            if name == "raise":
                raise LookupError(serial)

    def do(self, name: str, *args: Any) -> None:
        doer: Callable[..., None] = getattr(self, "do_" + name.replace(" ", "_"))
        doer(*args)

    def do_get(self) -> None:
        """That is done with every step."""

    do_raise = do_get

    def do_set(self, which: int, value: Any, keep: bool) -> None:
        token = VARIABLES[which].set(value)
        if keep:
            self.tokens.append(token)

    def do_set_what_is_there(self, which: int, keep: bool) -> None:
        self.do_set(which, VARIABLES[which].get(), keep)

    def do_set_and_reset(self, which: int, value: int) -> None:
        VARIABLES[which].reset(VARIABLES[which].set(value))

    def do_reset(self, number: int) -> None:
        if self.tokens:
            token = self.tokens[number % len(self.tokens)]
            token.var.reset(token)

    def do_drop(self) -> None:
        self.tokens.clear()
        self.handles.clear()

    def do_cancel(self, number: int) -> None:
        if self.handles:
            self.handles[number % len(self.handles)].cancel()

    def do_ask(self, number: int) -> None:
        if self.handles:
            handle = self.handles[number % len(self.handles)]
            context = handle._context  # get_context() is new in Python 3.12
            self.trace.append([context.get(variable) for variable in VARIABLES])
            context.run(self.do_set, 1, 2, False)  # RuntimeError, if that is the one it is asked in

    def do_queue(self, way: str, times: int, keep: bool, steps: list[Step]) -> None:
        for _ in range(times):
            self.serial += 1
            if way == "soon":
                handle = self.loop.call_soon(self.play, self.serial, steps)
            elif way == "threadsafe":
                handle = self.loop.call_soon_threadsafe(self.play, self.serial, steps)
            elif way == "timed":  # due already, and so that asyncio, too, has to keep the order
                handle = self.loop.call_at(self.serial - 1e6, self.play, self.serial, steps)
            else:
                handle = self.loop.call_soon(self.play, self.serial, steps, context=self.given)
            if keep:
                self.handles.append(handle)

    def do_task(self, first: list[Step], second: list[Step]) -> None:
        self.serial += 1
        serial = self.serial

        async def task() -> None:
            self.play(serial, first)
            await asyncio.sleep(0)
            self.play(serial, second)

        self.tasks.append(self.loop.create_task(task()))

    def do_within_a_copy(self, steps: list[Step]) -> None:
        contextvars.copy_context().run(self.play, self.serial, steps)

    def whole(self, steps: list[Step], at_once: bool) -> list[Any]:
        """Play it in several runs of one pass, or in one of several passes. What was written down."""
        left = PASSES

        def again() -> None:
            nonlocal left
            left -= 1
            self.note("pass", left)
            self.loop.call_soon(*((again,) if left else (self.loop.stop,)))

        try:
            contextvars.Context().run(self.loop.call_soon, self.play, 0, steps)
            if at_once:
                contextvars.Context().run(self.loop.call_soon, again)
                self.loop.run_forever()
            for _ in range(PASSES):
                self.note("run")
                self.loop.call_soon(self.loop.stop)
                self.loop.run_forever()
            for handle in self.handles:
                self.note(handle.cancelled(), [handle._context.get(variable) for variable in VARIABLES])
            for task in self.tasks:
                self.note("task", task.done() and not task.cancelled() and repr(task.exception()))
        finally:
            for task in self.tasks:
                task.cancel()
            self.loop.set_exception_handler(lambda *_: None)
            for _ in range(4):
                self.loop.call_soon(self.loop.stop)
                self.loop.run_forever()
            self.loop.close()
        return self.trace


@settings(max_examples=60, deadline=None)
@given(steps=BODIES, at_once=st.booleans(), debug=st.booleans())
def test_as_on_asyncios_own_loop(steps: list[Step], at_once: bool, debug: bool) -> None:
    of_asyncio, native = Player(asyncio.SelectorEventLoop(), debug), Player(NativeEventLoop(), debug)
    expected = contextvars.Context().run(of_asyncio.whole, steps, at_once)
    assert contextvars.Context().run(native.whole, steps, at_once) == expected


@pytest.mark.slow
@settings(max_examples=3000, deadline=None)
@given(steps=BODIES, at_once=st.booleans(), debug=st.booleans())
@pytest.mark.timeout(600)
def test_as_on_asyncios_own_loop_for_long(steps: list[Step], at_once: bool, debug: bool) -> None:
    of_asyncio, native = Player(asyncio.SelectorEventLoop(), debug), Player(NativeEventLoop(), debug)
    expected = contextvars.Context().run(of_asyncio.whole, steps, at_once)
    assert contextvars.Context().run(native.whole, steps, at_once) == expected


def contexts() -> int:
    return sum(type(each) is contextvars.Context for each in gc.get_objects())


def test_callbacks_in_a_row_share_a_context(loop: Loop) -> None:
    """Which is not to be seen but by counting them."""
    variable = VARIABLES[0]
    contextvars.Context().run(once, loop)  # and so there is a current one
    before = contexts()
    for _ in range(1000):
        loop.call_soon(variable.get)
        loop.call_later(0, variable.get)
        loop.call_soon_threadsafe(variable.get)
    assert contexts() - before < 20
    once(loop)
    assert contexts() - before < 20


def test_one_that_changes_its_context_keeps_it_alone(loop: Loop) -> None:
    variable = VARIABLES[0]
    handles = [loop.call_soon(variable.set, number) for number in range(1000)]
    once(loop)
    assert [handle._context[variable] for handle in handles] == list(range(1000))
    assert len({id(handle._context) for handle in handles}) == 1000


def test_a_loop_that_is_run_within_a_callback(loop: Loop) -> None:
    """As nest_asyncio does: the context that many share is taken then."""
    variable = VARIABLES[0]
    seen: list[Any] = []

    def outer() -> None:
        variable.set("outer")
        for _ in range(10):
            loop.call_soon(inner, "outer")
        nested()
        seen.append(("outer", variable.get()))

    def undisturbed() -> None:
        nested()
        seen.append(("unset", variable.get()))

    def inner(expected: str) -> None:
        seen.append((expected, variable.get()))
        variable.set("inner")

    def nested() -> None:
        loop.call_soon(loop.stop)
        loop._run_once()  # and the run around it ends, too, with its round

    for callback in (outer, undisturbed):
        for _ in range(10):
            loop.call_soon(inner, "unset")
        for _ in range(3):
            loop.call_soon(callback)
        for _ in range(10):
            loop.call_soon(inner, "unset")
        once(loop)
        once(loop)
    assert len(seen) == 40 + 3 * (10 + 1) + 3
    assert [each for each in seen if each[0] != each[1]] == []


def test_a_handle_run_by_hand(loop: Loop) -> None:
    """And again: it finds what it has set, and nobody else does."""
    variable = VARIABLES[0]
    seen: list[Any] = []

    def look(number: int) -> None:
        seen.append((number, variable.get()))
        variable.set(number)

    handles = [loop.call_soon(look, number) for number in range(10)]
    loop.call_soon(handles[3]._run)
    handles[5]._run()
    once(loop)
    handles[7]._run()
    again = {3: [3], 5: [5], 7: [7]}
    for number in range(10):
        assert [value for who, value in seen if who == number] == ["unset", *again.get(number, [])]
