"""The contract suite has teeth: what each mechanism of watching can get wrong by itself, and the test that says so."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from loopwright._core import ExitStatus, StatusLost
from loopwright.watchers import (
    FastChildWatcher,
    MultiLoopChildWatcher,
    PidfdChildWatcher,
    PollingChildWatcher,
    SafeChildWatcher,
    ThreadedChildWatcher,
)
from loopwright.watchers._ear import ear
from loopwright.watchers._plain import PlainPidfdSet
from loopwright.watchers._polling import ScanWard
from loopwright.watchers._readable import ReadableWard
from loopwright.watchers._watch import look
from tests.testing.mutants import check_named, mutants_in, sound

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from loopwright.watchers._watch import Ward, Watch

# By process descriptor


class LeaksPidfds(PidfdChildWatcher):
    killed_by = "test_descriptors_do_not_grow"
    robs = True

    def _prepare(self, watch: Watch) -> ExitStatus | StatusLost | None:
        with contextlib.suppress(ProcessLookupError):
            os.pidfd_open(watch.pid)
        return super()._prepare(watch)


class OneSetForAllLoops(PidfdChildWatcher):
    """Two loops on one epoll descriptor steal each other's events."""

    killed_by = "test_two_loops_in_two_threads"
    robs = True

    def __init__(self) -> None:
        super().__init__()
        self.shared = SharedSet()

    def _new_ward(self, loop: asyncio.AbstractEventLoop) -> Ward:
        return ReadableWard(loop, lambda: self.shared, self._tell)


class SharedSet(PlainPidfdSet):
    def close(self) -> None:
        """Not while another loop may use it; the garbage collector closes it."""


class TakesFromTheParent(PidfdChildWatcher):
    killed_by = "test_forked_child_takes_nothing_from_its_parent"

    def _leave_to_parent(self) -> None:
        """All stays as it was, in a process that it does not belong to."""


class TakesShortageForLoss(PidfdChildWatcher):
    killed_by = "test_no_descriptor_left"

    def _without_descriptor(self, watch: Watch, error: OSError) -> None:
        raise ProcessLookupError(errno.ESRCH, "for want of a descriptor")

    def _prepare(self, watch: Watch) -> ExitStatus | StatusLost | None:
        try:
            return super()._prepare(watch)
        except ProcessLookupError:
            return StatusLost("there was no descriptor for it")


class RemembersShortageForEver(PidfdChildWatcher):
    killed_by = "test_no_descriptor_left"
    refuses: OSError | None = None

    def _prepare(self, watch: Watch) -> ExitStatus | StatusLost | None:
        if self.refuses is not None:
            raise self.refuses
        return super()._prepare(watch)

    def _without_descriptor(self, watch: Watch, error: OSError) -> None:
        self.refuses = error
        raise error


class SaysItIsActiveWhereItRefuses(PidfdChildWatcher):
    killed_by = "test_pidfd_open_is_forbidden"

    def _without_descriptor(self, watch: Watch, error: OSError) -> None:
        raise error


class TakesAForbiddenCallForALoss(PidfdChildWatcher):
    killed_by = "test_waitid_of_a_pidfd_is_forbidden"

    def _new_ward(self, loop: asyncio.AbstractEventLoop) -> Ward:
        return TellsTheErrno(loop, PlainPidfdSet, self._tell)


class TellsTheErrno(ReadableWard):
    def _on_readable(self) -> None:
        for key, pid, code, value, usage in self.entries.drain() if self.entries else ():
            watch = self.watches[key]
            self.disarm(watch)
            lost = StatusLost(os.strerror(code))
            self._tell(watch, lost if pid < 0 else ExitStatus.from_siginfo(code, value, usage and None))


class LeavesZombiesOfClosedLoops(PidfdChildWatcher):
    killed_by = "test_loop_closed_before_it_could_see_leaves_no_zombie"

    def _drop_closed_loops(self) -> None:
        for loop in [loop for loop in self._wards if loop.is_closed()]:
            ward = self._wards.pop(loop)
            self._close(ward)
            for watch in ward.watches.values():
                self._forget(watch)
                watch.give_back()


# By thread


class CallsFromItsThread(ThreadedChildWatcher):
    killed_by = "test_on_the_loop_that_was_running_and_in_its_thread"

    def _tell_from_elsewhere(self, watch: Watch, status: ExitStatus | StatusLost) -> None:
        with contextlib.suppress(RuntimeError):  # no loop runs there
            self._call(watch, status)


