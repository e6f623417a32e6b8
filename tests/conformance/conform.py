"""Runs CPython's own tests of child watchers, subprocesses and policies against ours, on any Pythons.

    python tests/conformance/conform.py [--jobs 2] [--tests /usr/lib/python3.12/test ...] [PYTHON ...]

Each PYTHON has Loopwright installed; without one it is this one. The tests of watchers are those that each Python has
installed, of 3.11 to 3.13; from 3.14 on, where the standard library has no watchers, those of 3.12. Those of policies
are those of 3.11, 3.12 and 3.13, on every Python, each by the rules of its version; on the newest of the Pythons they
are run again with the names taken away from asyncio that Python 3.16 takes away. The tests of other versions are those
that `--tests` or LOOPWRIGHT_CPYTHON_TESTS names, or that are found on PATH or under pyenv.

Every run is a process of its own (`inside.py`) with a limit of time. It passes if every test passes, but for those
that `differences.toml` lists, with a reason each; those must fail. Each run is done again with every watcher, or our
policy, disabled, and then must fail: or it would have tested something else than ours.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import conform_plans as planning  # noqa: E402 - found beside this file, whoever imports it

#: Seconds for one test, and for a run. All tests of a run take about four seconds on an idle machine.
TEST_LIMIT, RUN_LIMIT = 60.0, 240.0
#: With a watcher disabled a test that needs one takes all of its time. The first that does ends the run.
MUTANT_TEST_LIMIT, MUTANT_RUN_LIMIT = 2.5, 120.0
TIMED_OUT = f"TimeoutError: not done within {MUTANT_TEST_LIMIT:g} s"


@dataclass(frozen=True)
class Difference:
    """A test of CPython's that ours do not pass, why, and the test of our own that checks what it checks."""

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
    """How often a disabled watcher was given a child, or a disabled policy a loop."""
    absent: bool = False

    def tally(self) -> str:
        counts = Counter(ending for ending, _ in (self.notes or {}).values())
        return ", ".join(f"{counts[ending]} {ending}" for ending in ("passed", "failed", "skipped") if counts[ending])


def differences() -> list[Difference]:
    table = tomllib.loads((HERE / "differences.toml").read_text())
    found = []
    for entry in table["different"]:
        versions = tuple(entry.get("tests_of", table["tests_of"]))
        for kind in entry.get("classes", [""]):
            test = entry["test"].replace("*", kind)
            found.append(Difference(test, table["reasons"][entry["why"]], entry["ours"], versions))
    return found


def conduct(plan: planning.Plan, *, mutant: bool) -> Outcome:
    """Do one run, and end whatever it leaves."""
    limit = MUTANT_TEST_LIMIT if mutant else TEST_LIMIT
    with tempfile.TemporaryDirectory() as folder:
        results, output = Path(folder) / "results.json", Path(folder) / "output"
        wanted = {"run": plan.run, "tests": plan.tests, "absent": plan.absent, "mutant": mutant, "limit": limit}
        began = time.monotonic()
        with output.open("wb") as file:
            # A session of its own, and no pipe: what tests leave behind that hang is killed, and nobody waits for it.
            process = subprocess.Popen(
                [plan.python, "-W", "default", str(HERE / "inside.py"), json.dumps(wanted | {"results": str(results)})],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                cwd=folder,
                start_new_session=True,
            )
            try:
                process.wait(MUTANT_RUN_LIMIT if mutant else RUN_LIMIT)
                ended = f"ended with status {process.returncode}"
            except subprocess.TimeoutExpired:
                ended = f"was not done within {MUTANT_RUN_LIMIT if mutant else RUN_LIMIT:g} s"
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        told = json.loads(results.read_text()) if results.exists() else {}
        return Outcome(
            plan.run,
            told.get("python", plan.python),
            told.get("tests", "?"),
            mutant,
            time.monotonic() - began,
            told.get("notes"),
            f"{ended}; the end of what it wrote:\n{output.read_text(errors='replace')[-4000:]}",
            told.get("asked", 0),
            plan.absent,
        )


def mistakes(outcome: Outcome) -> list[str]:
    """What is wrong with a run, a sentence each; nothing if it passed."""
    if outcome.notes is None:
        return [f"the run gave no results: it {outcome.output}"]
    if not outcome.notes:
        return ["no test was run"]
    listed = {different.test for different in differences() if outcome.tests in different.tests_of}
    if outcome.mutant:
        if outcome.run in (planning.RULES, planning.RUNNERS):
            what, failed = "our policy", [name for name, (ending, _) in outcome.notes.items() if ending == "failed"]
        else:
            what, failed = "every watcher", [name for name, (_, told) in outcome.notes.items() if TIMED_OUT in told]
        if outcome.asked and not listed.issuperset(failed):
            return []
        return [f"passes with {what} disabled: {outcome.tally()}"]
    found = []
    for name, (ending, detail) in outcome.notes.items():
        if ending == "failed" and name not in listed:
            found.append(f"{name} failed:\n{detail}")
        elif ending == "skipped":
            found.append(f"{name} was skipped: {detail}")
        elif ending == "passed" and name in listed:
            found.append(f"{name} passes, but stands in differences.toml: take it out")
    classes = {name.rpartition(".")[0] for name in outcome.notes}
    gone = {name for name in listed if name.rpartition(".")[0] in classes} - set(outcome.notes)
    found.extend(f"{name} stands in differences.toml, and CPython has no such test" for name in sorted(gone))
    return found


def unused(outcomes: list[Outcome]) -> list[str]:
    """What stands in differences.toml for tests that were run, and none of the runs met."""
    met = {(outcome.tests, name) for outcome in outcomes if not outcome.mutant for name in outcome.notes or ()}
    run = {outcome.tests for outcome in outcomes}
    return [
        f"{different.test} of {version} stands in differences.toml, and no run has it"
        for different in differences()
        for version in different.tests_of
        if version in run and (version, different.test) not in met
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description="Run CPython's own tests of child watchers against Loopwright's.")
    parser.add_argument("pythons", nargs="*", default=[sys.executable], help="interpreters that have Loopwright")
    parser.add_argument("--tests", metavar="FOLDER", nargs="+", default=[], help="`test` packages of 3.11 to 3.13")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time (2)")
    given = parser.parse_args()
    try:
        planned = planning.plans(given.pythons, tuple(given.tests))
    except planning.NoTestsError as error:
        print(error)
        return 1
    began, outcomes, failed = time.monotonic(), [], False
    with ThreadPoolExecutor(given.jobs) as pool:
        started = [pool.submit(conduct, plan, mutant=mutant) for plan in planned for mutant in (False, True)]
        for future in started:
            outcome = future.result()
            outcomes.append(outcome)
            wrong = mistakes(outcome)
            listed = len({d.test for d in differences() if outcome.tests in d.tests_of} & set(outcome.notes or ()))
            what = "disabled" if outcome.mutant else f"{listed} listed"
            run = f"{outcome.run} as 3.16" if outcome.absent else outcome.run
            print(
                f"Python {outcome.python:<8} tests of {outcome.tests:<5} {run:<13} {what:<10}"
                f" {outcome.seconds:5.1f} s  {'WRONG' if wrong else 'as it should'}: {outcome.tally()}",
                flush=True,
            )
            failed |= bool(wrong)
            for sentence in wrong:
                print(f"  {sentence}\n  the run {outcome.output}")
    for sentence in unused(outcomes):
        failed = True
        print(sentence)
    print(f"{len(outcomes)} runs in {time.monotonic() - began:.0f} s: {'FAILED' if failed else 'passed'}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
