"""The contract suite as others use it; that it has teeth is shown in `test_watcher_mutants.py`."""

from __future__ import annotations

import os
import subprocess
import sys
import unittest
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.errors import LeakError
from loopwright.testing import ChildWatcherContract
from loopwright.watchers import PidfdChildWatcher

if TYPE_CHECKING:
    from collections.abc import Callable

    Callback = Callable[..., object]


class LeaksDescriptors(PidfdChildWatcher):
    def add_child_handler(self, pid: int, callback: Callback, *args: Any) -> None:
        super().add_child_handler(pid, callback, *args)
        leaked.append(os.dup(0))


leaked: list[int] = []


def test_a_watcher_that_leaks_fails() -> None:
    class Contract(ChildWatcherContract):
        def make_watcher(self) -> PidfdChildWatcher:
            return LeaksDescriptors()

    try:
        with pytest.raises(LeakError, match="descriptor"):
            Contract().test_called_once_with_its_arguments()
    finally:
        while leaked:
            os.close(leaked.pop())


def test_what_is_to_be_tested_must_be_said() -> None:
    with pytest.raises(NotImplementedError, match=r"ChildWatcherContract must override make_watcher\(\)"):
        ChildWatcherContract().test_exit_codes()


def test_with_unittest() -> None:
    class Contract(ChildWatcherContract, unittest.TestCase):
        def make_watcher(self) -> PidfdChildWatcher:
            return PidfdChildWatcher()

    names = unittest.TestLoader().getTestCaseNames(Contract)
    assert len(names) > 40
    result = unittest.TestResult()
    Contract("test_exit_codes").run(result)
    assert (result.testsRun, result.errors, result.failures) == (1, [], [])


def test_without_pytest() -> None:
    program = "import sys, loopwright.testing; print('pytest' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
