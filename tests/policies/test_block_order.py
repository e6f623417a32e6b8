"""Blocks that are left in another order than they were entered in, and blocks in which others set policies."""

from __future__ import annotations

import asyncio
import warnings
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from loopwright.errors import PolicyBlockError
from loopwright.loops._asyncio_private import install_policy, installed_policy
from loopwright.policies import (
    DefaultEventLoopPolicy,
    EventLoopPolicy,
    get_event_loop_policy,
    new_event_loop,
    policy,
    set_event_loop_policy,
)

if TYPE_CHECKING:
    from collections.abc import Generator


class Loop(asyncio.SelectorEventLoop):
    pass


class Recording(EventLoopPolicy):
    """Knows how often it was closed."""

    closed = 0

    def close(self) -> None:
        self.closed += 1
        super().close()


def test_a_generator_that_is_closed_too_late_is_told_of() -> None:
    def within() -> Generator[None, None, None]:
        with policy("context"):
            yield

    before = installed_policy()
    generator = within()
    next(generator)
    with policy("selector") as other:
        with pytest.raises(PolicyBlockError, match="was left before policy"):
            generator.close()
        assert installed_policy() is other
    assert installed_policy() is before


def test_left_in_the_wrong_order() -> None:
    before = EventLoopPolicy()
    set_event_loop_policy(before)
    first, second = policy("selector"), policy({"loop": Loop})
    first.__enter__()
    inner = second.__enter__()
    loop = new_event_loop()
    with pytest.raises(PolicyBlockError, match=r"policy\('selector'\) was left before policy\(\{"):
        first.__exit__(None, None, None)
    assert get_event_loop_policy() is inner
    assert not loop.is_closed()
    second.__exit__(None, None, None)
    assert loop.is_closed()
    assert installed_policy() is before


@pytest.mark.parametrize("other", [DefaultEventLoopPolicy(), None])
def test_somebody_else_sets_a_policy_in_the_block(other: EventLoopPolicy | None) -> None:
    before = EventLoopPolicy()
    set_event_loop_policy(before)
    with pytest.warns(RuntimeWarning, match="something else has set the policy") as caught, policy(Recording) as p:
        set_event_loop_policy(other)
    assert repr(other) in str(caught[0].message)
    assert caught[0].filename == __file__
    assert installed_policy() is before
    assert p.closed == 1


def test_somebody_who_puts_back_what_was_there_has_changed_nothing() -> None:
    before = EventLoopPolicy()
    set_event_loop_policy(before)
    with policy("selector") as p:
        set_event_loop_policy(None)
        set_event_loop_policy(p)
    with policy("selector"):
        set_event_loop_policy(before)
    assert installed_policy() is before


def test_what_there_is_to_tell_does_not_hide_what_the_block_raised() -> None:
    def block() -> None:
        with policy("selector"):
            set_event_loop_policy(DefaultEventLoopPolicy())
            raise KeyError("the block's own")

    with pytest.raises(KeyError) as caught:
        block()
    assert ["something else has set the policy" in note for note in caught.value.__notes__] == [True]
    first, second = policy("selector"), policy("selector")
    first.__enter__()
    second.__enter__()
    error = KeyError("the block's own")
    first.__exit__(KeyError, error, None)
    assert ["was left before" in note for note in error.__notes__] == [True]
    second.__exit__(None, None, None)
    assert installed_policy() is None


class Blocks(RuleBasedStateMachine):
    """Whatever the order of entering and leaving: with all left, what was there before all is there; and as long as
    blocks are open and nobody else sets a policy, the one entered last rules, whichever was left in between."""

    def __init__(self) -> None:
        super().__init__()
        self.before = EventLoopPolicy()
        install_policy(self.before)
        self.open: list[tuple[Any, Any]] = []
        self.meddled = False

    @rule(kind=st.sampled_from(["selector", "fair", Recording]))
    def enter(self, kind: Any) -> None:
        block = policy(kind)
        self.open.append((block, block.__enter__()))
        self.meddled = False

    @precondition(lambda self: self.open)
    @rule()
    def somebody_sets_another(self) -> None:
        install_policy(EventLoopPolicy())
        self.meddled = True

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(0, len(self.open) - 1))
        block, _ = self.open.pop(number)
        if number < len(self.open):
            with pytest.raises(PolicyBlockError):
                block.__exit__(None, None, None)
        elif self.meddled:
            with pytest.warns(RuntimeWarning):
                block.__exit__(None, None, None)
        else:
            block.__exit__(None, None, None)
        if number == len(self.open):
            self.meddled = installed_policy() is not (self.open[-1][1] if self.open else self.before)

    @invariant()
    def the_last_one_rules(self) -> None:
        if not self.meddled:
            assert installed_policy() is (self.open[-1][1] if self.open else self.before)

    def teardown(self) -> None:
        while self.open:
            block, _ = self.open.pop()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                block.__exit__(None, None, None)
        install_policy(None)


TestBlocks = Blocks.TestCase
TestBlocks.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
