"""Patterns on lines: which match, and how many of a storm are told."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from loopwright.supervision import ServiceSpec
from loopwright.supervision._patterns import SHOWN, TOLD_A_SECOND, OutputWatch, compiled


def test_without_patterns_there_is_nothing_to_look_for() -> None:
    assert not OutputWatch((), ())
    assert OutputWatch((), ("a",))
    assert OutputWatch(("a",), ())


@pytest.mark.parametrize(
    ("line", "pattern", "restarts"),
    [
        ("an ERROR", "ERROR|CRITICAL", False),
        ("Warning: 7", r"(?i)warning: \d+$", False),
        ("out of memory", "^out of memory", True),
        ("out of memory: ERROR", "^out of memory", True),
        ("caf\\xe9 is no UTF-8", r"\\xe9", False),
        ("all out of memory", None, False),
        ("error", None, False),
        ("", None, False),
    ],
)
def test_a_line_is_searched_and_a_restart_weighs_more(line: str, pattern: str | None, restarts: bool) -> None:
    watch = OutputWatch(("^out of memory",), ("ERROR|CRITICAL", r"(?i)warning: \d+$", r"\\xe9"))
    found = watch.look(line, 0.0, due=True)
    assert (found.pattern if found else None) == pattern
    assert found is None or (found.line, found.restarts, found.told, found.untold) == (line, restarts, True, 0)


def test_of_a_storm_so_many_a_second_are_told_and_the_rest_is_counted() -> None:
    watch = OutputWatch((), ("E",))
    told = [watch.look("E", 5.0 + number / 1000, due=True) for number in range(1000)]
    assert [found.told for found in told if found] == [True] * TOLD_A_SECOND + [False] * (1000 - TOLD_A_SECOND)
    later = watch.look("E", 6.0, due=True)
    assert later is not None
    assert (later.told, later.untold) == (True, 1000 - TOLD_A_SECOND)
    assert watch.take_untold() == 0


def test_what_was_never_told_can_be_asked_for_once() -> None:
    watch = OutputWatch((), ("E",))
    for _ in range(TOLD_A_SECOND + 3):
        watch.look("E", 0.0, due=False)
    assert [watch.take_untold(), watch.take_untold()] == [3, 0]


@pytest.mark.parametrize("due", [True, False])
def test_what_restarts_is_told_in_any_storm_if_it_is_new(due: bool) -> None:
    watch = OutputWatch(("fatal",), ("E",))
    for _ in range(TOLD_A_SECOND + 3):
        watch.look("E", 0.0, due=due)
    found = watch.look("fatal", 0.0, due=due)
    assert found is not None
    assert (found.told, found.untold) == ((True, 3) if due else (False, 0))


@pytest.mark.parametrize("at", [0, 30, 5_000, 60_000])
def test_of_a_long_line_a_part_with_the_match_is_told(at: int) -> None:
    found = OutputWatch((), ("ERROR",)).look("x" * at + "ERROR" + "y" * (60_000 - at), 0.0, due=True)
    assert found is not None
    assert len(found.line) == SHOWN
    assert "ERROR" in found.line


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("", "it is empty"),
        ("(", "missing ), unterminated subpattern at position 0"),
        ("[a", "unterminated character set at position 0"),
        ("a{99999999999}", "the repetition number is too large"),
    ],
)
@pytest.mark.parametrize("option", ["restart_on_output", "tell_on_output"])
def test_what_is_no_pattern_is_refused_with_service_and_pattern(option: str, pattern: str, why: str) -> None:
    options: dict[str, Any] = {option: ("fine", pattern)}
    with pytest.raises(ValueError, match="no regular expression") as caught:
        ServiceSpec("web", ("program",), **options)
    said = str(caught.value)
    assert said.startswith(f"service 'web': {option} has {pattern!r}, ")
    assert why in said


@pytest.mark.parametrize("option", ["restart_on_output", "tell_on_output"])
@pytest.mark.parametrize("wrong", ["ERROR", ["ERROR"], (b"ERROR",)])
def test_patterns_are_a_tuple_of_text(option: str, wrong: Any) -> None:
    with pytest.raises(TypeError, match=option):
        ServiceSpec("web", ("program",), **{option: wrong})


def test_a_pattern_that_python_doubts_is_refused_where_warnings_are_errors_and_only_there() -> None:
    doubtful = "[[a]x"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match="nested set"):
            compiled(doubtful)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert compiled(doubtful).search("[x")
