from __future__ import annotations

import itertools
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright import supervision
from loopwright._core import ExitStatus, ResourceUsage, StatusLost
from loopwright.cli import _render
from loopwright.cli._render import FAILURE, PALETTE, WARNING, Renderer, duration, size, use_color
from loopwright.process import Guarantee
from loopwright.supervision import (
    Event,
    Exited,
    Failed,
    Finished,
    Healthy,
    LevelFell,
    Note,
    Output,
    OutputMatched,
    Restarting,
    Started,
    Stopped,
    Stopping,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

NOON = 1_735_819_201.123  # 2025-01-02 12:00:01.123 UTC
NAMES = ["db", "web.1", "web.2", "flaky"]
USAGE = ResourceUsage(user_time=0.1, system_time=0.02, max_rss=12_900_000)


@pytest.fixture(autouse=True)
def _two_hours_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "<+0200>-2")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def exited(instance: str, status: ExitStatus | StatusLost, ran_for: float, *, asked: bool = False) -> Exited:
    return Exited(instance=instance, at=NOON, pid=7, status=status, ran_for=ran_for, asked=asked)


STORY: list[tuple[Event, str]] = [
    (Note(instance="", at=NOON, text="3 services", warning=False), "loopwright * 3 services"),
    (
        LevelFell(instance="", at=NOON, was=Guarantee.CGROUP, now=Guarantee.GROUP, reason="the keeper was killed"),
        (
            "loopwright * what services leave was ended to level b (cgroup), and is to no level (its group alone) from "
            "now on: the keeper was killed"
        ),
    ),
    (Note(instance="web.1", at=NOON, text="left: process 9"), "web.1      * left: process 9"),
    (Started(instance="db", at=NOON, pid=4711, attempt=0), "db         * started, process 4711"),
    (Output(instance="db", at=NOON, line="ready\r"), "db         | ready"),
    (Output(instance="db", at=NOON, line=""), "db         |"),
    (Output(instance="web.1", at=NOON, line="a very ", continued=True), "web.1      + a very "),
    (Output(instance="web.1", at=NOON, line="long line"), "web.1      | long line"),
    (Output(instance="web.2", at=NOON, line="\x1b[31mcol\x1b[0mour\x1b[H"), r"web.2      | colour\x1b[H"),
    (
        exited("flaky", ExitStatus(1, usage=USAGE), 0.3),
        "flaky      * exited with status 1 after 0.3 s; used 0.1 s of CPU and 12.3 MiB of memory",
    ),
    (
        Restarting(instance="flaky", at=NOON, delay=0.5, attempt=1, reason="exited with status 1 after 0.3 s"),
        "flaky      * exited with status 1 after 0.3 s; restart 1, in 0.5 s",
    ),
    (
        Restarting(instance="flaky", at=NOON, delay=1.9, attempt=3, reason="exited with status 1 after 0.3 s"),
        "flaky      * exited with status 1 after 0.3 s; restart 3 in a row, in 1.9 s",
    ),
    (
        Restarting(instance="flaky", at=NOON, delay=90, attempt=9, reason="was ended by SIGSEGV after 2.0 s"),
        "flaky      * was ended by SIGSEGV after 2.0 s; restart 9 in a row, in 1 min 30 s, at 14:01:31",
    ),
    (
        Restarting(instance="flaky", at=NOON, delay=0, attempt=2, reason="exited with status 0 after 9.0 s"),
        "flaky      * exited with status 0 after 9.0 s; restart 2 in a row, at once",
    ),
    (
        Started(instance="flaky", at=NOON, pid=4712, attempt=3),
        "flaky      * started again, process 4712 (restart 3 in a row)",
    ),
    (
        Healthy(instance="flaky", at=NOON),
        "flaky      * has run well for long enough; its earlier failures are forgotten",
    ),
    (
        Failed(instance="flaky", at=NOON, reason="5 restarts in a row"),
        "flaky      * failed: 5 restarts in a row; it will not be started again",
    ),
    (
        Stopping(instance="db", at=NOON, signal=signal.SIGTERM, grace=10, reason="asked to stop"),
        "db         * sent SIGTERM: asked to stop; SIGKILL follows in 10 s unless it ends",
    ),
    (
        exited("db", ExitStatus(None, signal.SIGTERM), 75.2, asked=True),
        "db         * was ended by SIGTERM as asked after 1 min 15 s",
    ),
    (
        Stopping(instance="web.1", at=NOON, signal=signal.SIGKILL, grace=0, reason="it has had its 10 s"),
        "web.1      * sent SIGKILL: it has had its 10 s",
    ),
    (
        exited("web.2", StatusLost("SIGCHLD is ignored in this program", usage=None), 4),
        "web.2      * ended after 4.0 s, its status lost: SIGCHLD is ignored in this program",
    ),
    (
        OutputMatched(instance="db", at=NOON, line="\x1b[31man\rERROR", pattern="ERR.R", restarts=False, untold=0),
        "db         * its output matched 'ERR.R': an\\rERROR",
    ),
    (
        OutputMatched(instance="db", at=NOON, line="ERROR", pattern="E\n?", restarts=True, untold=490),
        "db         * its output matched 'E\\n?': ERROR (and 490 more before, too many within a second to tell)",
    ),
    (Stopped(instance="db", at=NOON), "db         * stopped, nothing of it is left"),
    (Finished(instance="db", at=NOON), "db         * finished; it will not be started again"),
]