class ReapsInItsThread(ThreadedChildWatcher):
    killed_by = "test_pid_is_kept_until_the_callback_has_returned"

    def _tell_from_elsewhere(self, watch: Watch, status: ExitStatus | StatusLost) -> None:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(watch.pid, 0)
        super()._tell_from_elsewhere(watch, status)


class LosesItsThreadsInAFork(ThreadedChildWatcher):
    """A thread does not live on in a forked child, and neither must its callbacks."""

    killed_by = "test_forked_child_takes_nothing_from_its_parent"

    def _leave_to_parent(self) -> None:
        """All stays as it was."""


class IgnoresThatNoThreadStarts(ThreadedChildWatcher):
    killed_by = "test_no_thread_can_be_started"

    def _arm(self, watch: Watch) -> None:
        with contextlib.suppress(RuntimeError):
            super()._arm(watch)


# By signal


class OneExitASignal(MultiLoopChildWatcher):
    """Signals of one kind are merged: one may stand for many exits."""

    killed_by = "test_sigchld_held_back_so_that_one_stands_for_many"

    def _new_ward(self, loop: asyncio.AbstractEventLoop) -> Ward:
        return FirstOnly(loop, self._tell, ear.hears)


class FirstOnly(ScanWard):
    def scan(self) -> None:
        for watch in tuple(self.watches.values()):
            if watch.armed is True and (status := look(watch.pid)) is not None:
                watch.armed = None
                self._tell(watch, status)
                return


class TrustsTheSignal(MultiLoopChildWatcher):
    """Never looks unless it is told to, and other code may take the signal."""

    killed_by = "test_sigchld_handler_replaced_after_registration"

    def _new_ward(self, loop: asyncio.AbstractEventLoop) -> Ward:
        return NeverByTimer(loop, self._tell, ear.hears)


class NeverByTimer(ScanWard):
    def _set_timer(self) -> None:
        """No timer."""


class TrustsTheSignalOnTheAttachedLoop(SafeChildWatcher):
    killed_by = "test_sigchld_ignored_after_registration"

    def _new_ward(self, loop: asyncio.AbstractEventLoop) -> Ward:
        return NeverByTimer(loop, self._tell, ear.hears)


class KeepsTheHandler(MultiLoopChildWatcher):
    killed_by = "test_sigchld_handler_of_the_program_is_there_again_afterwards"

    def _leave(self) -> None:
        """The program's handler does not come back."""


class DeafensTheProgram(MultiLoopChildWatcher):
    killed_by = "test_sigchld_handler_of_the_program_is_still_called"

    def _join(self) -> None:
        super()._join()
        ear._before = signal.SIG_DFL


class RescansOneLoop(MultiLoopChildWatcher):
    killed_by = "test_loop_of_the_main_thread_stuck"

    def _new_ward(self, loop: asyncio.AbstractEventLoop) -> Ward:
        return next(iter(self._wards.values()), None) or super()._new_ward(loop)


# By waitpid(-1)


class DropsWhatNobodyRegistered(FastChildWatcher):
    killed_by = "test_registered_after_the_exit_within_the_block"

    def _nobodys(self, pid: int, status: ExitStatus | StatusLost) -> None:
        """It may be registered in a moment."""


class NeverLooksWhoIsGone(FastChildWatcher):
    killed_by = "test_status_taken_after_registration_is_255_and_a_warning"

    def _look_over(self, ward: Any) -> None:
        """No drain will ever meet a child that somebody else has reaped."""


class ReapsOneAtATime(FastChildWatcher):
    killed_by = "test_many_exits_before_the_loop_comes_round"

    def _drain(self) -> None:
        self._asked = False
        with self._lock, contextlib.suppress(ChildProcessError):
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid:
                self._reaped(pid, ExitStatus.from_wait(status))


# By asking from time to time


class LooksOnlyOnce(PollingChildWatcher):
    killed_by = "test_called_once_with_its_arguments"

    def _new_ward(self, loop: asyncio.AbstractEventLoop) -> Ward:
        return NeverByTimer(loop, self._tell)


MUTANTS = mutants_in(globals())


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mechanism_that_breaks_a_promise_fails(mutant: Any, fails: Callable[[Any, str], str]) -> None:
    fails(mutant, mutant.killed_by)


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS)
def test_what_it_is_a_mutant_of_keeps_that_promise(mutant: Any, holds: Callable[[Any, str], None]) -> None:
    holds(sound(mutant), mutant.killed_by)


def test_every_mutant_names_the_test_that_kills_it() -> None:
    check_named(globals())
