"""What a message says to do is what can be done."""

from __future__ import annotations

import asyncio
import re
import threading
from typing import Any

import pytest

from loopwright.errors import (
    ArgumentsConflictError,
    CallerError,
    NoLoopError,
    NotALoopError,
    PolicyConfigurationError,
    PolicyUnmadeError,
    UnknownLoopError,
)
from loopwright.loops import PriorityLanes, group, task_limit
from loopwright.policies import (
    AbstractEventLoopPolicy,
    DefaultEventLoopPolicy,
    EventLoopPolicy,
    FairEventLoopPolicy,
    LoopPool,
    SharedEventLoopPolicy,
    UvloopEventLoopPolicy,
    get_event_loop_policy,
    install,
    policy_from,
    run,
)


class Needy(EventLoopPolicy):
    def __init__(self, something_that_has_a_long_name: int, and_another_one_that_is_no_shorter: int) -> None:
        raise AssertionError("never called")


class Nothing(AbstractEventLoopPolicy):
    def new_event_loop(self) -> Any:
        return None


class Forgetful(EventLoopPolicy):
    def __init__(self) -> None:
        pass


async def nothing() -> None:
    pass


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (f"{__name__}:Needy", "'something_that_has_a_long_name' and 'and_another_one_that_is_no_shorter'"),
        (f"{__name__}:Forgetful; max_tasks=3", r"got an unexpected keyword argument 'max_tasks'"),
        ("uvloop; uvloop", 'right would be either of the two: "uvloop" says the loop already'),
        ("shared; context", 'right would be either of the two: "shared" says the scope already'),
        ("uvloop max_tasks=100", "right would be a semicolon between two parts"),
        ("uvloop shared", "right would be a semicolon between two parts"),
        ("scope=shared max_tasks=3", "right would be a semicolon between two parts"),
        ({"policy": {"name": "uvloop"}}, "right would be its table alone: table['policy']"),
    ],
)
def test_words(value: Any, words: str) -> None:
    with pytest.raises(PolicyConfigurationError, match=re.escape(words)):
        policy_from(value)


def test_nothing_is_offered_that_cannot_be_a_policy() -> None:
    with pytest.raises(PolicyConfigurationError, match="right would be a name that is there"):
        policy_from("os:nope")
    with pytest.raises(PolicyConfigurationError, match=f"right would be {__name__}:Needy"):
        policy_from(f"{__name__}:Neady")


@pytest.mark.parametrize("kind", [UvloopEventLoopPolicy, DefaultEventLoopPolicy])
def test_a_part_that_the_name_says(kind: Any) -> None:
    words = rf"^{kind.__name__} says the loop already.*or use EventLoopPolicy\(loop='selector'\)"
    with pytest.raises(ArgumentsConflictError, match=words):
        kind(loop="selector")
    with pytest.raises(ArgumentsConflictError, match="SharedEventLoopPolicy says the scope"):
        SharedEventLoopPolicy(scope="thread")  # type: ignore[call-arg] # that is the mistake
    with pytest.raises(ArgumentsConflictError, match="FairEventLoopPolicy says the scheduler"):
        FairEventLoopPolicy(scheduler="fifo")  # type: ignore[call-arg] # that is the mistake


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("uvloop", "EventLoopPolicy(loop='uvloop')"),
        ("shared", "EventLoopPolicy(scope='shared')"),
        ("fair", "EventLoopPolicy(scheduler='fair')"),
        (3, "EventLoopPolicy(max_tasks=3)"),
        ("uvloop; max_tasks=3", "policy_from('uvloop; max_tasks=3')"),
        (asyncio.SelectorEventLoop, "EventLoopPolicy(loop=<class"),
    ],
)
def test_a_part_without_its_name(given: Any, words: str) -> None:
    with pytest.raises(TypeError, match=re.escape(words)):
        EventLoopPolicy(given)


def test_mistakes_of_the_caller_are_of_that_family() -> None:
    for wrong in (
        lambda: LoopPool(0),
        lambda: group(""),
        lambda: group("a", weight=0),
        lambda: PriorityLanes(lanes=()),
    ):
        with pytest.raises(CallerError) as caught:
            wrong()
        assert isinstance(caught.value, ValueError)
    with pytest.raises(NoLoopError, match=r"task_limit\(loop\)"):
        task_limit()


def test_words_for_a_loop() -> None:
    with pytest.raises(UnknownLoopError, match=r"loopwright\.policy_from\(\)"):
        EventLoopPolicy(loop="uvloop; max_tasks=3")


def test_a_class_that_forgets_its_base() -> None:
    policy = Forgetful()
    assert "super().__init__() was not called" in repr(policy)
    for use in (policy.new_event_loop, policy.get_event_loop, policy.close):
        with pytest.raises(PolicyUnmadeError, match=r"call super\(\).__init__\(\)"):
            use()
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        policy.nonsense  # type: ignore[attr-defined] # noqa: B018 - that is the mistake
    assert not hasattr(EventLoopPolicy(), "nonsense")


def test_a_policy_that_makes_no_loop() -> None:
    with pytest.raises(NotALoopError, match=r"new_event_loop\(\) of the policy <.*Nothing.*> gave None"):
        run(nothing(), policy=Nothing())


def test_rules_that_are_said_twice() -> None:
    before = get_event_loop_policy()
    with pytest.raises(ArgumentsConflictError, match=r"says rules=3.11, and rules='3.12' is given"):
        install("asyncio; rules=3.11", rules="3.12")
    assert get_event_loop_policy() is before


def test_a_program_of_old_is_told_of_rules() -> None:
    told: list[str] = []

    def ask() -> None:
        with pytest.raises(NoLoopError) as caught:
            EventLoopPolicy(rules="3.14").get_event_loop()
        told.append(str(caught.value))

    ask()
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert "rules='3.11'" in told[0]
    assert "loopwright run --legacy" in told[0]
    assert "3.11" not in told[1], "there they would not help"
