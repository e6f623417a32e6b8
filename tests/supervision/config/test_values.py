from __future__ import annotations

import math
import signal
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.supervision.config import _values
from loopwright.supervision.config._mistakes import Unfit, WrittenFloat


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("10s", 10.0),
        ("500ms", 0.5),
        ("1.5s", 1.5),
        ("2m", 120.0),
        ("1h", 3600.0),
        ("1m30s", 90.0),
        ("1h2m3s4ms", 3723.004),
        ("0s", 0.0),
        (0, 0.0),
        (3, 3.0),
        (WrittenFloat("0.25"), 0.25),
    ],
)
def test_durations(written, seconds):
    assert _values.seconds(written) == pytest.approx(seconds, abs=1e-9)
    assert type(_values.seconds(written)) is float


@pytest.mark.parametrize(
    "written",
    [
        *["", "10", "s", "ms", "1d", "10 s", "-1s", "+1s", "1s1m", "1s2s", "1ms1s", "1e3s", ".5s", "1.s", "infs", "٣s"],
        *["1S", "9" * 400 + "s", 10**19, WrittenFloat("inf"), WrittenFloat("-inf"), WrittenFloat("nan")],
    ],
)
def test_what_is_no_duration(written):
    with pytest.raises(Unfit):
        _values.seconds(written)


@given(st.tuples(*[st.integers(0, 10_000)] * 4))
def test_a_duration_is_the_sum_of_its_parts(parts):
    hours, minutes, seconds, milliseconds = parts
    expected = hours * 3600 + minutes * 60 + seconds + milliseconds / 1000
    assert math.isclose(_values.seconds(f"{hours}h{minutes}m{seconds}s{milliseconds}ms"), expected)


@pytest.mark.parametrize("written", ["SIGTERM", "TERM", "sigterm", "Term", 15])
def test_a_signal_by_any_of_its_names(written):
    assert _values.stop_signal(written) == signal.SIGTERM


def test_sigkill_may_be_the_stop_signal():
    assert _values.stop_signal("KILL") == signal.SIGKILL


@pytest.mark.parametrize("written", ["SIGSTOP", "STOP", 19, "SIGCONT", "cont"])
def test_signals_that_end_nothing_are_refused(written):
    with pytest.raises(Unfit) as caught:
        _values.stop_signal(written)
    assert "asks a program to end" in caught.value.right


@pytest.mark.parametrize(("written", "near"), [("SIGTREM", '"SIGTERM"'), ("INTT", '"INT"'), ("QUI", '"QUIT"')])
def test_a_misspelt_signal_is_answered_with_the_nearest(written, near):
    with pytest.raises(Unfit) as caught:
        _values.stop_signal(written)
    assert caught.value.right == near


@pytest.mark.parametrize(
    ("written", "command"),
    [
        ("python web.py --port 8080", ["python", "web.py", "--port", "8080"]),
        ("sh -c 'a b' \"c d\" e\\ f", ["sh", "-c", "a b", "c d", "e f"]),
        ("echo # not a comment", ["echo", "#", "not", "a", "comment"]),
        (["a b", ""], ["a b", ""]),
        ("@python web.py", [sys.executable, "web.py"]),
        (["@python", "@python"], [sys.executable, "@python"]),
        ("", []),
    ],
)
def test_a_command_is_split_as_a_shell_would(written, command):
    assert _values.command(written) == command


@pytest.mark.parametrize(
    "written", ["echo 'a", 'echo "a', "echo a\\", "'' a", ["", "a"], ["a", 1], ["a\0b"], "a\0b", "@pyhton a", "@"]
)
def test_what_is_no_command(written):
    with pytest.raises(Unfit):
        _values.command(written)


@pytest.mark.parametrize(
    ("written", "patterns"), [("ERROR|a b", ["ERROR|a b"]), (["a", "(?i)b"], ["a", "(?i)b"]), ([], []), (1, 1)]
)
def test_patterns_are_a_list_or_just_one(written, patterns):
    assert _values.patterns(written) == patterns


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("(", '"(", which cannot be used: "missing ), unterminated subpattern at position 0"'),
        (["a", "*"], '"*", which cannot be used: "nothing to repeat at position 0"'),
        ("", '"", which cannot be used: "it is empty, and so would match every line"'),
        (["a", 1], '1 (a whole number) in ["a", 1]'),
    ],
)
def test_what_is_no_pattern(written, found):
    with pytest.raises(Unfit) as caught:
        _values.patterns(written)
    assert caught.value.found == found


@pytest.mark.parametrize(
    ("written", "text"),
    [("8080", "8080"), (8080, "8080"), (WrittenFloat("1.10"), "1.10"), (WrittenFloat("1_000.5"), "1000.5"), ("", "")],
)
def test_environment_values_are_text_as_it_was_written(written, text):
    assert _values.text(written) == text


@pytest.mark.parametrize("written", [True, False, "a\0b", 2**63])
def test_what_is_no_environment_value(written):
    with pytest.raises(Unfit):
        _values.text(written)


@pytest.mark.parametrize("name", ["", "A=B", "A\0"])
def test_what_names_no_variable(name):
    with pytest.raises(Unfit):
        _values.variable(name)


@pytest.mark.parametrize("written", ["", "  ", "a\nb", "\x1b[2J"])
def test_what_does_not_stand_on_one_line(written):
    with pytest.raises(Unfit):
        _values.line(written)
