"""The contract suite has teeth: each of these watchers breaks one promise, and the test that it names says so.

These break what every watcher promises, whatever its mechanism (here, process descriptors); for what a mechanism can
get wrong by itself see `test_watcher_mutants_of_mechanisms.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

from loopwright._core import ExitStatus, StatusLost
from loopwright.watchers import PidfdChildWatcher
from loopwright.watchers._named import Named
from loopwright.watchers._plain import PlainPidfdSet
from loopwright.watchers._readable import ReadableWard
from tests.testing.mutants import check_named, mutants_in, sound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from loopwright._native._pidfds import Told
    from loopwright.watchers._named import ProcessLike
    from loopwright.watchers._watch import Ward, Watch

    Callback = Callable[..., object]

# What is answered, and how often is called


class AnswersUntruly(PidfdChildWatcher):
    killed_by = "test_removing_answers_truly"

    def remove_child_handler(self, pid: int) -> bool:
        super().remove_child_handler(pid)
        return True


class RemovesNothing(PidfdChildWatcher):
    killed_by = "test_removed_is_neither_called_nor_reaped"

    def remove_child_handler(self, pid: int) -> bool:
        return pid in self.children


class RemovesOnlyBeforeTheExit(PidfdChildWatcher):
    killed_by = "test_removed_between_exit_and_delivery"

    def _tell(self, watch: Watch, status: ExitStatus | StatusLost) -> None:
        del self._handlers[watch.pid]
        super()._tell(watch, status)


class CallsTwice(PidfdChildWatcher):
    killed_by = "test_called_once_with_its_arguments"

    def add_child_handler(self, pid: int, callback: Callback, *args: Any) -> None:
        def twice(*given: Any) -> None:
            callback(*given)
            asyncio.get_running_loop().call_soon(callback, *given)

        super().add_child_handler(pid, twice, *args)


class CallsAtOnceIfItHasEnded(PidfdChildWatcher):
    killed_by = "test_registered_after_the_exit"

    def add_child_handler(self, pid: int, callback: Callback, *args: Any) -> None:
        with contextlib.suppress(ChildProcessError):
            if found := os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG):
                callback(pid, found.si_status, *args)
                return
        super().add_child_handler(pid, callback, *args)


class ForgetsOneThatEndedBeforeRegistration(PidfdChildWatcher):
    killed_by = "test_registered_after_the_exit"

    def add_child_handler(self, pid: int, callback: Callback, *args: Any) -> None:
        with contextlib.suppress(ChildProcessError):
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG):
                return
        super().add_child_handler(pid, callback, *args)


class KeepsWhatIsReplaced(PidfdChildWatcher):
    killed_by = "test_registering_again_replaces"

    def _take(self, watch: Watch | None) -> bool:
        return False


class TakesGroupsForProcesses(PidfdChildWatcher):
    killed_by = "test_numbers_that_stand_for_several_processes_are_refused"

    def add_child_handler(self, pid: int, callback: Callback, *args: Any) -> None:
        with contextlib.suppress(ValueError):
            super().add_child_handler(pid, callback, *args)


class StaysOpen(PidfdChildWatcher):
    killed_by = "test_closing"

    def close(self) -> None:
        """Nothing."""


class ClosesWithTheBlock(PidfdChildWatcher):
    killed_by = "test_as_a_context_manager"

    def __exit__(self, *_: object) -> None:
        self.close()


class CallsAfterClosing(PidfdChildWatcher):
    killed_by = "test_closing_forgets_callbacks_and_leaves_children_alone"

    def close(self) -> None:
        self._closed = True


# Where is called


class CallsInAnotherThread(PidfdChildWatcher):
    killed_by = "test_on_the_loop_that_was_running_and_in_its_thread"

    def add_child_handler(self, pid: int, callback: Callback, *args: Any) -> None:
        def elsewhere(*given: Any) -> None:
            async def call() -> None:
                callback(*given)

            thread = threading.Thread(target=asyncio.run, args=(call(),))
            thread.start()
            thread.join()

        super().add_child_handler(pid, elsewhere, *args)


class PrefersTheAttachedLoop(PidfdChildWatcher):
    killed_by = "test_on_the_loop_that_was_running_and_in_its_thread"

    def _loop_for(self, pid: int) -> asyncio.AbstractEventLoop:
        return self._attached or super()._loop_for(pid)


class OneLoopForTheProcess(PidfdChildWatcher):
    """The loop that registered first, not the one of the thread."""

    killed_by = "test_two_loops_in_two_threads"
    first: asyncio.AbstractEventLoop | None = None

    def _loop_for(self, pid: int) -> asyncio.AbstractEventLoop:
        self.first = self.first or super()._loop_for(pid)
        return self.first


class ForgetsTheContext(PidfdChildWatcher):
    killed_by = "test_in_the_context_of_registration"

    def add_child_handler(self, pid: int, callback: Callback, *args: Any) -> None:
        super().add_child_handler(pid, lambda *given: contextvars.Context().run(callback, *given), *args)


class SwallowsErrors(PidfdChildWatcher):
    killed_by = "test_callback_that_raises_meets_the_exception_handler_and_holds_up_nobody"

    def add_child_handler(self, pid: int, callback: Callback, *args: Any) -> None:
        def quietly(*given: Any) -> None:
            with contextlib.suppress(ValueError):
                callback(*given)

        super().add_child_handler(pid, quietly, *args)


class LetsAnErrorHoldUpTheOthers(PidfdChildWatcher):
    killed_by = "test_callback_that_raises_meets_the_exception_handler_and_holds_up_nobody"

    def _tell(self, watch: Watch, status: ExitStatus | StatusLost) -> None:
        self._call(watch, status)  # within the drain of all that have ended

    def _new_ward(self, loop: asyncio.AbstractEventLoop) -> Ward:
        return ForgetsTheRest(loop, PlainPidfdSet, self._tell)


class ForgetsTheRest(ReadableWard):
    def _hear_all(self, told: Iterator[Told]) -> None:
        self._hear(told)


# Statuses and reaping


class InventsZero(PidfdChildWatcher):
    killed_by = "test_status_taken_after_registration_is_255_and_a_warning"

    def _tell(self, watch: Watch, status: ExitStatus | StatusLost) -> None:
        super()._tell(watch, ExitStatus(0) if isinstance(status, StatusLost) else status)


class LosesStatusesQuietly(PidfdChildWatcher):
    killed_by = "test_status_taken_before_registration_is_255_and_a_warning"

    def _tell(self, watch: Watch, status: ExitStatus | StatusLost) -> None:
        super()._tell(watch, ExitStatus(255) if isinstance(status, StatusLost) else status)


class ReapsFirst(PidfdChildWatcher):
    """Whoever then signals it may meet a new process of the same number."""

    killed_by = "test_pid_is_kept_until_the_callback_has_returned"

    def add_child_handler(self, pid: int, callback: Callback, *args: Any) -> None:
        def reap(*given: Any) -> None:
            os.waitpid(pid, 0)
            callback(*given)

        super().add_child_handler(pid, reap, *args)


class NeverReaps(PidfdChildWatcher):
    killed_by = "test_exit_codes"

    def _settled(self, watch: Watch) -> None:
        watch.give_back()


class ReapsEverybody(PidfdChildWatcher):
    killed_by = "test_children_of_others_are_left_to_them"

    def add_child_handler(self, pid: int, callback: Callback, *args: Any) -> None:
        def reap(*given: Any) -> None:
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            callback(*given)

        super().add_child_handler(pid, reap, *args)


class ReapsTheProcessesOfMultiprocessing(ReapsEverybody):
    killed_by = "test_processes_of_multiprocessing_are_left_to_it"
    robs = True


class ReapsWhatIsRemoved(PidfdChildWatcher):
    killed_by = "test_removed_after_the_exit"

    def remove_child_handler(self, pid: int) -> bool:
        removed = super().remove_child_handler(pid)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        return removed


class ReapsPopensBehindTheirBacks(PidfdChildWatcher):
    killed_by = "test_popen_handed_over_keeps_its_returncode"

    def _add(self, who: Named, callback: Callback, args: tuple[Any, ...]) -> None:
        super()._add(Named(who.pid), callback, args)


# The conveniences


class InventsAStatusForWhoWatches(PidfdChildWatcher):
    killed_by = "test_watching_a_status_that_is_lost_says_so_and_invents_nothing"

    async def watch(self, process: ProcessLike) -> ExitStatus | StatusLost:
        status = await super().watch(process)
        return ExitStatus(255) if isinstance(status, StatusLost) else status


class WaitsOnlyForThoseItHas(PidfdChildWatcher):
    killed_by = "test_waiting_for_all"

    async def wait(self) -> None:
        for pid in self.children:
            await self.watch(pid)


class ForgetsBeforeItReplaces(PidfdChildWatcher):
    killed_by = "test_waiting_goes_on_when_the_only_callback_is_replaced"

    def add_child_handler(self, pid: int, callback: Callback, *args: Any) -> None:
        self.remove_child_handler(pid)
        super().add_child_handler(pid, callback, *args)


class TakesTheHandlerOfWhatIsAttached(PidfdChildWatcher):
    killed_by = "test_attaching_a_process_keeps_the_callback_that_is_there"

    def attach_process(self, process: ProcessLike) -> None:
        self.add_child(process, str)


class NeverAwaitsCoroutines(PidfdChildWatcher):
    killed_by = "test_coroutine_function_as_a_handler"

    def _start_task(self, function: Callable[..., Any], *args: Any) -> None:
        function(*args).close()


class WatchesOnWhenCancelled(PidfdChildWatcher):
    killed_by = "test_watch_that_is_cancelled_leaves_the_child_alone"

    async def watch(self, process: ProcessLike) -> ExitStatus | StatusLost:
        try:
            return await super().watch(process)
        except asyncio.CancelledError:
            self.attach_process(process)
            raise


MUTANTS = mutants_in(globals())


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_watcher_that_breaks_a_promise_fails(mutant: Any, fails: Callable[[Any, str], str]) -> None:
    fails(mutant, mutant.killed_by)


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS)
def test_what_it_is_a_mutant_of_keeps_that_promise(mutant: Any, holds: Callable[[Any, str], None]) -> None:
    holds(sound(mutant), mutant.killed_by)


def test_every_mutant_names_the_test_that_kills_it() -> None:
    check_named(globals())
