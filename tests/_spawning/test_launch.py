"""Starting in the calling thread: the ledger, what is leased to it, and what is left when it fails."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from loopwright import _native
from loopwright._core import ExitStatus, StatusLost
from loopwright._spawning import (
    INHERITED,
    NULL,
    Child,
    Request,
    child_of,
    compiled_obstacle,
    launch,
    launch_plain,
    living,
    start_here,
)
from loopwright.errors import ArgumentsConflictError, MechanismUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    Way = Callable[[Request], Child]


@pytest.fixture(params=["compiled", "plain"])
def way(request: pytest.FixtureRequest) -> Way:
    """Starts by each of the two ways."""
    if request.param == "plain":
        return launch_plain
    if (obstacle := compiled_obstacle()) is not None:
        pytest.skip(obstacle)
    return launch


def finish(child: Child) -> ExitStatus:
    """Wait for its exit and have it reaped."""
    found = os.waitid(os.P_PIDFD, child.pidfd, os.WEXITED | os.WNOWAIT)
    assert found is not None
    status = ExitStatus.from_siginfo(found.si_code, found.si_status)
    child.note_exit(status)
    return status


def test_started_and_in_the_ledger(way: Way) -> None:
    child = way(Request(["sh", "-c", "exit 3"]))
    assert child_of(child.pid) is child
    assert child in living()
    assert not os.get_inheritable(child.pidfd)
    assert finish(child) == ExitStatus(3)
    assert child_of(child.pid) is None


@pytest.mark.parametrize(
    ("options", "leads"),
    [({}, False), ({"process_group": 0}, True), ({"start_new_session": True}, True), ({"process_group": None}, False)],
)
def test_whether_it_leads_a_group(way: Way, options: dict[str, Any], leads: bool) -> None:
    child = way(Request(["sh", "-c", "read _"], (NULL, INHERITED, INHERITED), **options))
    try:
        assert child.leads_group is leads
        assert (os.getpgid(child.pid) == child.pid) is leads
    finally:
        finish(child)


def test_no_descriptors_left_to_start_with(way: Way) -> None:
    finish(way(Request(["true"])))  # what is opened once is there from now on
    before = living()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        with pytest.raises(OSError) as caught:
            way(Request(["true"]))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert caught.value.errno == errno.EMFILE
    assert living() == before


@pytest.mark.skipif(compiled_obstacle() is not None, reason=str(compiled_obstacle()))
def test_a_plain_request_is_tried_once() -> None:
    """What it failed at is raised there and then: a second start would cost as much again, and might end otherwise."""
    child = start_here(Request(["true"]))
    assert child is not None
    assert finish(child) == ExitStatus(0)
    with pytest.raises(FileNotFoundError) as caught:
        start_here(Request(["/no/such/program"]))
    assert caught.value.filename == "/no/such/program"
    assert start_here(Request([])) is None  # which order() explains
    assert start_here(Request(["true"], cwd="/")) is None


def test_no_pidfd_the_plain_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Popen itself needs is more, so the shortage cannot be made by a limit: it is injected here. The child runs
    by then, so it is no failure to start it."""

    def no_room(pid: int, flags: int = 0) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "pidfd_open", no_room)
    child = launch_plain(Request(["sleep", "60"]))
    assert child.pidfd == -1
    assert child.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    child.note_exit(ExitStatus(None, signal.SIGKILL))
    assert child.reaped


def test_signal_statuses_reach_popen() -> None:
    child = launch_plain(Request(["sleep", "60"]))
    popen = child._popen
    assert popen is not None
    assert child.send_signal(signal.SIGTERM) is True
    finish(child)
    assert popen.returncode == -signal.SIGTERM


