"""The half of a run that is in the Python under test: installs our names, runs classes of `test.test_asyncio`, and
writes down how each test ended. Needs Loopwright there and nothing else.

    python inside.py '{"run": "Pidfd", "tests": null, "mutant": false, "absent": false, "limit": 60, "results": "/a",
                       "loop": null, "done": [], "listed": []}'

`tests` is the folder of another Python's `test` package, to be used in place of this one's. With `absent`, asyncio has
no policies, as from Python 3.16 on. With `loop` the run is one of `loop_tests.toml` on loops of that name, without the
tests that are `done`. What is written are lines of JSON, each when it is known: a process may not live to the end.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import json
import os
import signal
import sys
import threading
import unittest
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import absent

#: What to run: see `conform.conduct`.
WANTED = json.loads(sys.argv[1])
if WANTED["absent"]:
    absent.remove_policies()

import loop_names  # noqa: E402
import loop_suite  # noqa: E402
import names  # noqa: E402
import policy_names  # noqa: E402

WATCHERS = ("Threaded", "MultiLoop", "Safe", "Fast", "Pidfd")
POLICIES = ("Rules", "Runners")
#: Seconds for a test of loops that is listed as different.
LISTED_LIMIT = 3.0

#: What each run runs besides the subprocess tests of its watcher: (module, class, beginning of the tests' names). Not
#: `test_unix_events.BaseChildWatcherTests`: it tests a class of the standard library's that nobody else sees.
ALSO = {
    "Safe": [("test_unix_events", "SafeChildWatcherTests", "")],
    "Fast": [("test_unix_events", "FastChildWatcherTests", "")],
    "Policy": [
        ("test_streams", "StreamTests", "test_read_all_from_pipe_reader"),
        ("test_events", "EPollEventLoopTests", "test_subprocess"),
        ("test_subprocess", "GenericWatcherTests", ""),
        ("test_subprocess", "MultiLoopChildWatcherTests", ""),
        ("test_unix_events", "AbstractChildWatcherTests", ""),
        ("test_unix_events", "PolicyTests", ""),
        ("test_unix_events", "TestFork", "test_fork_asyncio_subprocess"),
    ],
    "Rules": [
        ("test_events", "PolicyTests", ""),
        ("test_events", "TestPyGetEventLoop", ""),
        ("test_events", "TestCGetEventLoop", ""),
    ],
    "Runners": [
        ("test_runners", "RunTests", ""),
        ("test_runners", "RunnerTests", ""),
    ],
}


def use_tests_of(folder: str) -> None:
    """Have `import test.test_asyncio` find the tests of that `test` package.

    With what else is in that package, from 3.14 on, where not every Python comes with one. Before, the helpers in
    `test.support` are this Python's own: those of 3.12 have f-strings that 3.11 cannot read.
    """
    if sys.version_info >= (3, 14):
        use_package("test", Path(folder))
    else:
        import test

        test.test_asyncio = use_package("test.test_asyncio", Path(folder) / "test_asyncio")


def use_package(name: str, folder: Path) -> Any:
    init = folder / "__init__.py"
    spec = importlib.util.spec_from_file_location(name, init, submodule_search_locations=[str(folder)])
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules[name] = package
    spec.loader.exec_module(package)
    return package


def tests_version() -> tuple[int, int]:
    """Of which Python these tests are, known by its folder: .../lib/python3.12/test/test_asyncio."""
    import test.test_asyncio

    folder = test.test_asyncio.__path__[0]
    name = Path(folder).parents[1].name
    if not name.startswith("python3."):
        raise SystemExit(f"which Python are the tests in {folder} of? expected .../python3.x/test/test_asyncio")
    return 3, int(name.removeprefix("python3."))


def module(name: str) -> Any:
    return importlib.import_module(f"test.test_asyncio.{name}")


def subprocess_class(watcher: str) -> type[unittest.TestCase]:
    """The subprocess tests for a watcher. Not all Pythons run or have them for MultiLoopChildWatcher."""
    tests, name = module("test_subprocess"), f"Subprocess{watcher}WatcherTests"
    found = getattr(tests, name, None)
    if found is None:
        make = getattr(names.asyncio.unix_events, f"{watcher}ChildWatcher")

        def get_watcher(case: unittest.TestCase) -> Any:
            with case.assertWarns(DeprecationWarning):
                return make()

        found = type(name, (tests.SubprocessWatcherMixin, tests.test_utils.TestCase), {"_get_watcher": get_watcher})
        found.__module__ = tests.__name__
    # 3.11 leaves out those of MultiLoopChildWatcher, for races of its own.
    found.__unittest_skip__ = False
    return found


def suite_of(run: str) -> unittest.TestSuite:
    if WANTED["loop"] is not None:
        return loop_suite.suite(run, frozenset(WANTED["done"]))
    suite = unittest.TestSuite()
    load = unittest.defaultTestLoader
    if run in WATCHERS:
        suite.addTests(load.loadTestsFromTestCase(subprocess_class(run)))
    for module_name, class_name, beginning in ALSO.get(run, ()):
        tests = module(module_name)
        kind = getattr(tests, class_name, None)
        if kind is not None:
            if class_name == "TestPyGetEventLoop":
                kind = policy_names.with_python_tasks(kind)
            suite.addTests(kind(name) for name in load.getTestCaseNames(kind) if name.startswith(beginning or "test"))
    return suite


def name_of(test: Any) -> str:
    """A subtest stands for its test."""
    name: str = getattr(test, "test_case", test).id().removeprefix("test.test_asyncio.")
    return name


class Notes(unittest.TestResult):
    """How each test ended, and a limit of time for each."""

    def __init__(self, limit: float, results: Any) -> None:
        super().__init__()
        self.limit = limit
        self.results = results
        self.notes: dict[str, list[str]] = {}
        # Some tests assert in threads of theirs, and would pass whatever those found.
        self.in_threads: list[str] = []
        threading.excepthook = lambda raised: self.in_threads.append(f"in a thread: {raised.exc_value!r}")

    def note(self, test: Any, ending: str, detail: str = "") -> None:
        # What went wrong first is what counts.
        name = name_of(test)
        if self.notes.get(name, ["passed"])[0] == "passed":
            self.notes[name] = [ending, detail]
            self.tell(test=name, ending=ending, detail=detail)

    def tell(self, **facts: object) -> None:
        print(json.dumps(facts), file=self.results, flush=True)

    def startTest(self, test: Any) -> None:  # noqa: N802
        super().startTest(test)
        self.in_threads.clear()
        self.tell(began=name_of(test))
        self.made = len(loop_names.made)

        # Some that are listed as different would wait for what never comes. What they are to do, they do within this.
        limit = min(self.limit, LISTED_LIMIT) if name_of(test) in WANTED["listed"] else self.limit

        def too_late(*_: object) -> None:
            raise TimeoutError(f"not done within {limit:g} s")

        signal.signal(signal.SIGALRM, too_late)
        # Again later, for what is done after the test may hang, too.
        signal.setitimer(signal.ITIMER_REAL, limit, limit)

    def stopTest(self, test: Any) -> None:  # noqa: N802
        signal.setitimer(signal.ITIMER_REAL, 0)
        super().stopTest(test)
        self.tell(ended=name_of(test), made=len(loop_names.made) - self.made)
        # What a test leaves to the collector would else warn in the middle of another that counts warnings. One of
        # 3.12 does on 3.14, where a process's wait() no longer waits for the end of its pipes (CPython gh-119710).
        gc.collect()

    def addSuccess(self, test: Any) -> None:  # noqa: N802
        self.note(test, "failed" if self.in_threads else "passed", "\n".join(self.in_threads))

    def addError(self, test: Any, err: Any) -> None:  # noqa: N802
        super().addError(test, err)
        self.note(test, "failed", self.errors[-1][1])

    def addFailure(self, test: Any, err: Any) -> None:  # noqa: N802
        super().addFailure(test, err)
        self.note(test, "failed", self.failures[-1][1])

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:  # noqa: N802
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.note(subtest, "failed", str(err[1]))

    def addSkip(self, test: Any, reason: str) -> None:  # noqa: N802
        super().addSkip(test, reason)
        self.note(test, "skipped", reason)

    def addExpectedFailure(self, test: Any, err: Any) -> None:  # noqa: N802
        super().addExpectedFailure(test, err)
        self.note(test, "passed")

    def addUnexpectedSuccess(self, test: Any) -> None:  # noqa: N802
        super().addUnexpectedSuccess(test)
        self.note(test, "failed", "unexpected success")


class Mutated(Notes):
    """Stops at the first test that a disabled watcher kept from ending; of loops at the first that failed for no known
    reason, and of runners at the first that failed: what is left of a Ctrl-C by then would end the run."""

    def note(self, test: Any, ending: str, detail: str = "") -> None:
        super().note(test, ending, detail)
        if WANTED["loop"] is not None:
            enough = ending == "failed" and name_of(test) not in WANTED["listed"]
        else:
            enough = "TimeoutError: not done within" in detail or (ending == "failed" and WANTED["run"] == "Runners")
        if enough:
            self.stop()


def install_names() -> tuple[int, int]:
    """Put our names where the tests look for them; of which Python the tests are."""
    if WANTED["tests"] is not None:
        use_tests_of(WANTED["tests"])
    version = tests_version()
    if WANTED["loop"] is not None:
        loop_names.install(WANTED["loop"], mutant=WANTED["mutant"])
    elif WANTED["run"] in POLICIES:
        policy_names.install(version, mutant=WANTED["mutant"], absent=WANTED["absent"])
    else:
        names.install(version, mutant=WANTED["mutant"])
    return version


def main() -> None:
    wanted = WANTED
    version = install_names()
    # A shell that starts this in the background has it ignore the signal that tests of Ctrl-C send to themselves.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with Path(wanted["results"]).open("a") as results:
        result = (Mutated if wanted["mutant"] else Notes)(wanted["limit"], results)
        result.tell(python=".".join(map(str, sys.version_info[:3])), tests=".".join(map(str, version)))
        if wanted["loop"] is not None:
            result.tell(left_out=loop_suite.left_out(wanted["run"]))
        suite_of(wanted["run"]).run(result)
        asked = len(names.asked) + len(policy_names.asked) + loop_names.forgotten[0]
        result.tell(asked=asked)
    # Threads and processes of tests that hang would be waited for; whoever runs this ends what is left.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
elif __name__ == "__mp_main__":  # a process of multiprocessing's, in which a test goes on
    install_names()
