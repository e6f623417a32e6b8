from __future__ import annotations

import re
import signal

import pytest

from loopwright._core import ExitStatus, ResourceUsage, StatusLost
from loopwright.cli._summary import Summary
from loopwright.supervision import (
    Event,
    Exited,
    Failed,
    Healthy,
    Note,
    Output,
    Restarting,
    Started,
    Stopped,
    Stopping,
)

USAGE = ResourceUsage(user_time=0.1, system_time=0.02, max_rss=12_900_000)


def started(name: str, at: float = 100.0, attempt: int = 0) -> Started:
    return Started(instance=name, at=at, pid=1, attempt=attempt)


def exited(
    name: str,
    status: ExitStatus | StatusLost,
    ran_for: float = 2.0,
    *,
    asked: bool = False,
    at: float = 102.0,
) -> Exited:
    return Exited(instance=name, at=at, pid=1, status=status, ran_for=ran_for, asked=asked)


def summary(names: list[str], events: list[Event]) -> Summary:
    made = Summary(names)
    for event in events:
        made.feed(event)
    return made


STORY: list[Event] = [
    Note(instance="", at=99, text="begins"),
    started("db"),
    started("web.1"),
    started("web.2"),
    Output(instance="db", at=101, line="a long ", continued=True),
    Output(instance="db", at=101, line="line"),
    Output(instance="db", at=101, line="a short one"),
    exited("web.1", ExitStatus(1, usage=USAGE)),
    Restarting(instance="web.1", at=102, delay=0.5, attempt=1, reason="exited with status 1"),
    started("web.1", 103, attempt=1),
    Healthy(instance="web.1", at=113),
    exited("web.2", StatusLost("somebody took it"), 3),
    Failed(instance="web.2", at=113, reason="it may not be restarted\x1b[2J"),
    Stopping(instance="db", at=114, signal=signal.SIGTERM, grace=10, reason="asked"),
    exited("db", ExitStatus(None, signal.SIGTERM, usage=USAGE), 75, asked=True, at=115),
    Stopped(instance="db", at=115),
    Note(instance="", at=115, text="ends"),
]

SHOWN = """\
service  starts  restarts  last end             ran for     CPU    memory  lines
db            1         0  SIGTERM, as asked  1 min 15 s  0.1 s  12.3 MiB      2
web.1         2         1  still runs             14.0 s  0.1 s  12.3 MiB      0
web.2         1         0  status lost             3.0 s      -         -      0
mail          0         0  never started               -      -         -      0
web.2 failed: it may not be restarted\\x1b[2J
ended because essential service web failed"""


def test_the_table_that_a_person_reads() -> None:
    made = summary(["db", "web.1", "web.2", "mail"], STORY)
    result = "ended because essential service web failed"
    shown = made.render(result, color=False, width=100)
    squeeze = [re.sub(r" +", " ", line) for line in shown.splitlines()]
    assert squeeze == [re.sub(r" +", " ", line) for line in SHOWN.splitlines()]
    header, *rows = shown.splitlines()[:5]
    assert {len(row) for row in (header, *rows)} == {len(header)}, "the columns are aligned"
    for word in ("db", "web.1", "mail"):
        assert any(row.startswith(word) for row in rows)


def test_in_colour_it_says_the_same_and_failures_are_red() -> None:
    made = summary(["db", "web.1", "web.2", "mail"], STORY)
    coloured = made.render("done", color=True, width=100)
    plain = made.render("done", color=False, width=100)
    assert [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", coloured).splitlines()] == plain.splitlines()
    assert "\x1b" not in plain
    reds = [line for line in coloured.splitlines() if "\x1b[38;5;196m" in line]
    assert len(reds) == 2  # its row and its reason
    assert all("web.2" in line for line in reds)


@pytest.mark.parametrize("variable", ["NO_COLOR", "FORCE_COLOR", "COLUMNS", "TERM"])
def test_only_what_is_asked_for_counts_and_not_the_environment(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    made = summary(["db", "web.1", "web.2", "a-service-with-a-name-that-needs-a-wide-table"], STORY)
    before = [made.render("done", color=color, width=150) for color in (True, False)]
    monkeypatch.setenv(variable, {"COLUMNS": "20", "TERM": "dumb"}.get(variable, "1"))
    assert [made.render("done", color=color, width=150) for color in (True, False)] == before


@pytest.mark.parametrize("width", [1, 40, 72, 80, 200])
def test_whatever_the_width_nothing_is_cut(width: int) -> None:
    made = summary(["db", "web.1", "web.2", "a-service-with-a-very-long-name"], STORY)
    result = "ended because essential service web failed, after having run for quite a while and quite well"
    shown = made.render(result, color=False, width=width)
    for word in (
        "service",
        "restarts",
        "SIGTERM,",
        "asked",
        "never",
        "12.3 MiB",
        "1 min 15 s",
        "\\x1b[2J",
        result,
    ):
        assert word in shown


def test_two_hundred_services_of_the_same_story_share_a_row_and_the_odd_one_has_its_own() -> None:
    names = ["db", *(f"web.{number}" for number in range(1, 200))]
    made = Summary(names)
    for name in names:
        made.feed(started(name))
        made.feed(Output(instance=name, at=101, line="x"))
        code = 3 if name == "web.77" else 0
        made.feed(exited(name, ExitStatus(code, usage=USAGE), 0.5))
    shown = made.render("done", color=False, width=100).splitlines()
    assert [line.split("  ")[0] for line in shown] == [
        "service",
        "db",
        "web.1-76 (76)",
        "web.77",
        "web.78-199 (122)",
        "done",
    ]
    assert shown[4].split()[2:] == [
        "122",
        "0",
        "status",
        "0",
        "1",
        "min",
        "1",
        "s",
        "14.6",
        "s",
        "12.3",
        "MiB",
        "122",
    ]


def test_two_hundred_different_services_have_a_row_each() -> None:
    made = Summary(f"service-{number}" for number in range(200))
    assert len(made.render("done", color=False, width=100).splitlines()) == 202


def test_a_few_rows_are_never_merged() -> None:
    names = [f"web.{number}" for number in range(1, 25)]
    made = summary(names, [started(name) for name in names])
    assert len(made.render("done", color=False, width=100).splitlines()) == 26


def test_a_restart_that_never_came_is_not_counted() -> None:
    waiting = [
        started("db"),
        exited("db", ExitStatus(1)),
        Restarting(instance="db", at=102, delay=60, attempt=1, reason="exited with status 1"),
    ]
    row = summary(["db"], waiting).render("done", color=False, width=100).splitlines()[1].split()
    assert row[:3] == ["db", "1", "0"]


def test_a_failure_of_the_supervisor_itself_has_its_name() -> None:
    made = summary(["db"], [Failed(instance="", at=1, reason="no more descriptors")])
    assert "loopwright failed: no more descriptors" in made.render("done", color=False, width=100).splitlines()