@pytest.mark.parametrize(("event", "text"), STORY)
def test_plain_lines_have_the_whole_time_and_no_escape_codes(event: Event, text: str) -> None:
    assert Renderer(NAMES, color=False).render(event) == f"2025-01-02T14:00:01.123+02:00 {text}"


@pytest.mark.parametrize(("event", "text"), STORY)
def test_coloured_lines_say_the_same(event: Event, text: str) -> None:
    shown = Renderer(NAMES, color=True).render(event)
    assert re.sub(r"\x1b\[[0-9;]*m", "", shown) == f"14:00:01.123 {text}"
    assert "\x1b[" in shown


def test_every_kind_of_event_is_in_the_story() -> None:
    named = [getattr(supervision, name) for name in supervision.__all__]
    kinds = {kind for kind in named if isinstance(kind, type) and issubclass(kind, Event)} - {Event}
    assert len(kinds) >= 10
    assert {type(event) for event, _ in STORY} == kinds


def test_an_event_nobody_has_words_for_is_not_passed_over() -> None:
    with pytest.raises(TypeError, match="no words for Event"):
        Renderer(NAMES, color=False).render(Event(instance="db", at=NOON))


def test_an_alarm_is_coloured_by_how_bad_it_is_and_the_rest_is_not() -> None:
    renderer = Renderer(NAMES, color=True)
    for event, _ in STORY:
        shown = renderer.render(event)
        after_name = shown.partition("*")[0].rpartition(" ")[2] if not isinstance(event, Output) else ""
        expected = {Failed: FAILURE, LevelFell: FAILURE}.get(type(event))
        if isinstance(event, Note | OutputMatched | Restarting):
            expected = WARNING
        if isinstance(event, Note) and not event.warning:
            expected = None
        if isinstance(event, Exited) and not event.asked:
            expected = WARNING
        if isinstance(event, Stopping) and event.signal == signal.SIGKILL:
            expected = WARNING
        assert after_name == (f"\x1b[38;5;{expected}m" if expected else "")


def test_a_note_of_several_lines_is_several_lines_and_its_escapes_are_disarmed() -> None:
    note = Note(instance="", at=NOON, text="two left:\n\x1b[2J1\n2")
    assert Renderer([], color=False).render(note) == (
        "2025-01-02T14:00:01.123+02:00 loopwright * two left:\n"
        "2025-01-02T14:00:01.123+02:00 loopwright * \\x1b[2J1\n"
        "2025-01-02T14:00:01.123+02:00 loopwright * 2"
    )


def test_milliseconds_are_rounded_and_carried() -> None:
    renderer = Renderer(["db"], color=False)
    shown = [renderer.render(Output(instance="db", at=at, line="x"))[:23] for at in (59.9994, 59.9996, 60.0)]
    assert shown == ["1970-01-01T02:00:59.999", "1970-01-01T02:01:00.000", "1970-01-01T02:01:00.000"]


def test_names_are_padded_to_the_longest_and_a_late_one_still_shows() -> None:
    renderer = Renderer(["a", "recommendations.12"], color=False)
    assert renderer.render(Output(instance="a", at=NOON, line="x")).endswith(" a                  | x")
    assert renderer.render(Output(instance="b", at=NOON, line="x")).endswith(" b                  | x")


def colour_of(renderer: Renderer, instance: str) -> int:
    found = re.search(r" \x1b\[38;5;(\d+)m", renderer.render(Output(instance=instance, at=NOON, line="x")))
    assert found
    return int(found[1])


def test_instances_of_a_service_share_its_colour_and_a_new_service_changes_no_other() -> None:
    before, after = (
        Renderer(["web.1", "web.2", "db"], color=True),
        Renderer(["web.1", "db", "new"], color=True),
    )
    assert colour_of(before, "web.1") == colour_of(before, "web.2")
    assert colour_of(before, "web.1") == colour_of(after, "web.1")
    assert colour_of(before, "db") == colour_of(after, "db")


