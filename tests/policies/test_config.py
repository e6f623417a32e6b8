"""Policies from words: what is made, what is imported for it and what not, and the environment variable."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import pickle
import sys
import warnings
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.errors import (
    ConfigurationError,
    LoopUnavailableError,
    NotAPolicyError,
    PolicyConfigurationError,
    SchedulerRefusedError,
    WrongPlatformError,
)
from loopwright.loops import groups, task_limit
from loopwright.policies import (
    DefaultEventLoopPolicy,
    EventLoopPolicy,
    FairEventLoopPolicy,
    LimitedEventLoopPolicy,
    PolicyMistake,
    PriorityEventLoopPolicy,
    ThreadedEventLoopPolicy,
    UvloopEventLoopPolicy,
    default_policy,
    get_event_loop_policy,
    policy_from,
    run,
    set_event_loop_policy,
)
from loopwright.policies._config import VARIABLE, policy_obstacle

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(autouse=True)
def no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


FOUND_BY_PYTHON = "right would be a module that this Python finds (sys.path)"


def mistakes(value: Any) -> list[str]:
    with pytest.raises(PolicyConfigurationError) as caught:
        policy_from(value)
    assert isinstance(caught.value, ConfigurationError)
    assert isinstance(caught.value, ValueError)
    assert all(isinstance(mistake, PolicyMistake) for mistake in caught.value.mistakes)
    assert str(caught.value) == "\n".join(map(str, caught.value.mistakes))
    return [str(mistake) for mistake in caught.value.mistakes]


async def loop_class() -> type[asyncio.AbstractEventLoop]:
    return type(asyncio.get_running_loop())


# --- what is made


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("default", DefaultEventLoopPolicy),
        ("DefaultPolicy", DefaultEventLoopPolicy),
        ("priority", PriorityEventLoopPolicy),
        ("fair; scope=context", FairEventLoopPolicy),
        ("threaded", ThreadedEventLoopPolicy),
        ("limited; max_tasks=10", LimitedEventLoopPolicy),
        ({"name": "limited", "max_tasks": 10}, LimitedEventLoopPolicy),
        ("asyncio", EventLoopPolicy),
        ("fifo", EventLoopPolicy),
        ("loop=selector; rules=3.12", EventLoopPolicy),
        ({}, DefaultEventLoopPolicy),
        (None, DefaultEventLoopPolicy),
        (FairEventLoopPolicy, FairEventLoopPolicy),
    ],
)
def test_a_name_leads_to_its_class(value: Any, kind: type[EventLoopPolicy]) -> None:
    policy = policy_from(value)
    assert type(policy) is kind
    assert policy_from(policy) is policy
    assert policy_from(value) is not policy


def test_the_loops_are_of_the_kind_that_was_asked_for(loop_name: str) -> None:
    expected = run(loop_class(), policy=EventLoopPolicy(loop=loop_name))
    assert run(loop_class(), policy=policy_from(loop_name)) is expected
    assert run(loop_class(), policy=policy_from(f"loop={loop_name}; scope=context")) is expected
    assert run(loop_class(), policy=policy_from({"loop": loop_name})) is expected


def test_every_part_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[dict[str, Any]] = []

    def init(self: EventLoopPolicy, **parts: Any) -> None:
        taken.append(parts)

    monkeypatch.setattr(EventLoopPolicy, "__init__", init)
    policy_from("loop=selector; scope=context; scheduler=fair; max_tasks=7; rules=3.12")
    policy_from("selector; scope=shared")
    policy_from("fifo")
    policy_from("limited; max_tasks=7")
    assert taken == [
        {"loop": "selector", "scope": "context", "scheduler": "fair", "max_tasks": 7, "rules": "3.12"},
        {"loop": "selector", "scope": "shared"},
        {"scheduler": "fifo"},
        {"max_tasks": 7},
    ]


def test_the_loops_have_the_scheduler_that_was_asked_for() -> None:
    async def account() -> set[str | None]:
        return set(groups())

    assert run(account(), policy=policy_from("fair")) == {None}
    assert run(account(), policy=policy_from("loop=selector; scheduler=fair")) == {None}
    with pytest.raises(SchedulerRefusedError):
        run(account(), policy=policy_from("priority"))


async def bounded() -> tuple[str, int | None]:
    report = task_limit()
    return type(asyncio.get_running_loop()).__module__, None if report is None else report.max_tasks


@pytest.mark.parametrize(
    ("text", "loop"),
    [
        ("uvloop; max_tasks=100", "uvloop"),
        ("limited; loop=uvloop; max_tasks=100", "uvloop"),
        ("limited; max_tasks=100", "asyncio.unix_events"),
        ("uvloop; scheduler=fifo; max_tasks=100", "uvloop"),
    ],
)
def test_the_loops_have_the_bound_that_was_asked_for(monkeypatch: pytest.MonkeyPatch, text: str, loop: str) -> None:
    assert run(bounded(), policy=policy_from(text)) == (loop, 100)
    monkeypatch.setenv(VARIABLE, text)
    set_event_loop_policy(None)
    assert run(bounded()) == (loop, 100)
    assert asyncio.run(bounded()) == (loop, 100)


def test_a_policy_of_asyncios_or_its_class_will_do() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        kind = asyncio.DefaultEventLoopPolicy
    assert type(policy_from(kind)) is kind


# --- what is wrong


def test_all_mistakes_are_one_error_also_what_does_not_import() -> None:
    assert mistakes("uvlop; max_tasks=ten; loop=no_such_module:Loop; scheduler=os:getpidd") == [
        'policy: name: found "uvlop"; right would be "uvloop"',
        'policy: max_tasks: found "ten"; right would be a whole number of 1 or more',
        f'policy: loop: found "no_such_module:Loop", where there is no module no_such_module; {FOUND_BY_PYTHON}',
        'policy: scheduler: found "os:getpidd", and there is no "getpidd" there; right would be os:getpid',
    ]


def test_the_error_survives_being_sent_to_another_process() -> None:
    with pytest.raises(PolicyConfigurationError) as caught:
        policy_from("uvlop; max_tasks=0")
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.mistakes, str(again)) == (caught.value.mistakes, str(caught.value))
    assert copy.copy(caught.value).mistakes == caught.value.mistakes


@pytest.mark.parametrize("wrong", [3, 2.5, True, ["uvloop"], b"uvloop", object(), asyncio.SelectorEventLoop, dict])
def test_what_is_neither_words_nor_a_policy(wrong: Any) -> None:
    with pytest.raises(NotAPolicyError, match="must be an event loop policy"):
        policy_from(wrong)


def test_words_where_a_policy_is_needed_are_sent_here() -> None:
    with pytest.raises(NotAPolicyError, match=r"policy_from\(\) makes one of text or a table"):
        set_event_loop_policy("limited; max_tasks=3")  # type: ignore[arg-type] # that is the mistake


def test_a_loop_that_is_not_there_is_no_mistake_of_who_wrote_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    for text in ("uvloop", "loop=uvloop", "UvloopEventLoopPolicy; scope=shared"):
        with pytest.raises(LoopUnavailableError, match="pip install uvloop"):
            policy_from(text)
    with pytest.raises(PolicyConfigurationError):  # that first: it is wrong wherever it runs
        policy_from("uvloop; max_tasks=0")


@pytest.mark.skipif(sys.platform == "win32", reason="there it is")
def test_a_loop_of_another_platform() -> None:
    with pytest.raises(WrongPlatformError):
        policy_from("proactor")


words = ["uvloop", "fair", "limited", "threaded", "loop=", "scope=context", "scheduler=fifo", "max_tasks=3", "name="]
more = ["max_tasks=0", "rules=3.11", "no_such_module:x", "loop=no_such_module.y:x", ";", ";", ";", "=", "x"]
pieces = st.sampled_from([*words, *more])


@given(st.text() | st.lists(pieces).map("".join) | st.lists(pieces).map(";".join))
def test_any_text_makes_a_policy_or_one_of_two_errors(text: str) -> None:
    with contextlib.suppress(PolicyConfigurationError, LoopUnavailableError):
        assert isinstance(policy_from(text), EventLoopPolicy)


# --- the environment variable


def test_the_variable_says_what_the_default_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "loop=selector; scope=context")
    assert type(default_policy()) is EventLoopPolicy
    assert type(policy_from(None)) is EventLoopPolicy
    policy = get_event_loop_policy()
    assert type(policy) is EventLoopPolicy
    assert get_event_loop_policy() is policy
    monkeypatch.setenv(VARIABLE, "wrong in every way")  # read when a policy is made, and only then
    assert get_event_loop_policy() is policy
    set_event_loop_policy(FairEventLoopPolicy())
    assert type(get_event_loop_policy()) is FairEventLoopPolicy
    set_event_loop_policy(None)
    with pytest.raises(PolicyConfigurationError):
        get_event_loop_policy()


@pytest.mark.parametrize("empty", ["", " ", "\n"])
def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch, empty: str) -> None:
    monkeypatch.setenv(VARIABLE, empty)
    assert type(get_event_loop_policy()) is DefaultEventLoopPolicy


def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "uvlop; max_tasks=0")
    for ask in (default_policy, get_event_loop_policy):
        with pytest.raises(PolicyConfigurationError) as caught:
            ask()
        assert str(caught.value) == (
            'LOOPWRIGHT_POLICY: name: found "uvlop"; right would be "uvloop"\n'
            'LOOPWRIGHT_POLICY: max_tasks: found "0"; right would be a whole number of 1 or more'
        )
    coroutine = loop_class()
    with pytest.raises(PolicyConfigurationError):
        run(coroutine)
    coroutine.close()
    assert run(loop_class(), policy=DefaultEventLoopPolicy()) is asyncio.SelectorEventLoop


def test_so_is_one_whose_loop_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "uvloop")
    monkeypatch.setitem(sys.modules, "uvloop", None)
    with pytest.raises(LoopUnavailableError, match=r'^LOOPWRIGHT_POLICY="uvloop": .*pip install uvloop$') as caught:
        get_event_loop_policy()
    assert caught.value.name == "uvloop"
    monkeypatch.setenv(VARIABLE, "winloop" if sys.platform != "win32" else "uvloop")
    with pytest.raises(WrongPlatformError, match=r"^LOOPWRIGHT_POLICY="):
        get_event_loop_policy()


def test_importing_asks_for_nothing(script: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "wrong; in=every; way")
    assert script("import loopwright, loopwright.policies, loopwright.supervision; print('fine')") == "fine\n"


def test_plain_asyncio_obeys_once_loopwright_was_asked(
    script: Callable[..., str], monkeypatch: pytest.MonkeyPatch, loop_name: str
) -> None:
    monkeypatch.setenv(VARIABLE, f"loop={loop_name}; scope=context")
    program = """
        import asyncio, loopwright
        async def main():
            return type(asyncio.get_running_loop()).__module__.partition(".")[0]
        first = loopwright.run(main())
        assert first == asyncio.run(main()), "the policy that was made is set"
        print(first)
    """
    assert script(program) == {"uvloop": "uvloop\n", "native": "loopwright\n"}.get(loop_name, "asyncio\n")


# --- what can be known without importing


def test_what_keeps_a_policy_from_being_had_is_known_without_importing(script: Callable[..., str]) -> None:
    program = """
        import sys
        from loopwright.policies._config import policy_obstacle
        for text in ("uvloop", "rloop; scope=shared", "loop=uvloop", "selector", "loop=no_such_module:Loop", "my:Own"):
            assert policy_obstacle(text) is None or "pip install" in policy_obstacle(text), text
        assert not {"uvloop", "rloop", "no_such_module", "my"} & set(sys.modules)
        if sys.platform != "win32":
            for text in ("proactor", "loop=proactor", "winloop", "WindowsSelectorEventLoopPolicy"):
                assert "Windows" in policy_obstacle(text)
        print("fine")
    """
    assert script(program) == "fine\n"


def test_a_loop_that_is_not_installed_is_an_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    for text in ("uvloop", "loop=uvloop; scope=shared"):
        assert "pip install uvloop" in str(policy_obstacle(text))
    assert policy_obstacle("fair; scope=shared") is None


def test_uvloop_by_its_name(loop_name: str) -> None:
    if loop_name == "uvloop":
        assert type(policy_from("uvloop; scope=shared")) is UvloopEventLoopPolicy
