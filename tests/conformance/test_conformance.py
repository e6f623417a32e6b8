"""CPython's own tests against our watchers, on this Python; `.ci/run` has `conform.py` do it on all of them."""

from __future__ import annotations

import ast
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from loopwright.testing import ChildWatcherContract
from tests.conformance import conform

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
slow = pytest.mark.slow
planning = conform.planning


def plans_here(make: Callable[[], list[planning.Plan]]) -> list[planning.Plan]:
    try:
        return make()
    except planning.NoTestsError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def watcher_plans() -> dict[str, planning.Plan]:
    return {plan.run: plan for plan in plans_here(lambda: planning.watcher_plans(sys.executable))}


@slow
@pytest.mark.timeout(conform.RUN_LIMIT + 30)
@pytest.mark.parametrize("run", planning.WATCHERS)
def test_cpythons_tests_pass_but_for_those_listed(run: str, watcher_plans: dict[str, planning.Plan]) -> None:
    outcome = conform.conduct(watcher_plans[run], mutant=False)
    assert conform.mistakes(outcome) == [], outcome.output
    assert "passed" in outcome.tally()


@slow
@pytest.mark.timeout(conform.MUTANT_RUN_LIMIT + 30)
@pytest.mark.parametrize("run", planning.WATCHERS)
def test_none_passes_with_our_watchers_disabled(run: str, watcher_plans: dict[str, planning.Plan]) -> None:
    outcome = conform.conduct(watcher_plans[run], mutant=True)
    assert conform.mistakes(outcome) == [], outcome.output
    # Told as a run with working watchers, it is wrong: the test that hung is not one of those listed.
    assert any("not done within" in sentence for sentence in conform.mistakes(replace(outcome, mutant=False)))


@slow
@pytest.mark.timeout(conform.RUN_LIMIT * 4)
def test_cpythons_tests_of_policies_pass_by_the_rules_of_each_version() -> None:
    """And none with our policy disabled; also where asyncio has no policies."""
    plans = plans_here(lambda: planning.policy_plans(sys.executable, absent=True))
    assert {plan.absent for plan in plans} == {False, True}
    for plan in plans:
        outcome = conform.conduct(plan, mutant=False)
        assert conform.mistakes(outcome) == [], outcome.output
        assert "passed" in outcome.tally()
        mutant = conform.conduct(plan, mutant=True)
        assert conform.mistakes(mutant) == [], mutant.output
        assert conform.mistakes(replace(mutant, mutant=False)) != []


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
    assert conform.unused([outcome({"test_events.PolicyTests.test_x": ["passed", ""]}, run="Rules")]) == []


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
    monkeypatch.setattr(planning, "version_of", lambda _: (3, 14))
    folder = tmp_path / "python3.12" / "test"
    with pytest.raises(planning.NoTestsError, match=r"pyenv install 3\.12.*LOOPWRIGHT_CPYTHON_TESTS"):
        planning.where_tests_are(sys.executable, (3, 12), (str(folder),))
    monkeypatch.setattr(planning, "version_of", lambda _: (3, 11))
    with pytest.raises(planning.NoTestsError, match=r"libpython3\.x-testsuite"):
        planning.where_tests_are("/bin/false", (3, 11))


def test_a_folder_that_is_given_counts_for_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def folder(root: str, version: str) -> str:
        tests = tmp_path / root / f"python{version}" / "test"
        (tests / "test_asyncio").mkdir(parents=True)
        (tests / "test_asyncio" / "test_subprocess.py").touch()
        return str(tests)

    one, two, three = folder("a", "3.11"), folder("b", "3.12"), folder("c", "3.12")
    monkeypatch.setattr(planning, "version_of", lambda _: (3, 15))
    monkeypatch.setenv("LOOPWRIGHT_CPYTHON_TESTS", f"{one}{os.pathsep}{two}")
    assert planning.where_tests_are("python", (3, 11)) == one
    assert planning.where_tests_are("python", (3, 12)) == two
    assert planning.where_tests_are("python", (3, 12), (three,)) == three


# --- runs of policies


def test_a_policy_run_whose_mutant_fails_is_right() -> None:
    name = "test_events.PolicyTests.test_set_event_loop"
    failed = outcome({name: ["failed", "AssertionError"]}, run="Rules", mutant=True, asked=1)
    assert conform.mistakes(failed) == []
    for wrong in (replace(failed, asked=0), replace(failed, notes={name: ["passed", ""]})):
        (mistake,) = conform.mistakes(wrong)
        assert mistake.startswith("passes with our policy disabled")
