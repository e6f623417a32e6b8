"""The contract of child watchers, as tests for anybody's watcher on anybody's loop."""

from __future__ import annotations

from loopwright.testing._watcher_changes import WatcherChanges
from loopwright.testing._watcher_company import WatcherCompany
from loopwright.testing._watcher_loops import WatcherLoops
from loopwright.testing._watcher_machine import WatcherMachine
from loopwright.testing._watcher_rules import WatcherRules

__all__ = ["ChildWatcherContract"]


class ChildWatcherContract(WatcherRules, WatcherChanges, WatcherCompany, WatcherLoops, WatcherMachine):
    """What every child watcher promises (`loopwright.watchers.AbstractChildWatcher`), as a class of tests.

    Subclass it and say what is to be tested; every method whose name begins with `test_` is then a test, for pytest
    as it is, for unittest with `unittest.TestCase` as a further base::

        class TestMyWatcher(ChildWatcherContract):
            def make_watcher(self):
                return MyWatcher()

            def make_loop(self):  # asyncio.new_event_loop() unless you say otherwise
                return uvloop.new_event_loop()

    Further methods and attributes say what is special about a watcher: `prepare()`, `may_refuse()`, `reaps_everybody`.

    A test fails with an AssertionError, and is skipped with `unittest.SkipTest`, which pytest knows, where the machine
    has no x86-64 system calls to be denied. The tests use real children and real forks and need Linux's /proc, /bin/sh
    and Python without `-O`; they must run one at a time in a process: besides what it is about, each checks that no
    descriptor, thread, task, loop or child is left behind in the whole process (`LeakCheck`).
    """
