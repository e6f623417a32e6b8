"""The contract suite has teeth: each of these watchers breaks one promise, and a test of the suite says so."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import subprocess
import sys
import threading
import unittest
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.errors import LeakError
from loopwright.testing import ChildWatcherContract, LeakCheck
from loopwright.watchers import PidfdChildWatcher

if TYPE_CHECKING:
    from collections.abc import Callable

    Callback = Callable[..., object]


class AnswersUntruly(PidfdChildWatcher):
    def remove_child_handler(self, pid: int) -> bool:
        super().remove_child_handler(pid)
        return True


class CallsTwice(PidfdChildWatcher):
    def add_child_handler(self, pid: int, callback: Callback, *args: Any) -> None:
        def twice(*given: Any) -> None:
            callback(*given)
            asyncio.get_running_loop().call_soon(callback, *given)

        super().add_child_handler(pid, twice, *args)


class CallsAtOnceIfItHasEnded(PidfdChildWatcher):
    def add_child_handler(self, pid: int, callback: Callback, *args: Any) -> None:
        with contextlib.suppress(ChildProcessError):
            if found := os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG):
                callback(pid, found.si_status, *args)
                return
        super().add_child_handler(pid, callback, *args)


class CallsInAnotherThread(PidfdChildWatcher):
    def add_child_handler(self, pid: int, callback: Callback, *args: Any) -> None:
        def elsewhere(*given: Any) -> None:
            async def call() -> None:
                callback(*given)

            thread = threading.Thread(target=asyncio.run, args=(call(),))
            thread.start()
            thread.join()

        super().add_child_handler(pid, elsewhere, *args)


class ForgetsTheContext(PidfdChildWatcher):
    def add_child_handler(self, pid: int, callback: Callback, *args: Any) -> None:
        super().add_child_handler(pid, lambda *given: contextvars.Context().run(callback, *given), *args)


class KeepsWhatIsReplaced(PidfdChildWatcher):
    def add_child_handler(self, pid: int, callback: Callback, *args: Any) -> None:
        before = self._handlers.pop(pid, None)
        super().add_child_handler(pid, callback, *args)
        if before is not None:
            self._handlers[pid] = before


class ReapsFirst(PidfdChildWatcher):
    def add_child_handler(self, pid: int, callback: Callback, *args: Any) -> None:
        def reap(*given: Any) -> None:
            os.waitpid(pid, 0)
            callback(*given)

        super().add_child_handler(pid, reap, *args)


class ReapsEverybody(PidfdChildWatcher):
    def add_child_handler(self, pid: int, callback: Callback, *args: Any) -> None:
        def reap(*given: Any) -> None:
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            callback(*given)

        super().add_child_handler(pid, reap, *args)


class SwallowsErrors(PidfdChildWatcher):
    def add_child_handler(self, pid: int, callback: Callback, *args: Any) -> None:
        def quietly(*given: Any) -> None:
            with contextlib.suppress(ValueError):
                callback(*given)

        super().add_child_handler(pid, quietly, *args)


class StaysOpen(PidfdChildWatcher):
    def close(self) -> None:
        """Nothing."""


class ClosesWithTheBlock(PidfdChildWatcher):
    def __exit__(self, *_: object) -> None:
        self.close()


class LeaksDescriptors(PidfdChildWatcher):
    def add_child_handler(self, pid: int, callback: Callback, *args: Any) -> None:
        super().add_child_handler(pid, callback, *args)
        leaked.append(os.dup(0))


leaked: list[int] = []


@pytest.mark.parametrize(
    ("watcher", "test"),
    [
        (AnswersUntruly, "test_removing_answers_truly"),
        (CallsTwice, "test_called_once_with_its_arguments"),
        (CallsAtOnceIfItHasEnded, "test_registered_after_the_exit"),
        (CallsInAnotherThread, "test_on_the_loop_that_was_running_and_in_its_thread"),
        (ForgetsTheContext, "test_in_the_context_of_registration"),
        (KeepsWhatIsReplaced, "test_registering_again_replaces"),
        (ReapsFirst, "test_pid_is_kept_until_the_callback_has_returned"),
        (ReapsEverybody, "test_children_of_others_are_left_to_them"),
        (SwallowsErrors, "test_callback_that_raises_meets_the_exception_handler_and_holds_up_nobody"),
        (StaysOpen, "test_closing"),
        (ClosesWithTheBlock, "test_as_a_context_manager"),
    ],
)
def test_a_watcher_that_breaks_a_promise_fails(watcher: type[PidfdChildWatcher], test: str) -> None:
    class Contract(ChildWatcherContract):
        def make_watcher(self) -> PidfdChildWatcher:
            return watcher()

    with LeakCheck(), pytest.raises((AssertionError, ChildProcessError)):
        getattr(Contract(), test)()


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
