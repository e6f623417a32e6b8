"""Runs CPython's own tests of child watchers, subprocesses and their policies against ours, on any Pythons.

    python tests/conformance/conform.py [--jobs 2] [--tests 3.12=/usr/lib/python3.12/test] [PYTHON ...]

Each PYTHON has Loopwright installed; without one it is this one. The tests are those that each Python has installed,
of 3.11 to 3.13; from 3.14 on, where the standard library has no watchers, those of the 3.12 that `--tests` or
LOOPWRIGHT_CPYTHON_TESTS names, or that is found on PATH or under pyenv.

Every run is a process of its own (`inside.py`) with a limit of time. It passes if every test passes, but for those
that `differences.toml` lists, with a reason each; those must fail. Each run is done again with every watcher disabled,
and then must fail: or it would have tested something else than our watchers.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import shutil
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
RUNS = ("Threaded", "MultiLoop", "Safe", "Fast", "Pidfd", "Policy")
#: Seconds for one test, and for a run. All tests of a run take about four seconds on an idle machine.
TEST_LIMIT, RUN_LIMIT = 60.0, 240.0
#: With a watcher disabled a test that needs one takes all of its time. The first that does ends the run.
MUTANT_TEST_LIMIT, MUTANT_RUN_LIMIT = 2.5, 120.0
TIMED_OUT = f"TimeoutError: not done within {MUTANT_TEST_LIMIT:g} s"


class NoTestsError(Exception):
    """CPython's tests are not where they are looked for; the message says how to get them."""


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
    tests: str
    mutant: bool
    seconds: float
    notes: dict[str, list[str]] | None
    """Of each test: passed, failed or skipped, and the detail. None if the run did not get to its end."""
    output: str
    asked: int = 0
    """How often a disabled watcher was given a child."""

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


@functools.cache
def version_of(python: str) -> tuple[int, int]:
    script = "import sys; print(*sys.version_info[:2])"
    done = subprocess.run([python, "-c", script], capture_output=True, text=True, check=True)
    major, minor = map(int, done.stdout.split())
    return major, minor


def where_tests_are(python: str, given: str | None = None) -> str | None:
    """The `test` package to run on this Python; None for its own. NoTestsError if it is not installed."""
    if version_of(python) < (3, 14):
        asked = [python, "-c", "import test.test_asyncio.test_subprocess"]
        if subprocess.run(asked, capture_output=True, check=False).returncode != 0:
            raise NoTestsError(
                f"{python} has no test.test_asyncio: some builds leave CPython's tests out (Debian has them in"
                " libpython3.x-testsuite); take another build of that Python"
            )
        return None
    folder = given or os.environ.get("LOOPWRIGHT_CPYTHON_TESTS") or found_312()
    if folder is None or not (Path(folder) / "test_asyncio" / "test_subprocess.py").is_file():
        raise NoTestsError(
            f"the tests of Python 3.12 were looked for {f'in {folder}' if folder else 'on PATH and under pyenv'} and"
            " are not there: install a 3.12 with its tests (pyenv install 3.12), or name their folder,"
            " .../lib/python3.12/test, in LOOPWRIGHT_CPYTHON_TESTS"
        )
    return folder


@functools.cache
def found_312() -> str | None:
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    pythons = [shutil.which("python3.12"), *sorted(map(str, root.glob("versions/3.12.*/bin/python3.12")))]
    for python in filter(None, pythons):
        asked = [python, "-c", "import test.test_asyncio, test; print(test.__path__[0])"]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        if done.returncode == 0:  # a version manager's stand-in may be on PATH and not run
            return done.stdout.strip()
    return None


def conduct(python: str, run: str, tests: str | None, *, mutant: bool) -> Outcome:
    """Do one run, and end whatever it leaves."""
    limit = MUTANT_TEST_LIMIT if mutant else TEST_LIMIT
    with tempfile.TemporaryDirectory() as folder:
        results, output = Path(folder) / "results.json", Path(folder) / "output"
        wanted = {"run": run, "tests": tests, "mutant": mutant, "limit": limit, "results": str(results)}
        began = time.monotonic()
        with output.open("wb") as file:
            # A session of its own, and no pipe: what tests leave behind that hang is killed, and nobody waits for it.
            process = subprocess.Popen(
                [python, "-W", "default", str(HERE / "inside.py"), json.dumps(wanted)],
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
            run,
            told.get("python", python),
            told.get("tests", "?"),
            mutant,
            time.monotonic() - began,
            told.get("notes"),
            f"{ended}; the end of what it wrote:\n{output.read_text(errors='replace')[-4000:]}",
            told.get("asked", 0),
        )


def mistakes(outcome: Outcome) -> list[str]:
    """What is wrong with a run, a sentence each; nothing if it passed."""
    if outcome.notes is None:
        return [f"the run gave no results: it {outcome.output}"]
    if not outcome.notes:
        return ["no test was run"]
    listed = {different.test for different in differences() if outcome.tests in different.tests_of}
    if outcome.mutant:
        ended = [name for name, (_, detail) in outcome.notes.items() if name not in listed and TIMED_OUT in detail]
        return [] if ended and outcome.asked else [f"passes with every watcher disabled: {outcome.tally()}"]
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
    parser.add_argument("--tests", metavar="FOLDER", help="the `test` package of Python 3.12, for 3.14 and later")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time (2)")
    given = parser.parse_args()
    try:
        folders = [(python, where_tests_are(python, given.tests)) for python in given.pythons]
    except NoTestsError as error:
        print(error)
        return 1
    began, outcomes, failed = time.monotonic(), [], False
    with ThreadPoolExecutor(given.jobs) as pool:
        started = [
            pool.submit(conduct, python, run, folder, mutant=mutant)
            for python, folder in folders
            for run in RUNS
            for mutant in (False, True)
        ]
        for future in started:
            outcome = future.result()
            outcomes.append(outcome)
            wrong = mistakes(outcome)
            listed = len({d.test for d in differences() if outcome.tests in d.tests_of} & set(outcome.notes or ()))
            what = "disabled" if outcome.mutant else f"{listed} listed"
            print(
                f"Python {outcome.python:<8} tests of {outcome.tests:<5} {outcome.run:<10} {what:<10}"
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
