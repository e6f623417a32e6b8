"""What runs of CPython's tests must come to: which tests may fail, and when a run is wrong."""

from __future__ import annotations

import tomllib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import conform_plans as planning

HERE = Path(__file__).parent
OF_POLICIES = (planning.RULES, planning.RUNNERS)
#: What is listed of each of the subjects is in a file of that name.
SUBJECTS = ("watchers", "policies", "loops")
#: With a watcher disabled a test that needs one takes all of its time, in seconds. The first that does ends the run.
MUTANT_TEST_LIMIT = 2.5
TIMED_OUT = f"TimeoutError: not done within {MUTANT_TEST_LIMIT:g} s"
#: Why a test of loops may be skipped: it needs a Python that was built for finding leaks.
MAY_SKIP = ("gettotalrefcount",)


@dataclass(frozen=True)
class Difference:
    """A test of CPython's that ours do not pass, why, and the test of our own that checks what it checks."""

    subject: str
    test: str
    why: str
    ours: str
    tests_of: tuple[str, ...]
    """The versions of Python whose tests have it, and fail."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    run: str
    python: str
    """Its version, as `tests` is that of the tests."""
    tests: str
    mutant: bool
    seconds: float
    notes: dict[str, list[str]] | None
    """Of each test: passed, failed or skipped, and the detail. None if the run did not get to its end."""
    output: str
    asked: int = 0
    """How often a disabled watcher was given a child, a disabled policy a loop, or a loop forgot a callback."""
    absent: bool = False
    loop: str | None = None
    made: dict[str, int] = field(default_factory=dict)
    """How many loops of ours each class of tests made."""
    left_out: tuple[str, ...] = ()
    """The classes of tests that are there and were not run."""

    @property
    def subject(self) -> str:
        return subject_of(self)

    def tally(self) -> str:
        counts = Counter(ending for ending, _ in (self.notes or {}).values())
        return ", ".join(f"{counts[ending]} {ending}" for ending in ("passed", "failed", "skipped") if counts[ending])


def subject_of(run: planning.Plan | Outcome) -> str:
    if run.loop is not None:
        return "loops"
    return "policies" if run.run in OF_POLICIES else "watchers"


def differences() -> list[Difference]:
    found = []
    for subject in SUBJECTS:
        table = tomllib.loads((HERE / "differences" / f"{subject}.toml").read_text())
        for entry in table["different"]:
            versions = tuple(entry.get("tests_of", table["tests_of"]))
            for kind in entry.get("classes", [""]):
                test = entry["test"].replace("*", kind)
                found.append(Difference(subject, test, table["reasons"][entry["why"]], entry["ours"], versions))
    return found


def listed(subject: str, tests: str, loop: str | None = None) -> set[str]:
    """The tests that are listed as different of that subject in the tests of that version; none for others' loops."""
    if loop not in (None, "native"):
        return set()
    return {entry.test for entry in differences() if entry.subject == subject and tests in entry.tests_of}


def mistakes(outcome: Outcome) -> list[str]:
    """What is wrong with a run, a sentence each; nothing if it passed."""
    if outcome.notes is None:
        return [f"the run gave no results: it {outcome.output}"]
    if not outcome.notes:
        return ["no test was run"]
    expected = listed(outcome.subject, outcome.tests, outcome.loop)
    if outcome.mutant:
        return mistakes_of_mutant(outcome, expected)
    found = []
    for name, (ending, detail) in outcome.notes.items():
        if ending == "failed" and name not in expected:
            found.append(f"{name} failed:\n{detail}")
        elif ending == "skipped" and not (outcome.loop and any(reason in detail for reason in MAY_SKIP)):
            found.append(f"{name} was skipped: {detail}")
        elif ending == "passed" and name in expected:
            found.append(f"{name} passes, but is listed as different: take it out")
    classes = {name.rpartition(".")[0] for name in outcome.notes}
    gone = {name for name in expected if name.rpartition(".")[0] in classes} - set(outcome.notes)
    found.extend(f"{name} is listed as different, and CPython has no such test" for name in sorted(gone))
    if outcome.loop:
        found.extend(f"{name} made no loop of ours: leave it out" for name, made in outcome.made.items() if not made)
    return found


def mistakes_of_mutant(outcome: Outcome, expected: set[str]) -> list[str]:
    assert outcome.notes is not None
    if outcome.subject == "watchers":
        what, failed = "every watcher disabled", {n for n, (_, told) in outcome.notes.items() if TIMED_OUT in told}
    else:
        what = "a forgetful loop" if outcome.loop else "our policy disabled"
        failed = {name for name, (ending, _) in outcome.notes.items() if ending == "failed"}
    if outcome.asked and not expected.issuperset(failed):
        return []
    return [f"passes with {what}: {outcome.tally()}"]


def unused(outcomes: list[Outcome]) -> list[str]:
    """What is listed as different of tests that were run, and none of the runs met."""
    met = {(o.subject, o.tests, name) for o in outcomes if not o.mutant for name in o.notes or ()}
    run = {(outcome.subject, outcome.tests) for outcome in outcomes}
    found = [
        f"{entry.test} of {version} is listed as different, and no run has it"
        for entry in differences()
        for version in entry.tests_of
        if (entry.subject, version) in run and (entry.subject, version, entry.test) not in met
    ]
    if {version for subject, version in run if subject == "loops"} >= set(planning.PYTHONS):
        there = {name for outcome in outcomes for name in outcome.left_out}
        found.extend(f"{name} is left out, and no Python has it" for name in sorted(planning.LEFT_OUT - there))
    return found
