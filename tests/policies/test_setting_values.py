"""Every wrong value, with what is said to be right; and that no name is missing that there is elsewhere."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from loopwright import policies
from loopwright._core import FairShares, scheduler_names
from loopwright.errors import LoopUnavailableError, SchedulerRefusedError
from loopwright.loops import loop_names
from loopwright.policies._setting_values import KEYS, READERS, SCOPES, Unfit, accepted, named_policies, show
from loopwright.policies._settings import Settings, read

ONE_OR_MORE = "a whole number of 1 or more"
LARGEST = 10**18 - 1
TOO_LARGE = f"a whole number from 1 to {LARGEST}, or no max_tasks"
SEMICOLON = 'a semicolon between two parts: "shared; max_tasks=100"'
ONE_SEMICOLON = 'one semicolon between two parts: "shared; max_tasks=100"'
A_WATCHER = "no such key: a watcher is an object, for EventLoopPolicy(child_watcher=...)"
OWN_QUEUE = "no scheduler, or loop=asyncio: loops of uvloop queue what is ready by themselves"
SAID_ALREADY = '"selector" (a string), where "uvloop" says the loop already'


def the_mistake(value: Any) -> tuple[str, str, str]:
    _, (mistake,) = read(value)
    return mistake.key, mistake.found, mistake.right


@pytest.mark.parametrize(
    ("text", "key", "found", "right"),
    [
        ("uvlop", "name", '"uvlop"', '"uvloop"'),
        ("Uvloop", "name", '"Uvloop"', '"uvloop"'),
        ("UvloopPolicy", "name", '"UvloopPolicy"', '"UvloopEventLoopPolicy"'),
        ("name=uvlop", "name", '"uvlop"', '"uvloop"'),
        ("loop=slector", "loop", '"slector"', '"selector"'),
        ("loop=my.loops:", "loop", '"my.loops:"', None),
        ("loop=:Loop", "loop", '":Loop"', None),
        ("loop=", "loop", "nothing", None),
        ("scope=threads", "scope", '"threads"', '"thread"'),
        ("scope=zzz", "scope", '"zzz"', "one of thread, context, shared"),
        ("scope=my:Scope", "scope", '"my:Scope"', None),
        ("scheduler=prioriti", "scheduler", '"prioriti"', '"priority"'),
        ("max_tasks=ten", "max_tasks", '"ten"', ONE_OR_MORE),
        ("max_tasks=0", "max_tasks", '"0"', ONE_OR_MORE),
        ("max_tasks=000", "max_tasks", '"000"', ONE_OR_MORE),
        ("max_tasks=-1", "max_tasks", '"-1"', ONE_OR_MORE),
        ("max_tasks=true", "max_tasks", '"true"', ONE_OR_MORE),
        ("max_tasks=2.5", "max_tasks", '"2.5"', ONE_OR_MORE),
        ("max_tasks=1_000", "max_tasks", '"1_000"', ONE_OR_MORE),
        ("max_tasks=", "max_tasks", "nothing", ONE_OR_MORE),
        (f"max_tasks={LARGEST + 1}", "max_tasks", f'"{LARGEST + 1}"', TOO_LARGE),
        ("rules=3.10", "rules", '"3.10"', "one of 3.11, 3.12, 3.13, 3.14, 3.15"),
        ("rules=3", "rules", '"3"', "one of 3.11, 3.12, 3.13, 3.14, 3.15"),
        ("uvloop; max_task=3", "max_task", "an unknown key", "max_tasks"),
        ("uvloop; max-tasks=3", "max-tasks", "an unknown key", "max_tasks"),
        ("uvloop; maxTasks=3", "maxTasks", "an unknown key", "max_tasks"),
        ("uvloop; concurrency=3", "concurrency", "an unknown key", "max_tasks"),
        ("max_tasks=3; limit=3", "limit", "an unknown key", "no such key: max_tasks is there already"),
        ("zzz=3", "zzz", "an unknown key", f"one of {', '.join(KEYS)}"),
        ("max_tasks=3; max_tasks=3", "max_tasks", '"3" after "3"', "max_tasks once"),
        ("uvloop; name=rloop", "name", '"rloop" after "uvloop"', "name once"),
        ("=3", "", '"=3", which has no key', f"key=value, with one of {', '.join(KEYS)}"),
        ("", "", "nothing", 'a name, or key=value: "shared; max_tasks=100"'),
        (" \n", "", "nothing", 'a name, or key=value: "shared; max_tasks=100"'),
        ("uvloop;", "", "an empty part", ONE_SEMICOLON),
        ("shared;; ;max_tasks=3", "", "an empty part", ONE_SEMICOLON),
        ("uvloop, max_tasks=3", "uvloop, max_tasks", "an unknown key", SEMICOLON),
        ("uvloop,fair", "name", '"uvloop,fair"', SEMICOLON),
        ("shared; fair", "", '"fair"', '"scheduler=fair"'),
        ("fair; shared", "", '"shared"', '"scope=shared"'),
        ("shared; 3.11", "", '"3.11"', '"rules=3.11"'),
        ("shared; selector", "", '"selector"', '"loop=selector"'),
        ("shared; 10", "", '"10"', '"max_tasks=10"'),
        ("shared; zzz", "", '"zzz"', f"key=value, with one of {', '.join(KEYS)}"),
        ("max_tasks", "", '"max_tasks"', "max_tasks with its value: max_tasks=…"),
        ("limited", "max_tasks", "nothing", f'{ONE_OR_MORE}, which "limited" is about'),
        ("uvloop; loop=selector", "loop", '"selector", where "uvloop" says the loop already', None),
        ("asyncio; loop=selector", "loop", '"selector", where "asyncio" says the loop already', None),
        ("shared; scope=context", "scope", '"context", where "shared" says the scope already', None),
        ("fair; scheduler=fifo", "scheduler", '"fifo", where "fair" says the scheduler already', None),
        ("fifo; scheduler=fair", "scheduler", '"fair", where "fifo" says the scheduler already', None),
        ("uvloop; scheduler=fair", "scheduler", '"fair"', OWN_QUEUE),
        ("UvloopEventLoopPolicy; scheduler=fair", "scheduler", '"fair"', None),
        ("loop=rloop; scheduler=fair", "scheduler", '"fair"', None),
        ("fair; loop=uvloop", "loop", '"uvloop"', None),
    ],
)  # fmt: skip
def test_what_is_wrong_in_text(text: str, key: str, found: str, right: str | None) -> None:
    told = the_mistake(text)
    assert told[:2] == (key, found)
    assert told[2] == right if right is not None else told[2]


@pytest.mark.parametrize(
    ("table", "key", "found", "right"),
    [
        ({"max_tasks": "ten"}, "max_tasks", '"ten" (a string)', ONE_OR_MORE),
        ({"max_tasks": "10"}, "max_tasks", '"10" (a string)', f"{ONE_OR_MORE}, without quotes"),
        ({"max_tasks": 0}, "max_tasks", "0 (a whole number)", ONE_OR_MORE),
        ({"max_tasks": -1}, "max_tasks", "-1 (a whole number)", ONE_OR_MORE),
        ({"max_tasks": True}, "max_tasks", "true (a boolean)", ONE_OR_MORE),
        ({"max_tasks": 2.5}, "max_tasks", "2.5 (a number)", ONE_OR_MORE),
        ({"max_tasks": [1]}, "max_tasks", "[1] (a list)", ONE_OR_MORE),
        ({"max_tasks": 10**5000}, "max_tasks", f"{LARGEST} and more (a whole number)", TOO_LARGE),
        ({"rules": 3.11}, "rules", "3.11 (a number)", '"3.11", in quotes'),
        ({"rules": 3}, "rules", "3 (a whole number)", "one of 3.11, 3.12, 3.13, 3.14, 3.15"),
        ({"scope": {"x": 1}}, "scope", "{'x': 1} (a table)", "one of thread, context, shared"),
        ({"name": 3}, "name", "3 (a whole number)", None),
        ({"name": asyncio.SelectorEventLoop}, "name", f"{asyncio.SelectorEventLoop} (a type)", None),
        ({"loop": 3}, "loop", "3 (a whole number)", None),
        ({"loop": dict}, "loop", "<class 'dict'> (a type)", None),
        ({"scheduler": FairShares}, "scheduler", "<class 'loopwright._core._scheduling.FairShares'> (a type)", None),
        ({"scheduler": False}, "scheduler", "false (a boolean)", None),
        ({"policy": "uvloop"}, "policy", "an unknown key", "name"),
        ({"child_watcher": 1}, "child_watcher", "an unknown key", A_WATCHER),
        ({3: 3}, "3", "an unknown key", f"one of {', '.join(KEYS)}"),
        ({"name": "uvloop", "loop": "selector"}, "loop", SAID_ALREADY, None),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_table(table: dict[Any, Any], key: str, found: str, right: str | None) -> None:
    told = the_mistake(table)
    assert told[:2] == (key, found)
    assert told[2] == right if right is not None else told[2]


def test_there_is_a_reader_for_each_setting() -> None:
    assert tuple(Settings.__dataclass_fields__) == KEYS == tuple(READERS)


def test_every_policy_that_is_public_has_a_name() -> None:
    """Aliases and classes lead to the same."""
    public = {getattr(policies, name) for name in policies.__all__ if name.endswith("Policy")}
    bases = {policies.AbstractEventLoopPolicy, policies.EventLoopPolicy}
    assert set(named_policies().values()) == public - bases
    assert {
        "default",
        "uvloop",
        "rloop",
        "threaded",
        "shared",
        "context",
        "priority",
        "fair",
        "deadline",
        "limited",
    } <= set(named_policies())


@pytest.mark.parametrize("key", ["loop", "scope", "scheduler"])
def test_every_name_there_is_elsewhere_is_taken(key: str) -> None:
    names = {"loop": loop_names(), "scope": SCOPES, "scheduler": scheduler_names()}[key]
    for name in names:
        assert read(f"{key}={name}") == (Settings(**{key: name}), ())


@pytest.mark.parametrize("name", [*named_policies(), *loop_names(), *scheduler_names()])
def test_each_name_takes_what_its_class_does_and_says_the_rest(name: str) -> None:
    may, must = accepted(name)
    kind = named_policies().get(name, policies.EventLoopPolicy)
    parts: dict[str, Any] = {"scope": "thread", "scheduler": "fifo", "max_tasks": 1, "rules": "3.11", "loop": "asyncio"}
    for key, value in parts.items():
        given = {key: value, **dict.fromkeys(must - {key}, 1)}
        if kind is policies.EventLoopPolicy:
            assert (key in may) == (key != ("loop" if name in loop_names() else "scheduler"))
            continue
        try:
            kind(**given).close()
        except TypeError:  # what Python itself raises for an argument given twice
            assert key not in may
        except (LoopUnavailableError, SchedulerRefusedError):  # on this platform, or for such loops, whatever is given
            continue
        else:
            assert key in may


def test_what_is_shown_is_short_and_cannot_steer_a_terminal() -> None:
    assert show("a\x1b[2J\n\u202e\udc80") == '"a\\u001b[2J\\n\\u202E\\uDC80"'
    assert len(show("x" * 1000)) < 70
    assert len(show(list(range(1000)))) < 70
    assert show(-(10**30)) == f"-{LARGEST} and more"


def test_what_is_unfit_says_why() -> None:
    assert (Unfit("right").right, Unfit("right").found, Unfit("right", "found").found) == ("right", None, "found")
