from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from loopwright.supervision.config import Mistake
from loopwright.supervision.config._mistakes import Findings, WrittenFloat, dotted, found, show

FILE = Path("loopwright.toml")


def test_a_mistake_is_one_clear_line():
    mistake = Mistake(FILE, "services.web.instances", '"two" (a string)', "a whole number from 1 to 1000")
    assert str(mistake) == (
        'loopwright.toml: services.web.instances: found "two" (a string); right would be a whole number from 1 to 1000'
    )


def test_a_mistake_of_the_file_itself_has_no_key():
    assert (
        str(Mistake(FILE, "", "no such file", "a file")) == "loopwright.toml: found no such file; right would be a file"
    )


def test_a_file_with_a_line_break_in_its_name_stays_on_one_line():
    assert str(Mistake(Path("a\nb"), "k", "x", "y")) == "a\\u000Ab: k: found x; right would be y"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("two", '"two" (a string)'),
        ("a\n\x1b[31m\x9b", '"a\\n\\u001b[31m\\u009B" (a string)'),
        (True, "true (a boolean)"),
        (3, "3 (a whole number)"),
        (-(2**63), "less than -9223372036854775807 (a whole number)"),
        pytest.param(16**9000, "more than 9223372036854775807 (a whole number)", id="huge"),
        (WrittenFloat("1_0.50"), "10.50 (a number)"),
        (WrittenFloat("inf"), "inf (a number)"),
        (datetime.datetime(1979, 5, 27, 7, 32), "1979-05-27T07:32:00 (a date and time)"),
        (datetime.date(1979, 5, 27), "1979-05-27 (a date)"),
        (datetime.time(7, 32), "07:32:00 (a time)"),
        ([1, "x", [2], {"a": 1}], '[1, "x", […], { … }] (a list)'),
        ({"a b": 1, "c": [1]}, '{ "a b" = 1, c = […] } (a table)'),
    ],
)
def test_values_are_shown_as_toml_has_them(value, shown):
    assert found(value) == shown


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("x" * 100_000, id="string"),
        pytest.param(list(range(100_000)), id="list"),
        pytest.param({str(n): "y" * 1000 for n in range(1000)}, id="table"),
        pytest.param(WrittenFloat("1." + "1" * 999), id="number"),
    ],
)
def test_long_values_are_shortened(value):
    assert len(show(value)) < 120
    assert "…" in show(value)


def test_keys_are_in_quotes_where_toml_wants_them():
    assert dotted(("services", "my web", "a-b_1", "")) == 'services."my web".a-b_1.""'


def test_findings_come_in_the_order_of_the_file_and_missing_keys_where_their_table_begins():
    document = {"b": {"y": {"n": 1}, "x": 2}, "a": 1}
    findings = Findings(FILE)
    assert not findings
    for where in (("a",), ("b", "x"), ("b", "y", "n"), ("b", "missing"), ("b", "y"), ("missing",)):
        findings.add(where, "this", "that")
    assert findings
    keys = [mistake.key for mistake in findings.in_order(document)]
    assert keys == ["missing", "b.missing", "b.y", "b.y.n", "b.x", "a"]
