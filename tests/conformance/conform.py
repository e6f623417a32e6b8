"""Runs CPython's own tests of child watchers, subprocesses, policies and event loops against ours, on any Pythons.

    python tests/conformance/conform.py [--jobs 2] [--tests /usr/lib/python3.12/test ...] [PYTHON ...]
    python tests/conformance/conform.py --only loops [--loop asyncio] [--runs tls sockets] [--brief] [PYTHON ...]

Each PYTHON has Loopwright installed; without one it is this one. The tests of watchers are those that each Python has
installed, of 3.11 to 3.13; from 3.14 on, where the standard library has no watchers, those of 3.12. Those of policies
are those of 3.11, 3.12 and 3.13, on every Python, each by the rules of its version; on the newest of the Pythons they
are run again with the names taken away from asyncio that Python 3.16 takes away. The tests of other versions are those
that `--tests` or LOOPWRIGHT_CPYTHON_TESTS names, or that are found on PATH or under pyenv. The tests of loops are each
Python's own, on NativeEventLoop or the loop that `--loop` names; `loop_tests.toml` has the modules of each run.

Every run is a process of its own (`inside.py`) with a limit of time. It passes if every test passes, but for those
that a file in `differences` lists, with a reason each; those must fail. On the oldest and the newest of the Pythons
each run is done again with every watcher, our policy or our loop disabled, and then must fail: or it would have tested
something else than ours. A run on loops whose process dies is begun again after the test in which it died, which has
failed then.
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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import conform_outcomes as judging  # noqa: E402 - found beside this file, whoever imports it
import conform_plans as planning  # noqa: E402
from conform_outcomes import MUTANT_TEST_LIMIT, Outcome, mistakes  # noqa: E402

#: Seconds for one test, and for a run. The tests of a run take four to twenty seconds on an idle machine.
TEST_LIMIT, RUN_LIMIT = 60.0, 240.0
MUTANT_RUN_LIMIT = 120.0
#: So often at most a run is begun again after its process died.
DEATHS = 30


@dataclass
class Told:
    """What one process of a run has told."""

    facts: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)
    made: dict[str, int] = field(default_factory=dict)
    running: str | None = None
    """The test that it was in when it ended."""

    def read(self, results: Path) -> None:
        for line in results.read_text().splitlines() if results.exists() else ():
            fact = json.loads(line)
            if "test" in fact:
                self.notes[fact["test"]] = [fact["ending"], fact["detail"]]
            elif "began" in fact:
                self.running = fact["began"]
            elif "ended" in fact:
                self.running = None
                kind = fact["ended"].rpartition(".")[0]
                self.made[kind] = self.made.get(kind, 0) + fact["made"]
            else:
                self.facts |= fact


def conduct(plan: planning.Plan, *, mutant: bool, test_limit: float = TEST_LIMIT) -> Outcome:
    """Do one run, and end whatever it leaves."""
    began, told = time.monotonic(), Told()
    for _ in range(DEATHS):
        output = process_of(plan, told, mutant=mutant, limit=MUTANT_TEST_LIMIT if mutant else test_limit)
        if plan.loop is None or mutant or told.running is None or "asked" in told.facts:
            break
        told.notes[told.running] = ["failed", f"the process {output}"]
    whole = "asked" in told.facts or (plan.loop is not None and told.notes)
    return Outcome(
        plan.run,
        told.facts.get("python", plan.python),
        told.facts.get("tests", "?"),
        mutant,
        time.monotonic() - began,
        told.notes if whole else None,
        output,
        told.facts.get("asked", 0),
        plan.absent,
        plan.loop,
        told.made,
        tuple(told.facts.get("left_out", ())),
    )


def process_of(plan: planning.Plan, told: Told, *, mutant: bool, limit: float) -> str:
    """Have a process run the tests that are not done yet; how it ended, and the end of what it wrote."""
    version = "{}.{}".format(*planning.version_of(plan.python))
    with tempfile.TemporaryDirectory() as folder:
        results, output = Path(folder) / "results", Path(folder) / "output"
        wanted = {
            "run": plan.run,
            "tests": plan.tests,
            "absent": plan.absent,
            "loop": plan.loop,
            "mutant": mutant,
            "limit": limit,
            "done": list(told.notes),
            "listed": sorted(judging.listed("loops", version, plan.loop)) if plan.loop else [],
            "results": str(results),
        }
        with output.open("wb") as file:
            # A session of its own, and no pipe: what tests leave behind that hang is killed, and nobody waits for it.
            process = subprocess.Popen(
                [plan.python, "-W", "default", "-X", "faulthandler", str(HERE / "inside.py"), json.dumps(wanted)],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                cwd=folder,
                start_new_session=True,
            )
            try:
                ended = end_of(process, results, MUTANT_RUN_LIMIT if mutant else RUN_LIMIT, limit)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        told.read(results)
        return f"{ended}; the end of what it wrote:\n{output.read_text(errors='replace')[-4000:]}"


def end_of(process: subprocess.Popen[bytes], results: Path, whole: float, limit: float) -> str:
    """Wait for the end of a run, or until it is too late: after `whole` seconds, or long after the limit of a test."""
    began = changed = time.monotonic()
    size = -1
    while (now := time.monotonic()) < began + whole:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return f"ended with status {process.wait(0.25)}"
        if results.exists() and results.stat().st_size != size:
            size, changed = results.stat().st_size, now
        # What is done after a test has as long as the test, and both end by an exception, if they hear of signals.
        if now > changed + 2 * limit + 10:
            return f"did nothing for {now - changed:.0f} s"
    return f"was not done within {whole:g} s"


def report(outcome: Outcome, *, brief: bool) -> bool:
    """Print how a run went; whether it is as it should be."""
    wrong = mistakes(outcome)
    listed = len(judging.listed(outcome.subject, outcome.tests, outcome.loop) & set(outcome.notes or ()))
    run = f"{outcome.run} as 3.16" if outcome.absent else outcome.run
    run = f"{run} on {outcome.loop}" if outcome.loop else run
    print(
        f"Python {outcome.python:<8} tests of {outcome.tests:<5} {run:<22}"
        f" {'disabled' if outcome.mutant else f'{listed} listed':<10}"
        f" {outcome.seconds:5.1f} s  {'WRONG' if wrong else 'as it should'}: {outcome.tally()}",
        flush=True,
    )
    for sentence in wrong:
        if brief:
            lines = sentence.strip().splitlines()
            print("  " + lines[0] + (f" ... {lines[-1].strip()}" if lines[1:] else ""))
        else:
            print(f"  {sentence}\n  the run {outcome.output}")
    return not wrong


def chosen(given: argparse.Namespace) -> list[planning.Plan]:
    """The runs that the command line asks for."""
    if given.loop != "native":
        found = [plan for python in given.pythons for plan in planning.loop_plans(python, given.loop)]
    else:
        found = planning.plans(given.pythons, tuple(given.tests))
    subjects = given.only or judging.SUBJECTS
    return [p for p in found if judging.subject_of(p) in subjects and (not given.runs or p.run in given.runs)]


def main() -> int:
    parser = argparse.ArgumentParser(description="Run CPython's own tests of watchers, policies and loops on ours.")
    parser.add_argument("pythons", nargs="*", default=[sys.executable], help="interpreters that have Loopwright")
    parser.add_argument("--tests", metavar="FOLDER", nargs="+", default=[], help="`test` packages of 3.11 to 3.13")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time (2)")
    parser.add_argument("--only", choices=judging.SUBJECTS, nargs="+", help="no runs but of these")
    parser.add_argument("--runs", metavar="RUN", nargs="+", help="no runs but of these names")
    parser.add_argument(
        "--loop", choices=("native", "asyncio", "uvloop"), default="native", help="tests of loops on this"
    )
    parser.add_argument("--no-mutants", action="store_true", help="not again with ours disabled")
    parser.add_argument("--test-limit", type=float, default=TEST_LIMIT, help=f"seconds for a test ({TEST_LIMIT:g})")
    parser.add_argument("--brief", action="store_true", help="of every failure its last line alone")
    given = parser.parse_args()
    try:
        planned = chosen(given)
    except planning.NoTestsError as error:
        print(error)
        return 1
    began, outcomes, failed = time.monotonic(), [], False
    with ThreadPoolExecutor(given.jobs) as pool:
        started = [
            pool.submit(conduct, plan, mutant=mutant, test_limit=given.test_limit)
            for plan in planned
            for mutant in (False, True)
            if not mutant or (planning.is_mutated(plan, given.pythons) and not given.no_mutants)
        ]
        for future in started:
            outcomes.append(future.result())
            failed |= not report(outcomes[-1], brief=given.brief)
    for sentence in () if given.runs else judging.unused(outcomes):
        failed = True
        print(sentence)
    print(f"{len(outcomes)} runs in {time.monotonic() - began:.0f} s: {'FAILED' if failed else 'passed'}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
