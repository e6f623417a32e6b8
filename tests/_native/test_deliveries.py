"""Starts on their way back to their loops: those that ended meanwhile, and those that nobody comes for."""

from __future__ import annotations

import contextlib
import gc
import os
import random
import resource
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from loopwright import _native
from tests._native.starts import a_start, come_back, port, settle, until
from tests.kin import childless, exit_code_of_copy

if _native.MISSING is None:
    from loopwright._native import Start, StartPort, _starts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loopwright._core import ExitStatus

__all__ = ["port"]

TRIES = 20
"""Which of them have ended when they are asked is a matter of chance: the relief thread may ask too early."""


def brief(*argv: str) -> Start:
    return a_start(*argv, flags=_starts.CLOSE_FDS | _starts.SETTLE_LATE)


def submitted(port: StartPort, starts: Sequence[Start]) -> Sequence[Start]:
    """In one go, and all of them begun: behind one that takes its time, and so while others were queued."""
    searched = (*[b"/no/such/program"] * 20_000, b"/no/program/either")
    assert Start(searched, (b"searched",), None, None, (-1, -1, -1), _starts.CLOSE_FDS, (), None).submit(port)
    assert all(start.submit(port) for start in starts)
    settle()
    return starts


def come_for(port: StartPort, starts: Sequence[Start]) -> None:
    assert set(starts) < set(come_back(port, len(starts) + 1))


def states() -> list[bytes]:
    """Of the children of this program: S for one that sleeps, Z for one that has ended."""
    numbers = []
    for thread in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that ended meanwhile
            numbers += (thread / "children").read_text().split()
    found = []
    for number in numbers:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # reaped before it was opened, or read
            found.append(Path(f"/proc/{number}/stat").read_bytes().rpartition(b") ")[2][:1])
    return found


def pidfds() -> int:
    count = 0
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile, as that of the list is
            count += "pidfd" in os.readlink(f"/proc/self/fd/{number}")
    return count


def named(pidfd: int) -> int:
    """The process that a descriptor stands for."""
    return int(Path(f"/proc/self/fdinfo/{pidfd}").read_text().partition("\nPid:")[2].split()[0])


def reap(start: Start, known: list[ExitStatus]) -> int:
    """The exit code of a start's child, whose status may be known before."""
    pid, pidfd, status = start.take()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status is None:
        os.close(pidfd)
    else:
        known.append(status)
        assert pidfd == -1
        assert status.usage is not None
        assert status.returncode == code
    return code


def test_what_has_ended_comes_with_its_status(port: StartPort) -> None:
    for _ in range(TRIES):
        starts = submitted(port, [brief("/bin/sh", "-c", f"exit {code}") for code in range(100)])
        until(lambda: set(states()) <= {b"Z"}, "all have ended")
        come_for(port, starts)
        known: list[ExitStatus] = []
        assert [reap(start, known) for start in starts] == list(range(100))
        assert childless()
        if len(known) > 90:
            return
    pytest.fail("their statuses were left to be asked for")


def test_a_signal_that_ended_it(port: StartPort) -> None:
    starts = submitted(port, [brief("/bin/sh", "-c", "kill -TERM $$") for _ in range(20)])
    until(lambda: set(states()) <= {b"Z"}, "all have ended")
    come_for(port, starts)
    assert [reap(start, []) for start in starts] == [-signal.SIGTERM] * 20


def test_what_still_runs_has_a_descriptor(port: StartPort) -> None:
    starts = submitted(port, [brief("/bin/sleep", "1000") for _ in range(30)])
    come_for(port, starts)
    for start in starts:
        pid, pidfd, status = start.take()
        assert status is None
        assert named(pidfd) == pid
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.close(pidfd)
        os.waitpid(pid, 0)


def test_what_did_not_ask_for_it_has_a_descriptor(port: StartPort) -> None:
    starts = submitted(port, [a_start("/bin/true") for _ in range(30)])
    until(lambda: set(states()) <= {b"Z"}, "all have ended")
    time.sleep(0.15)  # the relief thread has looked
    come_for(port, starts)
    known: list[ExitStatus] = []
    assert [reap(start, known) for start in starts] == [0] * 30
    assert not known


