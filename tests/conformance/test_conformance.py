"""CPython's own tests against our watchers, on this Python; `.ci/run` has `conform.py` do it on all of them."""

from __future__ import annotations

import ast
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from loopwright.testing import ChildWatcherContract
from tests.conformance import conform

ROOT = Path(__file__).parents[2]
slow = pytest.mark.slow


@pytest.fixture(scope="module")
def tests_folder() -> str | None:
    try:
        return conform.where_tests_are(sys.executable)
    except conform.NoTestsError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@slow
@pytest.mark.timeout(conform.RUN_LIMIT + 30)
@pytest.mark.parametrize("run", conform.RUNS)
def test_cpythons_tests_pass_but_for_those_listed(run: str, tests_folder: str | None) -> None:
    outcome = conform.conduct(sys.executable, run, tests_folder, mutant=False)
    assert conform.mistakes(outcome) == [], outcome.output
    assert "passed" in outcome.tally()


@slow
@pytest.mark.timeout(conform.MUTANT_RUN_LIMIT + 30)
@pytest.mark.parametrize("run", conform.RUNS)
def test_none_passes_with_our_watchers_disabled(run: str, tests_folder: str | None) -> None:
    outcome = conform.conduct(sys.executable, run, tests_folder, mutant=True)
    assert conform.mistakes(outcome) == [], outcome.output
    # Told as a run with working watchers, it is wrong: the test that hung is not one of those listed.
    assert any("not done within" in sentence for sentence in conform.mistakes(replace(outcome, mutant=False)))


# --- what counts as passing


def outcome(notes: dict[str, list[str]] | None, **others: object) -> conform.Outcome:
    made = conform.Outcome("Safe", "3.12.1", "3.12", False, 1.0, notes, "ended with status 0; ...")
    return replace(made, **others)  # type: ignore[arg-type]


LISTED = "test_unix_events.SafeChildWatcherTests.test_sigchld"
ALL_LISTED = {
    different.test: ["failed", "AttributeError"]
    for different in conform.differences()
    if different.test.startswith("test_unix_events.SafeChildWatcherTests.")
}
GOOD = {"test_subprocess.SubprocessSafeWatcherTests.test_kill": ["passed", ""], **ALL_LISTED}


def test_all_as_listed_is_right() -> None:
    assert conform.mistakes(outcome(GOOD)) == []


@pytest.mark.parametrize(
    ("notes", "said"),
    [
        (None, "the run gave no results"),
        ({}, "no test was run"),
        (GOOD | {"test_subprocess.SubprocessSafeWatcherTests.test_kill": ["failed", "why"]}, "test_kill failed:\nwhy"),
        (GOOD | {"test_subprocess.SubprocessSafeWatcherTests.test_kill": ["skipped", "why"]}, "was skipped: why"),
        (GOOD | {LISTED: ["passed", ""]}, "test_sigchld passes, but stands in differences.toml"),
        ({name: note for name, note in GOOD.items() if name != LISTED}, "and CPython has no such test"),
    ],
)
def test_anything_else_is_wrong(notes: dict[str, list[str]] | None, said: str) -> None:
    (mistake,) = conform.mistakes(outcome(notes))
    assert said in mistake


@pytest.mark.parametrize(
    ("notes", "asked"),
    [
        (GOOD, 1),  # passes
        (GOOD | {"test_subprocess.SubprocessSafeWatcherTests.test_kill": ["failed", "ImportError: no"]}, 1),
        (GOOD | {LISTED: ["failed", conform.TIMED_OUT]}, 1),  # would fail without it, too
        (GOOD | {"test_subprocess.SubprocessSafeWatcherTests.test_kill": ["failed", conform.TIMED_OUT]}, 0),
    ],
)
def test_a_mutant_must_hang_for_want_of_a_watcher(notes: dict[str, list[str]], asked: int) -> None:
    (mistake,) = conform.mistakes(outcome(notes, mutant=True, asked=asked))
    assert mistake.startswith("passes with every watcher disabled")


def test_a_mutant_that_does_is_right() -> None:
    notes = GOOD | {"test_subprocess.SubprocessSafeWatcherTests.test_kill": ["failed", conform.TIMED_OUT]}
    assert conform.mistakes(outcome(notes, mutant=True, asked=1)) == []


def test_what_stands_in_the_table_and_is_never_met_is_told() -> None:
    told = conform.unused([outcome(GOOD)])
    assert f"{LISTED} of 3.12 stands in differences.toml, and no run has it" not in told
    assert any("PolicyTests.test_get_default_child_watcher of 3.12 stands" in sentence for sentence in told)
    assert not any(" of 3.11 stands" in sentence for sentence in told)


# --- the table


@pytest.mark.parametrize("different", conform.differences(), ids=lambda different: different.test)
def test_what_is_listed_is_checked_by_a_test_of_ours(different: conform.Difference) -> None:
    where, _, name = different.ours.partition(": ")
    if where == "contract":
        assert callable(getattr(ChildWatcherContract, name))
        return
    functions = [node.name for node in ast.parse((ROOT / where).read_text()).body if isinstance(node, ast.FunctionDef)]
    assert name in functions
    assert different.why.endswith(".")


def test_each_is_listed_once() -> None:
    listed = [(different.test, version) for different in conform.differences() for version in different.tests_of]
    assert len(listed) == len(set(listed))


def test_missing_tests_are_told_with_the_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conform, "version_of", lambda _: (3, 14))
    with pytest.raises(conform.NoTestsError, match=r"pyenv install 3\.12.*LOOPWRIGHT_CPYTHON_TESTS"):
        conform.where_tests_are(sys.executable, str(tmp_path))
    monkeypatch.setattr(conform, "version_of", lambda _: (3, 11))
    with pytest.raises(conform.NoTestsError, match=r"libpython3\.x-testsuite"):
        conform.where_tests_are("/bin/false")
