"""The contract of child watchers when the machine says no, and when signals go astray."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import threading
from typing import TYPE_CHECKING

from loopwright.testing._leaks import LeakCheck
from loopwright.testing._watcher_apart import (
    CLONE3,
    PIDFD_OPEN,
    THREADS,
    WAITID_PIDFD,
    apart,
    check_can_deny,
    deny,
    no_descriptor_left,
    open_descriptors,
    signals_raining,
)
from loopwright.testing._watcher_stage import Hearing, Stage, WatcherTests, same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from loopwright.testing._watcher_apart import Call

    Fault = Callable[[], contextlib.AbstractContextManager[object]]

__all__ = ["WatcherMachine"]

#: How the children of `check_essentials` end, and what is to be told of that.
ENDS = {"exit 0": 0, "exit 3": 3, "exit 255": 255, "kill -KILL $$": -signal.SIGKILL}


class WatcherMachine(WatcherTests):
    """A machine without what a watcher needs is told at registration, or made up for; what was promised is kept.

    Each fault is brought about in a forked child of the test, after the watcher's module has had every opportunity to
    look at the machine, and there the essentials of the contract are asserted.
    """

    # What fails

    def test_no_descriptor_left(self) -> None:
        self.check_under("no descriptor left", no_descriptor_left, passes=True)

    def test_no_thread_can_be_started(self) -> None:
        self.check_denied("no thread can be started", (errno.ENOSYS, CLONE3), (errno.EAGAIN, THREADS))

    def test_pidfd_open_is_not_there(self) -> None:
        self.check_denied("pidfd_open denied", (errno.ENOSYS, PIDFD_OPEN))

    def test_pidfd_open_is_forbidden(self) -> None:
        self.check_denied("pidfd_open denied", (errno.EPERM, PIDFD_OPEN))

    def test_waitid_of_a_pidfd_is_not_there(self) -> None:
        # What an older kernel says of a kind of id that it does not know, waitid(2)
        self.check_denied("waitid(P_PIDFD) denied", (errno.EINVAL, WAITID_PIDFD))

    def test_waitid_of_a_pidfd_is_forbidden(self) -> None:
        self.check_denied("waitid(P_PIDFD) denied", (errno.EPERM, WAITID_PIDFD))

    def test_nothing_newer_than_ten_years_is_there(self) -> None:
        self.check_denied("pidfd_open denied", (errno.ENOSYS, PIDFD_OPEN, CLONE3), (errno.EINVAL, WAITID_PIDFD))

    def test_pidfds_are_forbidden_between_registration_and_exit(self) -> None:
        check_can_deny()

        def play() -> None:
            with self.stage() as stage:
                ends = {stage.start(script, held=True): code for script, code in ENDS.items()}
                hearing = Hearing()
                stage.run(stage.register(hearing, *ends))
                deny(errno.EPERM, PIDFD_OPEN, WAITID_PIDFD)
                stage.go()
                stage.run(hearing.heard(len(ends)))
                stage.run(asyncio.sleep(0))
                same(sorted(hearing.calls), sorted(ends.items()))

        self.in_fork(play)

    def test_system_calls_are_interrupted(self) -> None:
        self.check_under("system calls interrupted", signals_raining)

    # SIGCHLD, which other code of the program may take, ignore, or hold back

    def test_sigchld_ignored_before_registration(self) -> None:
        self.check_ignored(lambda register: (signal.signal(signal.SIGCHLD, signal.SIG_IGN), register()))

    def test_sigchld_ignored_after_registration(self) -> None:
        self.check_ignored(lambda register: (register(), signal.signal(signal.SIGCHLD, signal.SIG_IGN)))

    def check_ignored(self, arrange: Callable[[Callable[[], object]], object]) -> None:
        """The kernel then reaps on its own (wait(2)): the status is lost, unless the watcher saw to that."""

        def play() -> None:
            with self.stage() as stage, stage.warnings() as warned:
                hearing, pids = Hearing(), [stage.start("exit 3", held=True) for _ in range(3)]
                arrange(lambda: stage.run(stage.register(hearing, *pids)))
                stage.go()
                stage.run(hearing.heard(3))
                stage.run(asyncio.sleep(0))
                same(sorted(pid for pid, _ in hearing.calls), sorted(pids))
                for pid, code in hearing.calls:
                    assert code in {3, 255}, f"a lost status was reported as {code}"
                    assert code == 3 or any(str(pid) in text for text in warned), f"no warning names process {pid}"

        self.in_fork(play)

    def test_sigchld_handler_replaced_after_registration(self) -> None:
        def play() -> None:
            with self.stage() as stage:
                hearing, pids = Hearing(), [stage.start("exit 3", held=True) for _ in range(3)]
                stage.run(stage.register(hearing, *pids))
                signal.signal(signal.SIGCHLD, lambda *_: None)
                stage.go()
                stage.run(hearing.heard(3))
                same(sorted(hearing.calls), sorted((pid, 3) for pid in pids))

        self.in_fork(play)

    def test_sigchld_held_back_so_that_one_stands_for_many(self) -> None:
        def play() -> None:
            with self.stage() as stage:
                hearing = Hearing()
                ends = {stage.start(f"exit {code}", held=True): code for code in range(20)}
                stage.run(stage.register(hearing, *ends))
                signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
                stage.ended(*ends)
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
                stage.run(hearing.heard(len(ends)))
                stage.run(asyncio.sleep(0))
                same(sorted(hearing.calls), sorted(ends.items()))

        self.in_fork(play)

    def test_sigchld_handler_of_the_program_is_still_called(self) -> None:
        def play() -> None:
            calls: list[int] = []
            signal.signal(signal.SIGCHLD, lambda number, _frame: calls.append(number))
            with self.stage() as stage:
                hearing, pid = stage.run(stage.watched())
                stage.go()
                assert stage.run(hearing.only()) == (pid, 0)
                assert calls, "the program has a handler of SIGCHLD that hears nothing any more"

        self.in_fork(play)

    def test_sigchld_handler_of_the_program_is_there_again_afterwards(self) -> None:
        def play() -> None:
            def handler(*_: object) -> None:
                """The program's own."""

            for before in (handler, signal.SIG_DFL):
                signal.signal(signal.SIGCHLD, before)
                with self.stage() as stage:
                    stage.watcher.attach_loop(stage.loop)
                    hearing, pid = stage.run(stage.watched())
                    stage.go()
                    assert stage.run(hearing.only()) == (pid, 0)
                    stage.watcher.close()
                    assert signal.getsignal(signal.SIGCHLD) is before, "the program's handler of SIGCHLD is gone"

        self.in_fork(play)

    # How it is tried

    def in_fork(self, function: Callable[[], object]) -> None:
        """As `apart`, and nothing may be left over here."""
        with LeakCheck():
            apart(function)

    def check_denied(self, fault: str, *denials: tuple[int, *tuple[Call, ...]]) -> None:
        check_can_deny()

        @contextlib.contextmanager
        def denied() -> Iterator[None]:
            for number, *calls in denials:
                deny(number, *calls)
            yield

        self.check_under(fault, denied)

    def check_under(self, fault: str, arrange: Fault, *, passes: bool = False) -> None:
        """The essentials while a fault lasts and, if it is one that passes, that all is well afterwards.

        What is denied is denied for good, and a watcher that refuses for that reason must not call itself active.
        """

        def play() -> None:
            with self.stage() as stage:
                stage.run(self.check_one(stage))
                ends = {stage.start(script, held=True): code for script, code in ENDS.items()}
                before = open_descriptors()
                special = [stage.start("exit 9", held=True) for _ in range(3)]

                async def under_the_fault() -> dict[int, int]:
                    with arrange():
                        refused = await self.check_essentials(stage, fault, ends, special)
                        if refused and fault.endswith("denied"):
                            assert not stage.watcher.is_active(), "it says that it is active, and refuses children"
                        return refused

                refused = stage.run(under_the_fault())
                assert not refused or open_descriptors() <= before, "refusing a child left descriptors open"
                for pid, code in refused.items():
                    stage.check_left(pid, code)
                if passes:
                    stage.run(self.check_one(stage))

        self.in_fork(play)

    async def check_one(self, stage: Stage) -> None:
        hearing, pid = await stage.watched("exit 5")
        stage.go()
        assert await hearing.only() == (pid, 5)

    async def check_essentials(
        self, stage: Stage, fault: str, ends: dict[int, int], special: list[int]
    ) -> dict[int, int]:
        """What a watcher owes under every fault; gives the children that it refused, with how they end.

        Either a child is refused by an exception that says so, and then nothing came of it; or it is told of once,
        truly, here, and after its exit, too; a removed one is not told of, and strangers are left alone.
        """
        told, in_vain = Hearing(), Hearing()
        removed, late, stranger = special
        refused = {pid: code for pid, code in ends.items() if not self.accepts(stage, fault, told, pid)}
        if self.accepts(stage, fault, in_vain, removed):
            await asyncio.sleep(0)
            assert stage.watcher.remove_child_handler(removed) is True
        assert stage.watcher.remove_child_handler(removed) is False
        await asyncio.sleep(0)
        stage.ended(*ends, *special)
        expected = {pid: code for pid, code in ends.items() if pid not in refused}
        if self.accepts(stage, fault, told, late):
            expected[late] = 9
        else:
            refused[late] = 9
        await told.heard(len(expected))
        await in_vain.nothing()
        same(sorted(told.calls), sorted(expected.items()))
        assert set(told.threads) <= {threading.get_ident()}
        assert set(told.loops) <= {stage.loop}
        stage.check_left(removed, 9)
        stage.check_left(stranger, 9)
        return refused

    def accepts(self, stage: Stage, fault: str, callback: Callable[..., object], pid: int) -> bool:
        try:
            stage.watcher.add_child_handler(pid, callback)
        except (OSError, RuntimeError) as error:
            if not self.may_refuse(fault):
                raise AssertionError(f"refused, though it should make up for: {fault}") from error
            assert stage.watcher.remove_child_handler(pid) is False, "it was refused, and yet registered"
            return False
        return True