def test_a_loop_that_does_not_come_for_them(port: StartPort) -> None:
    """Their numbers are theirs only so long: somebody else looks after them within two twentieths of a second."""
    for _ in range(TRIES):
        before = pidfds()
        quick = submitted(port, [brief("/bin/true") for _ in range(30)])
        slow = submitted(port, [brief("/bin/sleep", "1000") for _ in range(30)])
        until(lambda seen=before: pidfds() - seen >= 30, "those that run have a descriptor", 5.0)
        until(lambda: set(states()) <= {b"S", b"Z"}, "the others have ended")
        come_back(port, 62)
        known: list[ExitStatus] = []
        assert [reap(start, known) for start in quick] == [0] * 30
        for start in slow:
            start.abandon()
        assert childless()
        if len(known) > 20:
            return
    pytest.fail("those that had ended have a descriptor")


@pytest.mark.parametrize("how", ["abandoned", "dropped", "port closed"])
def test_nobody_wants_them_any_more(how: str) -> None:
    port = StartPort()
    before = pidfds()
    starts = [brief("/bin/sleep", "1000") for _ in range(30)]
    for start in starts:
        assert start.submit(port)
    if how == "abandoned":
        for start in starts:
            start.abandon()
    if how == "dropped":
        settle()
        port.drain()
    port.close()
    del starts, start
    settle()
    StartPort().drain()  # somebody with the GIL lets go of what nobody wanted
    gc.collect()
    assert childless()
    assert pidfds() == before


def test_somebody_else_reaps_them_first(port: StartPort) -> None:
    done = threading.Event()
    stolen: dict[int, int] = {}

    def steal() -> None:
        while not done.is_set():
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                pid = 0
            if pid:
                stolen[pid] = os.waitstatus_to_exitcode(status)

    thief = threading.Thread(target=steal)
    thief.start()
    try:
        starts = submitted(port, [brief("/bin/sh", "-c", f"exit {code}") for code in range(50)])
        come_for(port, starts)
        gone = [start.was_reaped for start in starts]
        taken = [start.take() for start in starts]
        until(lambda: not states(), "all have ended, and are reaped")
    finally:
        done.set()
        thief.join()
    for code, (pid, pidfd, status) in enumerate(taken):
        assert stolen[pid] == code
        assert status is None or status.returncode == code
        assert not gone[code] or (pidfd, status) == (-1, None)
        if pidfd >= 0:
            os.close(pidfd)


def test_no_descriptor_is_left_for_them(port: StartPort) -> None:
    """They can be ended all the same."""
    assert any(without_one(port) for _ in range(TRIES))


def without_one(port: StartPort) -> bool:
    """Whether some were started, and then found none left; all of them are ended."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    starts = [brief("/bin/sleep", "1000") for _ in range(20)]
    highest = max(int(number) for number in os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 3, hard))
    more = []
    try:
        while True:
            try:
                more.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                break
        os.close(more.pop())  # the one that takes its time is made with a descriptor
        submitted(port, starts)
        come_for(port, starts)
        runs = [start for start in starts if not start.error]
        taken = [start.take() for start in runs[:5]]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for number in more:
            os.close(number)
    for pid, pidfd, status in taken:
        assert status is None
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        if pidfd >= 0:
            os.close(pidfd)
    del starts, runs
    gc.collect()
    assert childless()
    return (-1, None) in [each[1:] for each in taken]


def test_given_up_while_the_relief_thread_looks_after_them() -> None:
    """Both would give it a descriptor, and one would be lost."""
    before = pidfds()
    port = StartPort()
    for _ in range(15):
        starts = submitted(port, [brief("/bin/sleep", "1000") for _ in range(40)])
        time.sleep(random.uniform(0, 0.06))
        for start in starts:
            start.abandon()
        port.drain()
    port.close()
    del starts, start
    assert childless()
    assert pidfds() == before


def test_a_forked_child_of_a_program_whose_loop_has_not_come_for_them(port: StartPort) -> None:
    starts = submitted(port, [brief("/bin/true") for _ in range(10)])
    assert exit_code_of_copy(port.close) == 0
    come_for(port, starts)
    assert [reap(start, []) for start in starts] == [0] * 10
