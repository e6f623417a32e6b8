"""call_soon() as a method of the native loop's, which takes its arguments apart by itself."""

from __future__ import annotations

import asyncio
import contextvars
import sys
from typing import Any

import pytest

from loopwright._native import MISSING
from tests._native.passes import once

if MISSING is not None:
    pytest.skip(MISSING, allow_module_level=True)

from loopwright.loops import NativeEventLoop

Loop = Any


def test_of_no_loop_or_another_ones() -> None:
    wrong: Any
    other = asyncio.SelectorEventLoop()
    call: Any = NativeEventLoop.call_soon
    try:
        for wrong in (None, 5, other, NativeEventLoop, object()):
            with pytest.raises(TypeError, match="call_soon"):
                call(wrong, print)
        with pytest.raises(TypeError, match="call_soon"):
            call()
    finally:
        other.close()


def test_of_a_loop_that_was_never_set_up() -> None:
    bare: Loop = NativeEventLoop.__new__(NativeEventLoop)
    with pytest.raises(RuntimeError, match="closed"):
        bare.call_soon(print)


def test_overridden_by_a_subclass() -> None:
    class Counting(NativeEventLoop):
        count = 0

        def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:
            self.count += 1
            return super().call_soon(callback, *args, context=context)

    async def main() -> None:
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    loop = Counting()
    try:
        loop.run_until_complete(main())
        assert loop.count >= 3
    finally:
        loop.close()


@pytest.mark.parametrize("debug", [False, True])
def test_what_it_is_given_is_let_go(loop: Loop, debug: bool) -> None:
    """Whether it is queued or refused: counted, as arguments in C are counted by hand."""
    loop.set_debug(debug)
    given: list[Any] = [lambda *_: None, object(), object(), contextvars.Context()]
    callback, one, other, context = given
    before = [sys.getrefcount(each) for each in given]
    for _ in range(10):
        loop.call_soon(callback, one, other, context=context)
        loop.call_soon(callback=callback, context=context)
        loop.call_soon(callback)
        for wrong in ({"callback": one}, {"contexts": context}, {"context": context, "more": other}):
            with pytest.raises(TypeError):
                loop.call_soon(callback, one, **wrong)
    del wrong
    once(loop)
    assert [sys.getrefcount(each) for each in given] == before


def test_names_that_are_like_context(loop: Loop) -> None:
    class Name(str):
        """A string of one's own kind."""

        __slots__ = ()

    context = contextvars.Context()
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    for name in ("context", Name("context"), b"context".decode(), "context"):
        loop.call_soon(variable.set, "set", **{name: context})
        once(loop)
        assert context.run(variable.get) == "set"
        context = contextvars.Context()
    for name in ("", "contex", "contexts", "Context", "c\N{CYRILLIC SMALL LETTER O}ntext", "context\0", "\udc80"):
        with pytest.raises(TypeError, match="unexpected keyword"):
            loop.call_soon(print, **{name: context})


def test_it_is_documented_as_a_method_is() -> None:
    assert NativeEventLoop.call_soon.__name__ == "call_soon"
    assert "asyncio.AbstractEventLoop.call_soon()" in (NativeEventLoop.call_soon.__doc__ or "")
    assert NativeEventLoop.call_soon.__text_signature__ == "($self, callback, *args, context=None)"  # type: ignore[attr-defined]