def test_a_child_that_was_reaped_before_we_could_look_has_run_and_lost_its_status(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def reaped_meanwhile(pid: int, flags: int = 0) -> int:
        os.waitpid(pid, 0)  # as another thread that waits for any child does
        return real(pid, flags)

    real = os.pidfd_open
    monkeypatch.setattr(os, "pidfd_open", reaped_meanwhile)
    child = launch_plain(Request(["true"], start_new_session=True))
    assert isinstance(child.status, StatusLost)
    assert child.reaped
    assert child_of(child.pid) is None
    assert not child.send_signal(signal.SIGTERM)
    assert not child.signal_group(signal.SIGTERM)


def test_a_parent_death_signal_is_never_tied_to_a_thread_that_may_end(way: Way) -> None:
    with pytest.raises(MechanismUnavailableError, match="thread"):
        way(Request(["true"], parent_death_signal=signal.SIGKILL))


@pytest.mark.parametrize(
    ("options", "kind", "told"),
    [
        ({"args": []}, ValueError, "program to start"),
        ({"args": ["true", 3]}, TypeError, "str, bytes or os.PathLike"),
        ({"args": ["true", "a\0b"]}, ValueError, r"null byte in 'a\\x00b'"),
        ({"cwd": "a\0b"}, ValueError, "null byte"),
        ({"env": {"A=": "b"}}, ValueError, "'A='"),
        ({"env": {"PATH": "/bin", b"PATH": b"/bin"}}, ValueError, "PATH"),
        ({"process_group": -2}, ValueError, "-2"),
        ({"process_group": 1, "start_new_session": True}, ArgumentsConflictError, "process group 1"),
        ({"pass_fds": [-1]}, ValueError, "-1"),
        ({"pass_fds": [2**32 + 1]}, ValueError, str(2**32 + 1)),
        ({"pass_fds": ["0"]}, ValueError, "'0'"),
        ({"nice": 20}, ValueError, "-20 to 19"),
        ({"affinity": []}, ValueError, "at least one"),
        ({"affinity": [-1]}, ValueError, "-1"),
        ({"rlimits": {resource.RLIMIT_CPU: "1"}}, ValueError, "'1'"),
        ({"rlimits": {resource.RLIMIT_CPU: 2**65}}, ValueError, str(2**65)),
        ({"rlimits": {resource.RLIMIT_CPU: (1, -2)}}, ValueError, "-2"),
        ({"parent_death_signal": 9999}, ValueError, "SIGKILL"),
        ({"user": "no such user"}, ValueError, "'no such user'"),
        ({"group": "no such group"}, ValueError, "'no such group'"),
        ({"group": -1}, ValueError, "-1"),
        ({"extra_groups": "wheel"}, TypeError, "'wheel'"),
        ({"extra_groups": [1.5]}, TypeError, "1.5"),
    ],
)
@pytest.mark.parametrize("pure", [False, True])
def test_bad_input_is_named_whichever_way_it_would_go(
    monkeypatch: pytest.MonkeyPatch, pure: bool, options: dict[str, Any], kind: type[Exception], told: str
) -> None:
    if pure:
        monkeypatch.setattr(_native, "Start", None)
        monkeypatch.setattr(_native, "MISSING", "for this test")
        if "parent_death_signal" in options:
            pytest.skip("refused as such")
    from loopwright._spawning import order

    with pytest.raises(kind, match=told):
        order(Request(**{"args": ["true"], **options}))


SECCOMP = """
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
number, answer = int(sys.argv[1]), int(sys.argv[2])
LOAD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06
program = b"".join(struct.pack("HBBI", *step) for step in [
    (LOAD, 0, 0, 0), (JUMP_EQUAL, 0, 1, number), (RETURN, 0, 0, 0x00050000 | answer), (RETURN, 0, 0, 0x7FFF0000)])
held = ctypes.create_string_buffer(program)
fprog = ctypes.create_string_buffer(struct.pack("HxxxxxxP", 4, ctypes.addressof(held)))
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, fprog, 0, 0) == 0, os.strerror(ctypes.get_errno())
import asyncio, signal
from loopwright._spawning import compiled_obstacle
from loopwright.process import PIPE, spawn
from loopwright.errors import MechanismUnavailableError
from loopwright.testing import LeakCheck
async def main():
    async with await spawn(["cat"], stdin=PIPE, stdout=PIPE, cwd="/", umask=0o77, nice=5, process_group=0) as process:
        assert await process.communicate(b"hello") == (b"hello", None)
        assert process.returncode == 0
    for wish in ({"parent_death_signal": signal.SIGKILL}, {"pid_namespace": True}):
        try:
            await spawn(["true"], **wish)
        except MechanismUnavailableError as error:
            print(error)
    try:
        await spawn(["/no/such/program"])
    except FileNotFoundError as error:
        assert error.filename == "/no/such/program"
asyncio.run(main())
with LeakCheck():
    asyncio.run(main())
print(compiled_obstacle())
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of system calls are an architecture's own")
@pytest.mark.parametrize("answer", [errno.ENOSYS, errno.EPERM])
@pytest.mark.parametrize("call", [435, 436], ids=["clone3", "close_range"])
def test_a_filter_that_refuses_what_the_compiled_way_needs(call: int, answer: int) -> None:
    if (obstacle := compiled_obstacle()) is not None:
        pytest.skip(obstacle)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SECCOMP, str(call), str(answer)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == 5
    assert "needs the compiled way" in lines[0]
    assert "needs the compiled way" in lines[1]
    assert "filter" in lines[-1]
    assert os.strerror(answer) in lines[-1]
