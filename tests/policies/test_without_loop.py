from __future__ import annotations

import asyncio
import sys
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.errors import (
    CallerError,
    NoLoopError,
)
from loopwright.loops._asyncio_private import PYTHON_RULES
from loopwright.policies import (
    DefaultEventLoopPolicy,
    EventLoopPolicy,
    get_event_loop,
    set_event_loop,
    set_event_loop_policy,
)
from tests.policies.conftest import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable


def asyncio_default() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return asyncio.DefaultEventLoopPolicy()


def outcome(policy: Any) -> tuple[Any, ...]:
    """What comes of asking for a loop: a loop or an exception's first line, and the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            loop = policy.get_event_loop()
        except RuntimeError as error:
            result: Any = str(error).split(". ")[0].rstrip(".")
        else:
            result = type(loop)
            assert policy.get_event_loop() is loop
            loop.close()
    return result, [(warning.category, str(warning.message), warning.filename) for warning in caught]


def in_main(policy: Any) -> tuple[Any, ...]:
    return outcome(policy)


def in_main_after_none(policy: Any) -> tuple[Any, ...]:
    policy.set_event_loop(None)
    return outcome(policy)


def in_main_after_none_elsewhere(policy: Any) -> tuple[Any, ...]:
    in_thread(lambda: policy.set_event_loop(None))
    return outcome(policy)


def elsewhere(policy: Any) -> tuple[Any, ...]:
    return in_thread(lambda: outcome(policy))


@pytest.mark.parametrize("ask", [in_main, in_main_after_none, in_main_after_none_elsewhere, elsewhere])
def test_asking_without_a_loop_is_answered_as_asyncio_does(ask: Callable[[Any], tuple[Any, ...]]) -> None:
    assert ask(DefaultEventLoopPolicy()) == ask(asyncio_default())


def test_the_main_thread_gets_a_loop_or_not_by_the_version(policy: EventLoopPolicy) -> None:
    if PYTHON_RULES == "3.11":
        assert not policy.get_event_loop().is_closed()
    elif PYTHON_RULES == "3.12":
        with pytest.warns(DeprecationWarning, match="There is no current event loop") as caught:
            policy.get_event_loop()
        assert [warning.filename for warning in caught] == [__file__]
    else:
        with pytest.raises(NoLoopError, match="in thread 'MainThread'"):
            policy.get_event_loop()
    assert ("3.11" if sys.version_info < (3, 12) else "3.12" if sys.version_info < (3, 14) else "3.14") == PYTHON_RULES


def test_the_error_names_the_thread_and_the_mend(policy: EventLoopPolicy) -> None:
    def ask() -> str:
        with pytest.raises(RuntimeError, match="no current event loop") as caught:
            policy.get_event_loop()
        assert isinstance(caught.value, CallerError)
        return str(caught.value)

    message = in_thread(ask)
    assert "'elsewhere_0'" in message
    assert "loopwright.run()" in message
    assert "set_event_loop()" in message


def test_a_thread_does_not_get_the_loop_that_close_has_closed(policy: EventLoopPolicy) -> None:
    policy.set_event_loop(loop := policy.new_event_loop())
    policy.close()
    assert loop.is_closed()
    # As if never set, so a fresh policy's answer.
    assert outcome(policy) == outcome(DefaultEventLoopPolicy())


# --- by the rules of another Python

GETTERS: list[Callable[[], asyncio.AbstractEventLoop]] = [get_event_loop, asyncio.get_event_loop]


@pytest.mark.parametrize("ask", GETTERS, ids=["loopwright", "asyncio"])
@pytest.mark.parametrize("rules", ["3.11", "3.12", "3.13", "3.14", "3.15"])
def test_the_rules_that_were_chosen_hold(rules: str, ask: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """Also where it is the C function of asyncio that asks."""
    policy = EventLoopPolicy(rules=rules)
    set_event_loop_policy(policy)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if rules in ("3.14", "3.15"):
            with pytest.raises(NoLoopError, match="no current event loop"):
                ask()
        else:
            loop = ask()
            assert ask() is loop is policy.get_event_loop()
    warned = [(warning.category, warning.filename) for warning in caught]
    assert warned == ([(DeprecationWarning, __file__)] if rules in ("3.12", "3.13") else [])
    with pytest.raises(NoLoopError):
        in_thread(ask)
    set_event_loop(None)
    with pytest.raises(NoLoopError):
        ask()
    policy.close()


def test_the_rules_of_the_running_python_are_what_none_means() -> None:
    assert outcome(EventLoopPolicy(rules=None)) == outcome(EventLoopPolicy(rules=PYTHON_RULES))


@pytest.mark.parametrize("scope", ["context", "shared"])
@pytest.mark.parametrize("rules", ["3.11", "3.12", "3.14"])
def test_they_hold_in_every_scope(rules: str, scope: Any) -> None:
    policy, per_thread = EventLoopPolicy(rules=rules, scope=scope), EventLoopPolicy(rules=rules)
    assert elsewhere(policy) == elsewhere(per_thread)
    assert in_main(policy) == in_main(per_thread)
    policy.close()
    assert in_main(policy) == in_main(EventLoopPolicy(rules=rules))  # as if it had never had one
    assert in_main_after_none(policy) == in_main_after_none(per_thread)
