"""A pid is given back once, when nobody owes it a signal, and from then on nothing is sent to that number."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import warnings
from typing import TYPE_CHECKING

import pytest

from loopwright._core import ExitStatus, StatusLost
from loopwright._spawning import INHERITED, Child, Request, child_of, launch, launch_plain, living

if TYPE_CHECKING:
    from collections.abc import Iterator

LOST = StatusLost("somebody reaped it")


def await_exit(child: Child) -> ExitStatus:
    """Wait for its exit, and leave it as it is."""
    found = os.waitid(os.P_PIDFD, child.pidfd, os.WEXITED | os.WNOWAIT)
    assert found is not None
    return ExitStatus.from_siginfo(found.si_code, found.si_status)


def is_reaped(pid: int) -> bool:
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    except ChildProcessError:
        return True
    return False


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


class Follower:
    """A process in the group of a child that ends at once, which says whether a signal reached it."""

    def __init__(self) -> None:
        ours, theirs = os.pipe()
        back, self._held = os.pipe()
        # A shell gives /dev/null to what it starts with &, so the pipe is kept as 3.
        script = "exec 3<&0; (trap 'echo signalled; exit' TERM; echo ready; read _ <&3) & exit 0"
        self.leader = launch(Request(["sh", "-c", script], (back, theirs, INHERITED), process_group=0))
        os.close(theirs)
        os.close(back)
        self._said = os.fdopen(ours)
        assert self._said.readline() == "ready\n"

    def was_signalled(self) -> bool:
        """Let it end, and say whether it was told to before that."""
        os.close(self._held)
        with self._said:
            return self._said.read() == "signalled\n"


@pytest.fixture
def follower() -> Iterator[Follower]:
    follower = Follower()
    yield follower
    assert follower.leader.reaped


def test_one_that_was_taken_keeps_its_pidfd_until_its_exit_is_noted() -> None:
    """Whoever watches the pidfd would never hear of it if a hold that ends meanwhile closed it."""
    child = launch(Request(["sh", "-c", "exit 3"]))
    pidfd = child.pidfd
    child.hold()
    status = await_exit(child)
    os.waitpid(child.pid, 0)
    child.note_taken(status)
    child.release()
    assert is_open(pidfd)
    child.note_exit(status)
    assert (is_open(pidfd), child.reaped, child.status) == (False, True, ExitStatus(3))


def test_reaped_when_its_exit_is_noted() -> None:
    child = launch(Request(["sh", "-c", "exit 3"]))
    status, pidfd = await_exit(child), child.pidfd
    assert not is_reaped(child.pid)
    child.note_exit(status)
    assert is_reaped(child.pid)
    assert not is_open(pidfd)
    assert (child.status, child.reaped) == (ExitStatus(3), True)
    assert child_of(child.pid) is None
    assert child not in living()
    assert repr(child) == f"<Child {child.pid}: exited with status 3, reaped>"


def test_not_reaped_while_held_by_anybody() -> None:
    child = launch(Request(["true"]))
    child.hold()
    child.hold()
    child.note_exit(await_exit(child))
    child.release()
    assert not is_reaped(child.pid)
    assert child_of(child.pid) is child
    child.release()
    assert is_reaped(child.pid)
    assert child_of(child.pid) is None


def test_reaped_before_who_watches_has_heard() -> None:
    """Unless it is held; the pidfd stays until they have."""
    child = launch(Request(["sh", "-c", "exit 3"]))
    status = await_exit(child)
    child.hold()
    assert child.reap_unheard(status) is False
    assert not is_reaped(child.pid)
    child.release()
    assert child.reap_unheard(status) is True
    assert is_reaped(child.pid)
    assert child.status == status
    assert is_open(child.pidfd)
    assert child.send_signal(signal.SIGKILL) is False
    assert child.reap_unheard(status) is False
    child.note_exit(status)
    assert child.reaped
    assert not is_open(child.pidfd)
    assert child_of(child.pid) is None


def test_a_hold_given_back_before_the_exit_reaps_nothing() -> None:
    child = launch(Request(["sleep", "60"]))
    child.hold()
    child.release()
    assert child.send_signal(signal.SIGKILL) is True
    child.note_exit(await_exit(child))
    assert is_reaped(child.pid)


def test_the_first_status_stands() -> None:
    child = launch(Request(["true"]))
    child.hold()
    child.note_exit(await_exit(child))
    child.note_exit(LOST)
    assert child.status == ExitStatus(0)
    child.release()
    child.note_exit(LOST)
    assert child.status == ExitStatus(0)


def test_signals_reach_it_while_it_runs() -> None:
    child = launch(Request(["sleep", "60"]))
    assert child.send_signal(0) is True
    assert child.send_signal(signal.SIGTERM) is True
    child.note_exit(await_exit(child))
    assert child.status == ExitStatus(None, signal.SIGTERM)
    assert child.send_signal(signal.SIGTERM) is False


def test_no_signal_once_its_exit_is_noted_even_if_held() -> None:
    child = launch(Request(["true"]))
    child.hold()
    child.note_exit(await_exit(child))
    assert child.send_signal(0) is False
    child.release()
    assert child.send_signal(0) is False


def test_signal_to_one_that_was_reaped_behind_our_back() -> None:
    child = launch(Request(["true"]))
    await_exit(child)
    os.waitpid(child.pid, 0)
    assert child.send_signal(signal.SIGTERM) is False
    child.note_exit(LOST)


def test_group_is_reached_while_its_number_is_held(follower: Follower) -> None:
    leader = follower.leader
    leader.hold()
    leader.note_exit(await_exit(leader))
    assert leader.signal_group(signal.SIGTERM) is True
    leader.release()
    assert follower.was_signalled()


def test_group_is_not_signalled_once_its_number_is_given_back(follower: Follower) -> None:
    leader = follower.leader
    leader.note_exit(await_exit(leader))
    assert leader.signal_group(signal.SIGTERM) is False
    assert not follower.was_signalled()


def test_group_is_not_signalled_if_somebody_else_gave_its_number_back(follower: Follower) -> None:
    leader = follower.leader
    leader.hold()
    await_exit(leader)
    os.waitpid(leader.pid, 0)
    leader.note_exit(LOST)
    assert leader.signal_group(signal.SIGTERM) is False
    leader.release()
    assert not follower.was_signalled()


def test_group_that_is_empty() -> None:
    child = launch(Request(["true"], process_group=0))
    await_exit(child)
    os.waitpid(child.pid, 0)
    assert child.signal_group(signal.SIGTERM) is False
    child.note_exit(LOST)


def test_group_of_one_that_leads_none_is_this_programs_own() -> None:
    child = launch(Request(["true"]))
    with pytest.raises(ValueError, match="leads no process group of its own"):
        child.signal_group(signal.SIGTERM)
    child.note_exit(await_exit(child))


def test_popen_is_told_the_returncode_when_it_is_reaped() -> None:
    child = launch_plain(Request(["sh", "-c", "exit 4"]))
    popen = child._popen
    assert popen is not None
    child.hold()
    child.note_exit(await_exit(child))
    assert popen.returncode is None
    child.release()
    assert popen.returncode == 4


def test_lost_status() -> None:
    child = launch_plain(Request(["true"]))
    popen = child._popen
    assert popen is not None
    await_exit(child)
    os.waitpid(child.pid, 0)
    child.note_exit(LOST)
    assert child.reaped
    assert child.status is LOST
    assert popen.returncode == 255


def test_popen_does_not_complain_when_it_is_collected() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        child = launch_plain(Request(["true"]))
        child.note_exit(await_exit(child))
        del child
        gc.collect()
    assert caught == []
    assert subprocess._active == []  # type: ignore[attr-defined]  # what would be waited for behind our back


def test_signalled_from_other_threads_while_it_is_reaped() -> None:
    """A descriptor's number is reused at once: a signal that came a moment late would be sent to something else."""
    answers: list[bool] = []
    errors: list[BaseException] = []
    stop = threading.Event()
    survivor = launch(Request(["sleep", "60"]))
    children = [survivor]

    def hammer() -> None:
        try:
            while not stop.is_set():
                answers.extend(child.send_signal(0) for child in (survivor, *children[-2:]))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=hammer) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(50):
            child = launch(Request(["true"]))
            children.append(child)
            child.note_exit(await_exit(child))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        survivor.send_signal(signal.SIGKILL)
        survivor.note_exit(await_exit(survivor))
    assert errors == []
    assert True in answers
    assert False in answers


