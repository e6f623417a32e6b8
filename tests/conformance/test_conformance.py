"""CPython's own tests against ours, on this Python; `.ci/run` has `conform.py` do it on all of them."""

from __future__ import annotations

import ast
import json
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
planning, judging = conform.planning, conform.judging


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
    assert judging.mistakes(outcome) == [], outcome.output
    assert "passed" in outcome.tally()


@slow
@pytest.mark.timeout(conform.MUTANT_RUN_LIMIT + 30)
@pytest.mark.parametrize("run", planning.WATCHERS)
def test_none_passes_with_our_watchers_disabled(run: str, watcher_plans: dict[str, planning.Plan]) -> None:
    outcome = conform.conduct(watcher_plans[run], mutant=True)
    assert judging.mistakes(outcome) == [], outcome.output
    # Told as a run with working watchers, it is wrong: the test that hung is not one of those listed.
    assert any("not done within" in sentence for sentence in judging.mistakes(replace(outcome, mutant=False)))


@slow
@pytest.mark.timeout(conform.RUN_LIMIT * 4)
def test_cpythons_tests_of_policies_pass_by_the_rules_of_each_version() -> None:
    """And none with our policy disabled; also where asyncio has no policies."""
    plans = plans_here(lambda: planning.policy_plans(sys.executable, absent=True))
    assert {plan.absent for plan in plans} == {False, True}
    for plan in plans:
        outcome = conform.conduct(plan, mutant=False)
        assert judging.mistakes(outcome) == [], outcome.output
        assert "passed" in outcome.tally()
        mutant = conform.conduct(plan, mutant=True)
        assert judging.mistakes(mutant) == [], mutant.output
        assert judging.mistakes(replace(mutant, mutant=False)) != []


@pytest.fixture(scope="module")
def loop_plans() -> dict[str, planning.Plan]:
    return {plan.run: plan for plan in plans_here(lambda: planning.loop_plans(sys.executable))}


@slow
@pytest.mark.timeout(conform.RUN_LIMIT + 30)
@pytest.mark.parametrize("run", planning.LOOPS)
def test_cpythons_tests_of_loops_pass_on_ours_but_for_those_listed(
    run: str, loop_plans: dict[str, planning.Plan]
) -> None:
    outcome = conform.conduct(loop_plans[run], mutant=False)
    assert judging.mistakes(outcome) == [], outcome.output
    assert "passed" in outcome.tally()
    assert sum(outcome.made.values()) >= len(outcome.made)


@slow
@pytest.mark.timeout(conform.MUTANT_RUN_LIMIT + 30)
@pytest.mark.parametrize("run", planning.LOOPS)
def test_none_passes_on_a_loop_that_forgets_callbacks(run: str, loop_plans: dict[str, planning.Plan]) -> None:
    outcome = conform.conduct(loop_plans[run], mutant=True)
    assert judging.mistakes(outcome) == [], outcome.output
    assert judging.mistakes(replace(outcome, mutant=False)) != []


@slow
@pytest.mark.timeout(conform.RUN_LIMIT + 30)
def test_asyncios_own_loop_passes_all_of_a_run() -> None:
    """Whatever fails on ours is not the fault of how the tests are run."""
    plans = plans_here(lambda: planning.loop_plans(sys.executable, "asyncio"))
    (plan,) = [plan for plan in plans if plan.run == "sockets"]
    outcome = conform.conduct(plan, mutant=False)
    assert judging.mistakes(outcome) == [], outcome.output


# --- what counts as passing


def outcome(notes: dict[str, list[str]] | None, **others: object) -> judging.Outcome:
    made = judging.Outcome("Safe", "3.12.1", "3.12", False, 1.0, notes, "ended with status 0; ...")
    return replace(made, **others)  # type: ignore[arg-type]


LISTED = "test_unix_events.SafeChildWatcherTests.test_sigchld"
ALL_LISTED = {
    different.test: ["failed", "AttributeError"]
    for different in judging.differences()
    if different.test.startswith("test_unix_events.SafeChildWatcherTests.")
}
GOOD = {"test_subprocess.SubprocessSafeWatcherTests.test_kill": ["passed", ""], **ALL_LISTED}


def test_all_as_listed_is_right() -> None:
    assert judging.mistakes(outcome(GOOD)) == []


@pytest.mark.parametrize(
    ("notes", "said"),
    [
        (None, "the run gave no results"),
        ({}, "no test was run"),
        (GOOD | {"test_subprocess.SubprocessSafeWatcherTests.test_kill": ["failed", "why"]}, "test_kill failed:\nwhy"),
        (GOOD | {"test_subprocess.SubprocessSafeWatcherTests.test_kill": ["skipped", "why"]}, "was skipped: why"),
        (GOOD | {LISTED: ["passed", ""]}, "test_sigchld passes, but is listed as different"),
        ({name: note for name, note in GOOD.items() if name != LISTED}, "and CPython has no such test"),
    ],
)
def test_anything_else_is_wrong(notes: dict[str, list[str]] | None, said: str) -> None:
    (mistake,) = judging.mistakes(outcome(notes))
    assert said in mistake


