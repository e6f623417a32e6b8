"""From text and tables to settings, and back; all mistakes at once, in their order; and nothing else ever."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright._core import FairShares, scheduler_names
from loopwright.loops import loop_names
from loopwright.policies._rules import RULES
from loopwright.policies._setting_values import KEYS, SCOPES, named_policies
from loopwright.policies._settings import PolicyMistake, Settings, read


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("uvloop", Settings("uvloop")),
        ("  uvloop\n", Settings("uvloop")),
        ("UvloopEventLoopPolicy", Settings("UvloopEventLoopPolicy")),
        ("name=uvloop", Settings("uvloop")),
        ("shared; max_tasks=100", Settings("shared", max_tasks=100)),
        ("shared;max_tasks = 0100 ", Settings("shared", max_tasks=100)),
        ("limited; max_tasks=10", Settings("limited", max_tasks=10)),
        ("uvloop; max_tasks=100", Settings("uvloop", max_tasks=100)),
        ("limited; loop=rloop; max_tasks=3", Settings("limited", loop="rloop", max_tasks=3)),
        ("asyncio; scheduler=fair", Settings("asyncio", scheduler="fair")),
        ("fifo; loop=uvloop", Settings("fifo", loop="uvloop")),
        (
            "loop=selector; scope=context; scheduler=fair; rules=3.11",
            Settings(loop="selector", scope="context", scheduler="fair", rules="3.11"),
        ),
        ("max_tasks=3", Settings(max_tasks=3)),
        ("loop=my.loops:Loop; scheduler=my:Own.Kind", Settings(loop="my.loops:Loop", scheduler="my:Own.Kind")),
        ("my.policies:Mine; max_tasks=3", Settings("my.policies:Mine", max_tasks=3)),
    ],
)
def test_what_text_says(text: str, settings: Settings) -> None:
    assert read(text) == (settings, ())


def test_what_a_table_says() -> None:
    assert read({}) == (Settings("default"), ())
    assert read({"name": "shared", "max_tasks": 3, "loop": None}) == (Settings("shared", max_tasks=3), ())
    scheduler = FairShares(weight=2)
    table = {"loop": asyncio.SelectorEventLoop, "scheduler": scheduler, "scope": "shared", "rules": "3.13"}
    assert read(table) == (Settings(None, asyncio.SelectorEventLoop, "shared", scheduler, None, "3.13"), ())


def test_all_mistakes_are_told_in_the_order_in_which_they_stand() -> None:
    text = "uvlop; max_tasks=ten;; scop=thread; max_tasks=3; fair; rules=3.9; loop=selctor"
    settings, mistakes = read(text, "HERE")
    assert settings == Settings()
    assert [str(mistake) for mistake in mistakes] == [
        'HERE: name: found "uvlop"; right would be "uvloop"',
        'HERE: max_tasks: found "ten"; right would be a whole number of 1 or more',
        'HERE: found an empty part; right would be one semicolon between two parts: "shared; max_tasks=100"',
        "HERE: scop: found an unknown key; right would be scope",
        'HERE: max_tasks: found "3" after "ten"; right would be max_tasks once',
        'HERE: found "fair"; right would be "scheduler=fair"',
        'HERE: rules: found "3.9"; right would be one of 3.11, 3.12, 3.13, 3.14, 3.15',
        'HERE: loop: found "selctor"; right would be "selector"',
    ]


def test_several_contradictions_are_told_together() -> None:
    _, mistakes = read("uvloop; scheduler=fair; max_tasks=0; name=rloop; scope=process")
    assert [mistake.key for mistake in mistakes] == ["scheduler", "max_tasks", "name", "scope"]


def test_a_mistake_as_text() -> None:
    assert str(PolicyMistake("policy", "", "no such thing", "")) == "policy: no such thing"
    assert str(PolicyMistake("policy", "a\x1b", "x", "y")) == 'policy: "a\\u001b": found x; right would be y'


references = st.from_regex(r"[a-z_]{1,5}(\.[a-z_é]{1,5}){0,2}:[A-Za-z_]{1,5}(\.[a-z]{1,3})?", fullmatch=True)


@given(
    st.builds(
        Settings,
        st.none() | st.sampled_from([*named_policies(), *loop_names(), *scheduler_names()]) | references,
        st.none() | st.sampled_from(loop_names()) | references,
        st.none() | st.sampled_from(SCOPES),
        st.none() | st.sampled_from(scheduler_names()) | references,
        st.none() | st.integers(1, 10**18 - 1),
        st.none() | st.sampled_from(tuple(RULES)),
    )
)
def test_settings_as_text_are_read_as_the_same(settings: Settings) -> None:
    """If they contradict each other, that is said; what is written is read as it was, all the same."""
    if settings == Settings():
        settings = Settings("default")
    again, mistakes = read(str(settings))
    assert again == settings
    assert again == read({key: getattr(settings, key) for key in KEYS})[0]
    if settings.name is None and settings.loop not in ("native", "uvloop", "rloop", "winloop"):
        assert mistakes == ()


words = ["uvloop", "fair", "limited", "loop", "scope", "max_tasks", "rules", "name", "3", "0", "-1", "3.11", "a.b:c"]
pieces = st.sampled_from([*words, *" \n\0é\udc80:==;;,"])


@given(st.text() | st.lists(pieces).map("".join))
def test_any_text_is_read_or_has_mistakes(text: str) -> None:
    settings, mistakes = read(text)
    assert all(str(mistake).isprintable() and mistake.right for mistake in mistakes)
    if not mistakes:
        assert read(str(settings)) == (settings, ())


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | pieces,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(KEYS) | st.text() | st.integers(), values, max_size=6))
def test_any_table_is_read_or_has_mistakes(table: dict[Any, Any]) -> None:
    _, mistakes = read(table)
    assert all(str(mistake).isprintable() and mistake.right for mistake in mistakes)
    unknown = [key for key in table if key not in KEYS]
    assert sum(mistake.found == "an unknown key" for mistake in mistakes) <= len(unknown)
    assert bool(mistakes) or not unknown