FORKED = """
import os, sys, threading, warnings
from loopwright._spawning import Request, _ledger, child_of, launch, living
from loopwright._core import ExitStatus

child = launch(Request(["sleep", "60"]))
pidfd = child.pidfd
locked, let_go = threading.Event(), threading.Event()

def hold_the_lock():
    with _ledger._lock:
        locked.set()
        let_go.wait(30)

thread = threading.Thread(target=hold_the_lock)
thread.start()
locked.wait()
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: a fork where threads run; that is what is tried
    pid = os.fork()
if pid == 0:
    ok = living() == () and child_of(child.pid) is None
    ok = ok and child.send_signal(9) is False and not os.path.exists(f"/proc/self/fd/{pidfd}")
    del child
    sys.stderr.flush()
    os._exit(0 if ok else 1)
assert os.waitpid(pid, 0)[1] == 0
let_go.set()
thread.join()
assert child.send_signal(9) is True
os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOWAIT)
child.note_exit(ExitStatus(None, 9))
assert child.reaped
"""


def test_forked_child_of_the_program_forgets_them_and_its_parent_does_not() -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", FORKED], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


def test_many_at_once_are_told_apart() -> None:
    children = [launch(Request(["sh", "-c", f"exit {code}"])) for code in range(20)]
    assert set(children) <= set(living())
    assert [await_exit(child).code for child in children] == list(range(20))
    for child in children:
        child.note_exit(await_exit(child))
    assert not set(children) & set(living())