@pytest.mark.parametrize(
    ("notes", "asked"),
    [
        (GOOD, 1),  # passes
        (GOOD | {"test_subprocess.SubprocessSafeWatcherTests.test_kill": ["failed", "ImportError: no"]}, 1),
        (GOOD | {LISTED: ["failed", judging.TIMED_OUT]}, 1),  # would fail without it, too
        (GOOD | {"test_subprocess.SubprocessSafeWatcherTests.test_kill": ["failed", judging.TIMED_OUT]}, 0),
    ],
)
def test_a_mutant_must_hang_for_want_of_a_watcher(notes: dict[str, list[str]], asked: int) -> None:
    (mistake,) = judging.mistakes(outcome(notes, mutant=True, asked=asked))
    assert mistake.startswith("passes with every watcher disabled")


def test_a_mutant_that_does_is_right() -> None:
    notes = GOOD | {"test_subprocess.SubprocessSafeWatcherTests.test_kill": ["failed", judging.TIMED_OUT]}
    assert judging.mistakes(outcome(notes, mutant=True, asked=1)) == []


def test_what_stands_in_the_table_and_is_never_met_is_told() -> None:
    told = judging.unused([outcome(GOOD)])
    assert f"{LISTED} of 3.12 is listed as different, and no run has it" not in told
    assert any("PolicyTests.test_get_default_child_watcher of 3.12 is" in sentence for sentence in told)
    assert not any(" of 3.11 is listed" in sentence for sentence in told)
    assert judging.unused([outcome({"test_events.PolicyTests.test_x": ["passed", ""]}, run="Rules")]) == []


# --- the table


@pytest.mark.parametrize("different", judging.differences(), ids=lambda different: different.test)
def test_what_is_listed_is_checked_by_a_test_of_ours(different: judging.Difference) -> None:
    where, _, name = different.ours.partition(": ")
    if where == "contract":
        assert callable(getattr(ChildWatcherContract, name))
        return
    functions = [node.name for node in ast.parse((ROOT / where).read_text()).body if isinstance(node, ast.FunctionDef)]
    assert name in functions
    assert different.why.endswith(".")


def test_each_is_listed_once() -> None:
    listed = [(entry.subject, entry.test, version) for entry in judging.differences() for version in entry.tests_of]
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
    assert judging.mistakes(failed) == []
    for wrong in (replace(failed, asked=0), replace(failed, notes={name: ["passed", ""]})):
        (mistake,) = judging.mistakes(wrong)
        assert mistake.startswith("passes with our policy disabled")


# --- runs of loops


def loops_outcome(notes: dict[str, list[str]], **others: object) -> judging.Outcome:
    return outcome(notes, **({"run": "events", "loop": "native", "tests": "3.13"} | others))


def test_every_class_must_make_a_loop_of_ours() -> None:
    notes = {"test_events.SomeTests.test_x": ["passed", ""]}
    assert judging.mistakes(loops_outcome(notes, made={"test_events.SomeTests": 1})) == []
    (mistake,) = judging.mistakes(loops_outcome(notes, made={"test_events.SomeTests": 0}))
    assert mistake == "test_events.SomeTests made no loop of ours: leave it out"


def test_a_test_for_finding_leaks_may_be_skipped_and_no_other() -> None:
    notes = {"test_tasks.SomeTests.test_x": ["skipped", "<module 'sys'> has no attribute 'gettotalrefcount'"]}
    assert judging.mistakes(loops_outcome(notes)) == []
    (mistake,) = judging.mistakes(loops_outcome({"test_tasks.SomeTests.test_x": ["skipped", "Windows only"]}))
    assert mistake == "test_tasks.SomeTests.test_x was skipped: Windows only"


def test_a_mutant_must_fail_and_have_forgotten_something() -> None:
    notes = {"test_tasks.SomeTests.test_x": ["failed", "TimeoutError"]}
    failed = loops_outcome(notes, mutant=True, asked=1)
    assert judging.mistakes(failed) == []
    for wrong in (replace(failed, asked=0), replace(failed, notes={"test_tasks.SomeTests.test_x": ["passed", ""]})):
        (mistake,) = judging.mistakes(wrong)
        assert mistake.startswith("passes with a forgetful loop")


def test_a_class_that_is_left_out_and_no_python_has_is_told() -> None:
    there = sorted(planning.LEFT_OUT)
    outcomes = [loops_outcome({}, tests=version, left_out=tuple(there[1:])) for version in planning.PYTHONS]
    assert f"{there[0]} is left out, and no Python has it" in judging.unused(outcomes)
    assert not any("is left out" in sentence for sentence in judging.unused(outcomes[1:]))


def test_a_process_that_dies_costs_the_test_it_was_in(tmp_path: Path) -> None:
    results = tmp_path / "results"
    lines = [{"python": "3.13.1"}, {"began": "a.B.c"}, {"test": "a.B.c", "ending": "passed", "detail": ""}]
    lines += [{"ended": "a.B.c", "made": 2}, {"began": "a.B.d"}]
    results.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    told = conform.Told()
    told.read(results)
    assert (told.notes, told.made, told.running) == ({"a.B.c": ["passed", ""]}, {"a.B": 2}, "a.B.d")
