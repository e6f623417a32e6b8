"""Which of CPython's tests are run on which Python, and where they are found."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

#: Runs of watchers and subprocesses; of policies; and of `asyncio.run()` and `Runner` under a policy.
WATCHERS = ("Threaded", "MultiLoop", "Safe", "Fast", "Pidfd", "Policy")
RULES, RUNNERS = "Rules", "Runners"
#: And of loops, and the classes that are left out of them.
LOOP_TESTS = tomllib.loads((Path(__file__).parent / "loop_tests.toml").read_text())
LOOPS = tuple(LOOP_TESTS["runs"])
LEFT_OUT = {name for entry in LOOP_TESTS["left_out"].values() for name in entry["classes"]}
#: Of the Pythons that ours is tested on.
PYTHONS = ("3.11", "3.12", "3.13", "3.14", "3.15")
#: The versions whose tests of policies are run on every Python, by their own rules.
RULED = ((3, 11), (3, 12), (3, 13))
#: Of which the tests of watchers are, where the standard library has none.
LAST_WITH_WATCHERS = (3, 12)

Version = tuple[int, int]


class NoTestsError(Exception):
    """CPython's tests are not where they are looked for; the message says how to get them."""


@dataclass(frozen=True)
class Plan:
    """A run: on which Python, of which tests, in what surroundings."""

    python: str
    run: str
    tests: str | None = None
    """The folder of another Python's `test` package; None for its own."""
    absent: bool = False
    """Whether asyncio has no policies, as from Python 3.16 on."""
    loop: str | None = None
    """Of a run of tests of loops, on which: "asyncio", "uvloop" or "native"."""


def plans(pythons: list[str], given: tuple[str, ...] = ()) -> list[Plan]:
    """Every run on these Pythons. NoTestsError if tests of one of the versions are nowhere."""
    newest = max(pythons, key=version_of)
    return [
        plan
        for python in pythons
        for plan in (
            *watcher_plans(python, given),
            *policy_plans(python, given, absent=python == newest),
            *loop_plans(python),
        )
    ]


def is_mutated(plan: Plan, pythons: list[str]) -> bool:
    """Whether the run is done again with ours disabled: on the oldest and the newest Python. There are two ways for
    ours to get into the tests, with policies and watchers in asyncio and without; those between add nothing."""
    return plan.python in (min(pythons, key=version_of), max(pythons, key=version_of))


def loop_plans(python: str, loop: str = "native") -> list[Plan]:
    """The tests of loops that this Python has itself: those of another expect what that one's asyncio does."""
    folder = where_tests_are(python, version_of(python))
    return [Plan(python, run, folder, loop=loop) for run in LOOPS]


def watcher_plans(python: str, given: tuple[str, ...] = ()) -> list[Plan]:
    version = version_of(python)
    folder = where_tests_are(python, version if version < (3, 14) else LAST_WITH_WATCHERS, given)
    return [Plan(python, run, folder) for run in WATCHERS]


def policy_plans(python: str, given: tuple[str, ...] = (), *, absent: bool) -> list[Plan]:
    """The rules of each version; and what this Python's own tests ask besides, where it has them."""
    folders = [where_tests_are(python, version, given) for version in RULED]
    found = [Plan(python, RULES, folder) for folder in folders]
    if absent:
        found += [Plan(python, RULES, folder, absent=True) for folder in folders]
    if has_tests(python):
        found += [Plan(python, RUNNERS)]
        if version_of(python) not in RULED:
            found += [Plan(python, RULES)]
    return found


@functools.cache
def version_of(python: str) -> Version:
    script = "import sys; print(*sys.version_info[:2])"
    done = subprocess.run([python, "-c", script], capture_output=True, text=True, check=True)
    major, minor = map(int, done.stdout.split())
    return major, minor


@functools.cache
def has_tests(python: str) -> bool:
    asked = [python, "-c", "import test.test_asyncio.test_subprocess"]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


def where_tests_are(python: str, version: Version, given: tuple[str, ...] = ()) -> str | None:
    """The `test` package of that version to run on this Python; None for its own. NoTestsError if it is not there."""
    if version_of(python) == version:
        if not has_tests(python):
            raise NoTestsError(
                f"{python} has no test.test_asyncio: some builds leave CPython's tests out (Debian has them in"
                " libpython3.x-testsuite); take another build of that Python"
            )
        return None
    name = "python{}.{}".format(*version)
    told = (*given, *filter(None, os.environ.get("LOOPWRIGHT_CPYTHON_TESTS", "").split(os.pathsep)))
    folders = [folder for folder in told if Path(folder).parent.name == name]
    folder = folders[0] if folders else found(name)
    if folder is None or not (Path(folder) / "test_asyncio" / "test_subprocess.py").is_file():
        raise NoTestsError(
            f"the tests of {name} were looked for {f'in {folder}' if folder else 'on PATH and under pyenv'} and"
            f" are not there: install that Python with its tests (pyenv install {name.removeprefix('python')}), or name"
            f" their folder, .../lib/{name}/test, in LOOPWRIGHT_CPYTHON_TESTS"
        )
    return folder


@functools.cache
def found(name: str) -> str | None:
    version = name.removeprefix("python")
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    pythons = [shutil.which(name), *sorted(map(str, root.glob(f"versions/{version}.*/bin/{name}")))]
    for python in filter(None, pythons):
        asked = [python, "-c", "import test.test_asyncio, test; print(test.__path__[0])"]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        if done.returncode == 0:  # a version manager's stand-in may be on PATH and not run
            return done.stdout.strip()
    return None