@given(st.lists(st.from_regex(r"[a-z0-9]{1,3}", fullmatch=True), unique=True, max_size=40))
def test_colours_repeat_only_when_there_are_no_more_and_never_next_to_each_other(names: list[str]) -> None:
    renderer = Renderer(names, color=True)
    colours = [colour_of(renderer, name) for name in names]
    assert len(set(colours[: len(PALETTE)])) == min(len(names), len(PALETTE))
    assert all(one != other for one, other in itertools.pairwise(colours))


def luminance(red: int, green: int, blue: int) -> float:
    """Relative luminance (WCAG 2.1)."""
    parts = [part / 255 for part in (red, green, blue)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("ground", [(0, 0, 0), (30, 30, 30), (255, 255, 255), (253, 246, 227)])
def test_colours_can_be_read_on_dark_and_on_light(ground: tuple[int, int, int]) -> None:
    steps = (0, 95, 135, 175, 215, 255)  # xterm's cube; above it, a ramp of greys
    behind = luminance(*ground)
    for colour in (*PALETTE, WARNING, FAILURE, _render._GREY):
        cube = colour - 16
        grey = 8 + 10 * (colour - 232)
        rgb = (steps[cube // 36], steps[cube // 6 % 6], steps[cube % 6]) if colour < 232 else (grey, grey, grey)
        darker, lighter = sorted((luminance(*rgb), behind))
        assert (lighter + 0.05) / (darker + 0.05) >= 3, colour


@pytest.mark.parametrize(
    ("choice", "terminal", "environ", "expected"),
    [
        ("auto", True, {"TERM": "xterm-256color"}, True),
        ("auto", False, {"TERM": "xterm-256color"}, False),
        ("auto", True, {"TERM": "dumb"}, False),
        ("auto", True, {"NO_COLOR": "1"}, False),
        ("auto", True, {"NO_COLOR": ""}, True),
        ("auto", True, {"CLICOLOR": "0"}, False),
        ("auto", False, {"FORCE_COLOR": "1"}, True),
        ("auto", False, {"FORCE_COLOR": "0"}, False),
        ("auto", False, {"CLICOLOR_FORCE": "1"}, True),
        ("auto", False, {"CLICOLOR_FORCE": "0"}, False),
        ("auto", True, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        ("always", False, {"NO_COLOR": "1", "TERM": "dumb"}, True),
        ("never", True, {"FORCE_COLOR": "1"}, False),
    ],
)
def test_whether_to_colour(choice: str, terminal: bool, environ: dict[str, str], expected: bool) -> None:
    assert use_color(choice, terminal=terminal, environ=environ) is expected


def test_another_choice_is_refused() -> None:
    with pytest.raises(ValueError, match="auto, always or never, not 'sometimes'"):
        use_color("sometimes", terminal=True, environ={})


SCRIPT = """
import os
from loopwright.cli._render import Renderer, use_color
from loopwright.supervision import Output
color = use_color("auto", terminal=os.isatty(1), environ=os.environ)
print(Renderer(["web"], color=color).render(Output(instance="web", at=0, line="\\x1b[32mhello")))
"""


def run_script(stdout: int) -> None:
    environ = {"PATH": os.environ["PATH"], "TERM": "xterm", "TZ": "UTC"}
    environ["PYTHONPATH"] = str(Path(_render.__file__).parents[2])
    subprocess.run([sys.executable, "-c", SCRIPT], stdout=stdout, env=environ, check=True, timeout=30)


def test_a_real_terminal_gets_colours() -> None:
    master, slave = pty.openpty()
    try:
        run_script(slave)
        written = b""
        while not written.endswith(b"\n"):  # the kernel may give the end of the line by itself
            written += os.read(master, 1000)
        shown = written.decode()
    finally:
        os.close(master)
        os.close(slave)
    assert shown.startswith("\x1b[38;5;244m00:00:00.000\x1b[0m \x1b[38;5;")
    assert shown.endswith("web        |\x1b[0m \x1b[32mhello\x1b[0m\r\n")


def test_a_real_pipe_gets_none() -> None:
    reading, writing = os.pipe()
    try:
        run_script(writing)
        shown = os.read(reading, 1000).decode()
    finally:
        os.close(reading)
        os.close(writing)
    assert shown == "1970-01-01T00:00:00.000+00:00 web        | hello\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.0004, "0 ms"),
        (0.0994, "99 ms"),
        (0.0996, "0.1 s"),
        (0.34, "0.3 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 0 s"),
        (125.4, "2 min 5 s"),
        (3599.7, "1 h 0 min"),
        (11_540, "3 h 12 min"),
        (86_399.9, "1 d 0 h"),
        (1e6, "11 d 13 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (12_900_000, "12.3 MiB"),
        (3 << 29, "1.5 GiB"),
        (5 << 40, "5120.0 GiB"),
    ],
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text
