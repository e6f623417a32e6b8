"""The contract suite of loops as others use it; that it has teeth is shown in `test_loop_mutants.py`."""

from __future__ import annotations

import asyncio
import unittest

import pytest

from loopwright.testing import EventLoopContract


def test_what_is_to_be_tested_must_be_said() -> None:
    with pytest.raises(NotImplementedError, match=r"EventLoopContract must override make_loop\(\)"):
        EventLoopContract().test_time_is_monotonic()


def test_with_unittest() -> None:
    class Contract(EventLoopContract, unittest.TestCase):
        def make_loop(self) -> asyncio.AbstractEventLoop:
            return asyncio.SelectorEventLoop()

    names = unittest.TestLoader().getTestCaseNames(Contract)
    assert len(names) > 200
    assert sum(getattr(getattr(Contract, name), "slow", False) for name in names) < 10
    result = unittest.TestResult()
    Contract("test_half_closing").run(result)
    assert (result.testsRun, result.errors, result.failures) == (1, [], [])


def test_what_the_loop_reports_and_nobody_expects_fails_a_test() -> None:
    class Complaining(asyncio.SelectorEventLoop):
        def stop(self) -> None:
            self.call_exception_handler({"message": "a complaint"})
            super().stop()

    class Contract(EventLoopContract):
        def make_loop(self) -> asyncio.AbstractEventLoop:
            return Complaining()

    with pytest.raises(AssertionError, match="a complaint"):
        Contract().test_timers_come_by_time()
