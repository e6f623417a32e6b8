from __future__ import annotations

import asyncio
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.errors import (
    LoopRunningError,
    LoopUnavailableError,
    NoLoopError,
    NotALoopError,
    UnknownLoopError,
)
from loopwright.loops import loop_factory as factory_for
from loopwright.loops._asyncio_private import PolicyBase
from loopwright.policies import AbstractEventLoopPolicy, DefaultEventLoopPolicy, EventLoopPolicy
from tests.policies.conftest import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable


# --- loops


def test_a_policy_makes_the_loops_it_was_told_to(loop_name: str) -> None:
    policy = EventLoopPolicy(loop=loop_name)
    reference = factory_for(loop_name)()
    first, second = policy.new_event_loop(), policy.new_event_loop()
    try:
        assert type(first) is type(second) is type(reference)
        assert first is not second
    finally:
        reference.close()
        policy.close()
    assert first.is_closed()
    assert second.is_closed()


def test_the_default_policy_makes_the_standard_loop(policy: EventLoopPolicy) -> None:
    loop = policy.new_event_loop()  # held: nobody else does until it is closed
    assert isinstance(loop, asyncio.SelectorEventLoop)


@pytest.mark.parametrize(
    ("loop", "error"), [("uvlop", UnknownLoopError), ("proactor", LoopUnavailableError), (3, NotALoopError)]
)
def test_a_loop_that_cannot_be_made_is_told_at_once(loop: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        EventLoopPolicy(loop=loop)


def test_each_thread_has_its_own(policy: EventLoopPolicy) -> None:
    here = policy.new_event_loop()
    policy.set_event_loop(here)

    def elsewhere() -> asyncio.AbstractEventLoop:
        with pytest.raises(NoLoopError):
            policy.get_event_loop()
        there = policy.new_event_loop()
        policy.set_event_loop(there)
        assert policy.get_event_loop() is there
        return there

    there = in_thread(elsewhere)
    assert there is not here
    assert policy.get_event_loop() is here


def test_a_loop_of_somebody_elses_is_kept_and_not_closed(
    policy: EventLoopPolicy, loop_factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    loop = loop_factory()
    policy.set_event_loop(loop)
    policy.close()
    assert not loop.is_closed()
    assert policy.get_event_loop() is loop
    loop.close()
    assert policy.get_event_loop() is loop


@pytest.mark.parametrize("wrong", [3, "asyncio", asyncio.SelectorEventLoop])
def test_what_is_no_loop_is_not_set(policy: EventLoopPolicy, wrong: Any) -> None:
    loop = policy.new_event_loop()
    policy.set_event_loop(loop)
    with pytest.raises(TypeError, match="must be an instance of AbstractEventLoop or None, not ") as caught:
        policy.set_event_loop(wrong)
    assert isinstance(caught.value, NotALoopError)
    assert repr(wrong) in str(caught.value)
    assert policy.get_event_loop() is loop


# --- close()


def test_close_may_be_called_again_and_the_policy_used_on(policy: EventLoopPolicy) -> None:
    policy.close()
    first = policy.new_event_loop()
    policy.close()
    policy.close()
    second = policy.new_event_loop()
    assert first.is_closed()
    assert not second.is_closed()


def test_a_running_loop_keeps_the_policy_from_closing(loop_name: str) -> None:
    policy = EventLoopPolicy(loop=loop_name)
    other, loop = policy.new_event_loop(), policy.new_event_loop()

    async def close() -> None:
        with pytest.raises(LoopRunningError, match="still run"):
            policy.close()
        assert not other.is_closed()

    loop.run_until_complete(close())
    policy.close()
    assert other.is_closed()
    assert loop.is_closed()


def test_another_thread_does_not_get_it_either(policy: EventLoopPolicy) -> None:
    has_set, closed = threading.Event(), threading.Event()

    def elsewhere() -> None:
        policy.set_event_loop(policy.new_event_loop())
        has_set.set()
        assert closed.wait(10)
        with pytest.raises(NoLoopError):
            policy.get_event_loop()

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(elsewhere)
        assert has_set.wait(10)
        policy.close()
        closed.set()
        done.result(10)


# --- subclasses


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("get_event_loop", ()),
        ("set_event_loop", (None,)),
        ("new_event_loop", ()),
        ("get_child_watcher", ()),
        ("set_child_watcher", (None,)),
    ],
)
def test_the_abstract_policy_does_nothing_by_itself(method: str, arguments: tuple[Any, ...]) -> None:
    policy = AbstractEventLoopPolicy()
    assert isinstance(policy, PolicyBase)
    with pytest.raises(NotImplementedError):
        getattr(policy, method)(*arguments)


def test_a_subclass_chooses_what_the_main_thread_gets() -> None:
    class Mine(asyncio.SelectorEventLoop):
        pass

    class Policy(DefaultEventLoopPolicy):
        def new_event_loop(self) -> asyncio.AbstractEventLoop:
            return Mine()

        def get_event_loop(self) -> asyncio.AbstractEventLoop:
            try:
                return super().get_event_loop()
            except NoLoopError:
                self.set_event_loop(self.new_event_loop())
                return super().get_event_loop()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        loop = Policy().get_event_loop()
    assert type(loop) is Mine
    loop.close()


def test_signatures_take_names_only() -> None:
    with pytest.raises(TypeError, match="go by name"):
        EventLoopPolicy("uvloop")  # type: ignore[call-arg] # that is the mistake
