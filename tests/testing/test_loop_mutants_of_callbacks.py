"""As `test_loop_mutants.py`, for the variables that callbacks see, their handles, timers that are late, and reports."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

import pytest

from tests.testing.test_loop_mutants import Loop, find_out

kept: list[Any] = []


class OneContextForAllThatAreAlike(Loop):
    """As the native loop would be if it did not see that one was changed."""

    killed_by = "test_what_a_callback_sets_no_other_one_sees"
    shared: contextvars.Context = contextvars.Context()

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:
        if context is None:
            context = contextvars.copy_context()
            if dict(context) == dict(self.shared):
                context = self.shared
            self.shared = context
        return super().call_soon(callback, *args, context=context)


class SharesWhatSomebodyKeeps(Loop):
    """One context for all that find the same, and only what is set is looked at, not who has it."""

    killed_by = "test_a_token_is_of_no_use_in_another_callback"

    def __init__(self) -> None:
        super().__init__()
        self.shared: dict[frozenset[Any], contextvars.Context] = {}

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:
        if context is None:
            found = contextvars.copy_context()
            alike = frozenset((id(variable), id(value)) for variable, value in found.items())
            found = self.shared.setdefault(alike, found)
            return super().call_soon(_put_back, found, found.copy(), callback, *args, context=found)
        return super().call_soon(callback, *args, context=context)


def _put_back(shared: contextvars.Context, before: contextvars.Context, callback: Any, *args: Any) -> None:
    try:
        callback(*args)
    finally:
        for variable, value in before.items():
            variable.set(value)


class TooLate(Loop):
    """Its callbacks find the variables as they are when it comes to them."""

    killed_by = "test_each_callback_sees_the_variables_as_they_were_when_it_was_queued"

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:
        if context is not None:
            return super().call_soon(callback, *args, context=context)
        current, found = contextvars.copy_context(), contextvars.Context()
        self.latest = current
        return super().call_soon(lambda: self.latest.copy().run(callback, *args), context=found)


class ReadsUnderTheSame(Loop):
    killed_by = "test_a_readers_callback_finds_again_what_it_has_set"

    def _add_reader(self, fd: Any, callback: Any, *args: Any) -> Any:
        context = contextvars.copy_context()
        return super()._add_reader(fd, lambda: context.copy().run(callback, *args))


class UsesHandlesAgain(Loop):
    """Also those that somebody has."""

    killed_by = "test_no_two_callbacks_have_the_same_handle"

    def __init__(self) -> None:
        super().__init__()
        self.used: list[asyncio.Handle] = []

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:
        if self.used and not self.used[-1]._cancelled:
            handle = self.used.pop()
            handle.__init__(callback, args, self, context)  # type: ignore[misc]
            self._ready.append(handle)
        else:
            handle = super().call_soon(callback, *args, context=context)
        return handle

    def _run_once(self) -> None:
        now = list(self._ready)
        super()._run_once()
        self.used += [handle for handle in now if handle not in self._ready and type(handle) is asyncio.Handle]


class KeepsWhatItRan(Loop):
    killed_by = "test_a_value_goes_with_the_last_callback_that_can_see_it"

    def _run_once(self) -> None:
        self.last = list(self._ready)
        super()._run_once()


class KeepsCycles(Loop):
    killed_by = "test_cycles_through_handles_that_were_cancelled_are_collected"

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:
        handle = super().call_soon(callback, *args, context=context)
        kept.append((handle, callback, args))
        return handle


class LateTimersAtOnce(Loop):
    killed_by = "test_a_timer_that_is_due_already_waits_for_the_next_pass"

    def call_at(self, when: Any, callback: Any, *args: Any, context: Any = None) -> Any:
        handle = super().call_at(when, callback, *args, context=context)
        if when < 0:
            self._ready.appendleft(handle)
        return handle


class HandlesNoException(Loop):
    killed_by = "test_the_exception_is_the_current_one_in_its_handler"

    def call_exception_handler(self, context: Any) -> None:
        self.call_soon(super().call_exception_handler, context)


MUTANTS = [each for each in list(globals().values()) if isinstance(each, type) and "killed_by" in vars(each)]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_found_out(mutant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    find_out(mutant, monkeypatch)
    kept.clear()
