"""Wherever a policy is taken to be used, words and tables are."""

from __future__ import annotations

import asyncio
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.errors import NotACoroutineError, NotAPolicyError, PolicyConfigurationError, WrongThreadError
from loopwright.loops import task_limit
from loopwright.policies import (
    EventLoopPolicy,
    LimitedEventLoopPolicy,
    LoopHandle,
    LoopPool,
    PolicyLike,
    Runner,
    run,
    set_event_loop_policy,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


class Counted(EventLoopPolicy):
    closed = 0

    def close(self) -> None:
        super().close()
        Counted.closed += 1


@pytest.fixture(autouse=True)
def nothing_unawaited() -> Iterator[None]:
    Counted.closed = 0
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        yield
    assert [str(each.message) for each in told] == []


async def bound() -> int:
    limit = task_limit()
    assert limit is not None
    return limit.max_tasks or 0


WORDS: list[PolicyLike] = ["asyncio; max_tasks=3", {"max_tasks": 3}, LimitedEventLoopPolicy(3)]


@pytest.mark.parametrize("words", WORDS)
def test_they_are_taken(words: PolicyLike) -> None:
    assert run(bound(), policy=words) == 3
    with Runner(policy=words) as runner:
        assert runner.run(bound()) == 3
    with LoopPool(1, policy=words) as pool:
        assert pool.submit(bound).result(30) == 3


def test_a_policy_that_was_made_is_closed_and_a_given_one_is_not() -> None:
    name = f"{__name__}:Counted"
    assert run(asyncio.sleep(0, "ran"), policy=name) == "ran"
    assert Counted.closed == 1
    runner = Runner(policy={"name": name})
    runner.get_loop()
    assert Counted.closed == 1
    runner.close()
    assert Counted.closed == 2
    with LoopPool(2, policy=Counted):
        assert Counted.closed == 2
    assert Counted.closed == 3
    mine = Counted()
    run(asyncio.sleep(0), policy=mine)
    LoopPool(1, policy=mine).close()
    assert Counted.closed == 3


def test_the_process_takes_policies_only_and_says_what_makes_one() -> None:
    with pytest.raises(NotAPolicyError, match=r"policy_from\(\) makes one"):
        set_event_loop_policy("uvlop; max_tasks=3")  # type: ignore[arg-type] # that is the mistake


# --- a coroutine that is never begun


def test_a_policy_that_is_wrong_closes_the_coroutine(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong: list[tuple[Any, type[Exception]]] = [("uvlop", PolicyConfigurationError), (3, NotAPolicyError)]
    for policy, error in wrong:
        with pytest.raises(error):
            run(bound(), policy=policy)
    monkeypatch.setenv("LOOPWRIGHT_POLICY", "uvlop")
    with pytest.raises(PolicyConfigurationError, match="LOOPWRIGHT_POLICY"):
        run(bound())
    with pytest.raises(PolicyConfigurationError, match="LOOPWRIGHT_POLICY"):
        Runner().run(bound())


def test_where_a_loop_runs_it_is_closed() -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match="await the coroutine"):
            run(bound())

    run(main())


def test_a_coroutine_function_is_to_be_called_first() -> None:
    starters: list[Any] = [run, Runner().run]
    for start in starters:
        with pytest.raises(NotACoroutineError, match=r"call it first: bound\(\)") as caught:
            start(bound)
        assert isinstance(caught.value, TypeError)
        assert isinstance(caught.value, ValueError)


def test_a_handle_that_refuses_it_closes_it_and_says_what_to_call() -> None:
    loop = asyncio.new_event_loop()
    with pytest.raises(WrongThreadError, match=r"asyncio\.get_event_loop\(\)\.submit\(coroutine\)"):
        LoopHandle(loop).create_task(bound())
    loop.close()
