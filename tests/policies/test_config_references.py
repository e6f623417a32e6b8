"""A loop, scheduler or policy of one's own, by `module:attribute`: what is made of it, and what cannot be had."""

# ruff: noqa: E501 - what is told is one line, however long

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.errors import PolicyConfigurationError
from loopwright.policies import policy_from

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Writes a module of that name that can be imported during the test."""

    def write(name: str, source: str) -> None:
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
        monkeypatch.delitem(sys.modules, name, raising=False)

    monkeypatch.syspath_prepend(tmp_path)
    yield write
    for path in tmp_path.glob("*.py"):
        sys.modules.pop(path.stem, None)


def mistakes(text: str) -> list[str]:
    with pytest.raises(PolicyConfigurationError) as caught:
        policy_from(text)
    return [str(mistake) for mistake in caught.value.mistakes]


OWN = """
    import asyncio
    from loopwright._core import TaskScheduler
    from loopwright.policies import EventLoopPolicy

    class Loop(asyncio.SelectorEventLoop):
        pass

    def make():
        return Loop()

    class Things:
        Loop = Loop

    class Last(TaskScheduler):
        def select(self, ready):
            return -1

    class NeedsMore(Last):
        def __init__(self, more):
            pass

    last = Last()

    class Mine(EventLoopPolicy):
        def __init__(self, **parts):
            super().__init__(loop=Loop, **parts)

    policy = Mine()
    name = "uvloop"

    def fails():
        raise RuntimeError("nothing works today")
"""


@pytest.mark.parametrize(
    "text",
    ["loop=own:Loop", "loop=own:make", "loop=own:Things.Loop", "limited; max_tasks=3; loop=own:Loop", "own:Mine"],
)
def test_a_loop_or_policy_of_ones_own(own_module: Callable[..., None], text: str) -> None:
    own_module("own", OWN)
    policy = policy_from(text)
    loop = policy.new_event_loop()
    loop.close()
    assert type(loop) is sys.modules["own"].Loop


@pytest.mark.parametrize("text", ["scheduler=own:Last", "scheduler=own:last", "own:Mine; scheduler=own:Last"])
def test_a_scheduler_of_ones_own(own_module: Callable[..., None], text: str) -> None:
    own_module("own", OWN)
    policy: Any = policy_from(text)
    assert type(policy._scheduler) is sys.modules["own"].Last


def test_a_policy_that_is_there_is_taken_as_it_is(own_module: Callable[..., None]) -> None:
    own_module("own", OWN)
    assert policy_from("own:policy") is sys.modules["own"].policy
    assert mistakes("own:policy; max_tasks=3") == [
        'policy: max_tasks: found 3; right would be a class for "own:policy", which can take it, or no max_tasks'
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("loop=own:Lop", 'loop: found "own:Lop", and there is no "Lop" there; right would be own:Loop'),
        ("loop=own:Things.Lop", 'loop: found "own:Things.Lop", and there is no "Lop" there; right would be own:Things.Loop'),
        ("loop=own:Thing.Thing", 'loop: found "own:Thing.Thing", and there is no "Thing" there; right would be own:Things.Thing'),
        ("loop=own:zzzzzz", 'loop: found "own:zzzzzz", and there is no "zzzzzz" there; right would be a name that is there'),
        ("loop=own:name", 'loop: found "own:name", which is "uvloop" (of type str); right would be a class of event loops'),
        ("loop=own:Things", "loop: found \"own:Things\", which is <class 'own.Things'> (of type type); right would be a class"),
        ("loop=own.more:Loop", 'loop: found "own.more:Loop", where there is no module own.more; right would be a module'),
        ("scheduler=own:name", 'scheduler: found "own:name", which is "uvloop" (of type str); right would be a TaskScheduler'),
        ("scheduler=own:NeedsMore", "scheduler: found \"own:NeedsMore\", which is <class 'own.NeedsMore'> (of type type); right"),
        ("own:name", 'name: found "own:name", which is "uvloop" (of type str); right would be an event loop policy, its class'),
        ("own:make", 'name: found "own:make", which made <Loop running=False closed=True debug=False> (of type Loop); right'),
        ("own:Mine; max_task=3", "max_task: found an unknown key; right would be max_tasks"),
        ("own:Mine; loop=selector", 'no policy can be made of "own:Mine; loop=selector": TypeError: '),
        ("own:fails", 'no policy can be made of "own:fails": RuntimeError: nothing works today'),
        ("loop=broken:Loop", 'loop: found "broken:Loop", whose module fails when it is imported (ZeroDivisionError: division'),
        ("loop=ends:Loop", 'loop: found "ends:Loop", whose module fails when it is imported (SystemExit: 3); right would be'),
        ("loop=needs:Loop", 'loop: found "needs:Loop", whose module fails when it is imported (ModuleNotFoundError: No module'),
    ],
)  # fmt: skip
def test_what_cannot_be_had_from_a_module(own_module: Callable[..., None], text: str, told: str) -> None:
    own_module("own", OWN)
    own_module("broken", "1 / 0")
    own_module("ends", "import sys; sys.exit(3)")
    own_module("needs", "import no_such_module_at_all")
    (mistake,) = mistakes(text)
    assert mistake.startswith(f"policy: {told}")


def test_the_cause_is_kept(own_module: Callable[..., None]) -> None:
    own_module("broken", "1 / 0")
    with pytest.raises(PolicyConfigurationError) as caught:
        policy_from("loop=broken:Loop")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
