from __future__ import annotations

import asyncio
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.errors import NotALoopError, NotAPolicyError
from loopwright.policies import (
    AbstractEventLoopPolicy,
    DefaultEventLoopPolicy,
    EventLoopPolicy,
    get_event_loop,
    get_event_loop_policy,
    new_event_loop,
    run,
    set_event_loop,
    set_event_loop_policy,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def from_asyncio(name: str, *arguments: Any) -> Any:
    """Something of asyncio that warns since 3.14, without the warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        found = getattr(asyncio, name)
        return found(*arguments) if name.islower() else found


def test_with_none_set_ours_is_made_and_asyncio_obeys_it() -> None:
    policy = get_event_loop_policy()
    assert type(policy) is DefaultEventLoopPolicy
    assert get_event_loop_policy() is policy
    assert from_asyncio("get_event_loop_policy") is policy


def test_one_that_asyncio_made_first_stays() -> None:
    policy = from_asyncio("get_event_loop_policy")
    assert type(policy) is from_asyncio("DefaultEventLoopPolicy")
    assert get_event_loop_policy() is policy


def test_one_that_is_set_here_is_set_for_asyncio(loop_name: str) -> None:
    policy = EventLoopPolicy(loop=loop_name)
    set_event_loop_policy(policy)
    assert from_asyncio("get_event_loop_policy") is policy
    assert get_event_loop_policy() is policy


def test_one_that_is_set_for_asyncio_is_set_here() -> None:
    policy = EventLoopPolicy()
    from_asyncio("set_event_loop_policy", policy)
    assert get_event_loop_policy() is policy


def test_none_restores_the_default() -> None:
    policy = EventLoopPolicy()
    set_event_loop_policy(policy)
    set_event_loop_policy(None)
    restored = get_event_loop_policy()
    assert type(restored) is DefaultEventLoopPolicy
    assert restored is not policy
    set_event_loop_policy(None)
    assert type(from_asyncio("get_event_loop_policy")) is from_asyncio("DefaultEventLoopPolicy")


async def running_loop_class() -> type[asyncio.AbstractEventLoop]:
    return type(asyncio.get_running_loop())


def test_plain_asyncio_run_obeys(loop_name: str) -> None:
    policy = EventLoopPolicy(loop=loop_name)
    loop = policy.new_event_loop()
    expected = type(loop)
    policy.close()
    set_event_loop_policy(policy)
    assert asyncio.run(running_loop_class()) is expected
    with asyncio.Runner() as runner:
        assert type(runner.get_loop()) is expected
    loop = asyncio.new_event_loop()
    assert type(loop) is expected
    asyncio.set_event_loop(loop)
    assert asyncio.get_event_loop() is loop is get_event_loop()
    policy.close()


def test_setting_one_needs_no_warning_to_be_silenced() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        set_event_loop_policy(EventLoopPolicy())
        get_event_loop_policy()
        set_event_loop_policy(None)


class Loop(asyncio.SelectorEventLoop):
    pass


def test_policies_written_against_asyncio_stay_as_they_are() -> None:
    class Mine(from_asyncio("DefaultEventLoopPolicy")):  # type: ignore[misc] # its base is only known at run time
        def new_event_loop(self) -> asyncio.AbstractEventLoop:
            return Loop()

    for policy in (Mine(), from_asyncio("DefaultEventLoopPolicy")()):
        set_event_loop_policy(policy)
        assert get_event_loop_policy() is policy
    set_event_loop_policy(Mine())
    assert run(running_loop_class()) is Loop
    assert asyncio.run(running_loop_class()) is Loop
    assert run(running_loop_class(), policy=DefaultEventLoopPolicy()) is asyncio.SelectorEventLoop


def test_uvloops_own_policy_is_accepted() -> None:
    uvloop = pytest.importorskip("uvloop")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        policy = uvloop.EventLoopPolicy()
    set_event_loop_policy(policy)
    assert run(running_loop_class()) is uvloop.Loop


@pytest.mark.parametrize(
    ("wrong", "mend"),
    [
        (3, "or None, not 3"),
        ("uvloop", "give EventLoopPolicy(loop='uvloop')"),
        ("something", "or None, not 'something'"),
        (DefaultEventLoopPolicy, "call it first: DefaultEventLoopPolicy()"),
        (asyncio.SelectorEventLoop, "give EventLoopPolicy(loop=...)"),
        (object(), "or None, not <object"),
    ],
)
def test_what_is_no_policy_is_refused_with_the_mend(wrong: Any, mend: str) -> None:
    policy = EventLoopPolicy()
    set_event_loop_policy(policy)
    with pytest.raises(TypeError, match="must be an event loop policy") as caught:
        set_event_loop_policy(wrong)
    assert isinstance(caught.value, NotAPolicyError)
    assert mend in str(caught.value)
    assert get_event_loop_policy() is policy


def test_a_loop_is_no_policy(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    loop = loop_factory()
    try:
        with pytest.raises(NotAPolicyError, match="their class or a factory"):
            set_event_loop_policy(loop)  # type: ignore[arg-type] # that is the mistake
    finally:
        loop.close()


# --- the three functions


class Recording(AbstractEventLoopPolicy):
    def __init__(self) -> None:
        self.asked: list[Any] = []

    def get_event_loop(self) -> Any:
        self.asked.append("get")
        return "the loop"

    def set_event_loop(self, loop: Any) -> None:
        self.asked.append(loop)

    def new_event_loop(self) -> Any:
        self.asked.append("new")
        return "a loop"


def test_the_functions_ask_the_policy() -> None:
    policy = Recording()
    set_event_loop_policy(policy)
    assert get_event_loop() == "the loop"  # type: ignore[comparison-overlap] # a policy is believed
    assert new_event_loop() == "a loop"  # type: ignore[comparison-overlap] # likewise
    set_event_loop(None)
    assert policy.asked == ["get", "new", None]


def test_get_event_loop_gives_the_running_loop_without_asking(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    policy = Recording()
    set_event_loop_policy(policy)

    async def ask() -> bool:
        return get_event_loop() is asyncio.get_running_loop()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        assert runner.run(ask())
    assert policy.asked == []


def test_set_event_loop_takes_loops_only() -> None:
    with pytest.raises(NotALoopError, match="not 3"):
        set_event_loop(3)  # type: ignore[arg-type] # that is the mistake


# --- where asyncio has no policies any more

LATER = """
import asyncio, asyncio.events, sys, warnings

# The names that go with policies (their deprecation in 3.14 says: in 3.16).
for name in list(vars(asyncio.events)):
    if "policy" in name.lower():
        delattr(asyncio.events, name)
        if name in vars(asyncio):
            delattr(asyncio, name)

from loopwright.errors import NotAPolicyError
from loopwright.policies import *

class Loop(asyncio.SelectorEventLoop):
    pass

async def main():
    return type(get_event_loop()), asyncio.get_running_loop() is get_event_loop()

default = get_event_loop_policy()
assert type(default) is DefaultEventLoopPolicy
assert run(main()) == (asyncio.SelectorEventLoop, True)
policy = EventLoopPolicy(loop=Loop)
set_event_loop_policy(policy)
assert get_event_loop_policy() is policy
assert run(main()) == (Loop, True)
with Runner() as runner:
    assert runner.run(main()) == (Loop, True)
set_event_loop(loop := new_event_loop())
assert type(loop) is Loop and get_event_loop() is loop
policy.close()
assert loop.is_closed()
set_event_loop_policy(None)
assert get_event_loop_policy() not in (default, policy)
try:
    set_event_loop_policy(3)
except NotAPolicyError:
    print("fine")
"""


def test_the_registry_is_ours_where_asyncio_has_none(script: Callable[..., str]) -> None:
    assert script(LATER) == "fine\n"
