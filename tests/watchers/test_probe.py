"""Each way in which a machine can lack process descriptors is answered with a reason, and nothing is half done."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from loopwright import _native, watchers
from loopwright.errors import MechanismUnavailableError
from loopwright.watchers import Mechanism, PidfdChildWatcher, _probe, choose, default_watcher, probe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    def forget() -> None:
        for remembered in ("try_pidfd", "probe_thread", "probe_polling", "probe_sigchld", "probe_waitany"):
            getattr(_probe, remembered).cache_clear()

    forget()
    yield
    forget()


def failing(number: int) -> Callable[..., int]:
    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    return fail


def the_mechanism() -> Mechanism:
    found = probe()[0]
    assert (found.name, found.watcher) == ("pidfd", "PidfdChildWatcher")
    return found


def refusal() -> str:
    """What registering says where the mechanism does not work; nothing may be left of it."""

    async def register() -> str:
        with pytest.raises(MechanismUnavailableError) as caught:
            watcher.add_child_handler(1, print)
        assert isinstance(caught.value, OSError)
        return str(caught.value)

    watcher = PidfdChildWatcher()
    assert watcher.is_active() is False
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        said = runner.run(register())
    assert watcher.remove_child_handler(1) is False
    watcher.close()
    return said


def test_works_here_and_says_how() -> None:
    found = the_mechanism()
    assert found.works
    assert "work on Linux" in found.reason
    assert found.reason.endswith("(compiled)" if _native.PidfdSet is not None else f"as {_native.MISSING})")


def test_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    first = the_mechanism()
    monkeypatch.setattr(os, "pidfd_open", failing(errno.ENOSYS))
    assert the_mechanism() is first


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM])
def test_no_pidfd_open(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "pidfd_open", failing(number))
    found = the_mechanism()
    assert not found.works
    assert (
        found.reason
        == f"pidfd_open(2) says {os.strerror(number)}: it needs Linux 5.3 and a seccomp filter that allows it"
    )
    assert refusal() == f"cannot watch process 1: {found.reason}"


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EPERM])
def test_no_waiting_by_pidfd(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "waitid", failing(number))
    found = the_mechanism()
    assert not found.works
    assert found.reason.startswith(f"waitid(P_PIDFD) says {os.strerror(number)}: it needs Linux 5.4")
    assert refusal() == f"cannot watch process 1: {found.reason}"


@pytest.mark.parametrize("name", ["pidfd_open", "P_PIDFD"])
def test_python_without_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, name)
    found = the_mechanism()
    assert not found.works
    assert "this Python for linux was built without it" in found.reason
    assert refusal().endswith(found.reason)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_no_room_at_the_moment_is_not_remembered(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "pidfd_open", failing(number))
        found = the_mechanism()
        assert not found.works
        assert found.reason == f"pidfd_open(2) says {os.strerror(number)}; try again later"
        with pytest.raises(OSError) as caught:
            _probe.try_pidfd()
        assert caught.value.errno == number
    assert the_mechanism().works


FILTERED = """
import asyncio, ctypes, os, struct, sys
from loopwright.watchers import PidfdChildWatcher, choose, default_watcher, probe

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
number, answer = int(sys.argv[1]), int(sys.argv[2])
program = b"".join(struct.pack("HBBI", *step) for step in (
    (0x20, 0, 0, 0),            # load the number of the call
    (0x15, 0, 1, number),       # is it this one?
    (0x06, 0, 0, ERRNO | answer),
    (0x06, 0, 0, ALLOW),
))
code = ctypes.create_string_buffer(program, len(program))
class Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))
libc = ctypes.CDLL(None, use_errno=True)
libc.prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)
filter = Filter(4, ctypes.addressof(code))
assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, os.strerror(ctypes.get_errno())
if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(filter), 0, 0):
    sys.exit(f"no filters here: {os.strerror(ctypes.get_errno())}")
async def watch():
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 3"], os.environ)
    return await default_watcher().watch(pid)
found = probe()[0]
told = asyncio.run(watch())
print(found.works, PidfdChildWatcher().is_active(), found.reason, choose().name, choose().reason, told.code, sep="|")
"""
PIDFD_OPEN = 434  # the same on every architecture


@pytest.mark.parametrize("answer", [errno.ENOSYS, errno.EPERM])
def test_a_real_seccomp_filter(answer: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILTERED, str(PIDFD_OPEN), str(answer)], capture_output=True, text=True, timeout=30
    )
    if "no filters here" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert (done.returncode, done.stderr) == (0, "")
    works, active, reason, chosen, why, code = done.stdout.strip().split("|")
    assert (works, active) == ("False", "False")
    assert reason.startswith(f"pidfd_open(2) says {os.strerror(answer)}")
    assert chosen == "thread"
    assert f"not pidfd, because {reason}" in why
    assert code == "3"


# Which is chosen


def test_every_mechanism_is_listed_the_best_first() -> None:
    found = probe()
    assert [mechanism.name for mechanism in found] == ["pidfd", "kqueue", "thread", "polling", "sigchld", "waitany"]
    assert [mechanism.name for mechanism in found if not mechanism.by_default] == ["sigchld", "waitany"]
    assert [mechanism.name for mechanism in found if not mechanism.works] == ["kqueue"]
    assert all(mechanism.reason for mechanism in found)
    for mechanism in found:
        for name in mechanism.watcher.split(", "):
            assert issubclass(getattr(watchers, name), watchers.AbstractChildWatcher)


def test_best_is_chosen() -> None:
    chosen = choose()
    assert (chosen.name, chosen.reason) == ("pidfd", probe()[0].reason)
    made = default_watcher()
    assert isinstance(made, PidfdChildWatcher)
    assert default_watcher() is not made


def test_next_best_is_chosen_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "pidfd_open", failing(errno.ENOSYS))
    chosen = choose()
    assert chosen.name == "thread"
    assert "not pidfd, because pidfd_open(2) says Function not implemented" in chosen.reason
    assert "not kqueue, because there is no kqueue(2) on linux" in chosen.reason
    assert isinstance(default_watcher(), watchers.ThreadedChildWatcher)
    monkeypatch.setattr(_probe, "probe_thread", lambda: Mechanism("thread", "ThreadedChildWatcher", False, "no"))
    assert isinstance(default_watcher(), watchers.PollingChildWatcher)


def test_nothing_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "pidfd_open", failing(errno.ENOSYS))
    monkeypatch.setattr(os, "waitid", failing(errno.EPERM))
    with pytest.raises(MechanismUnavailableError, match=r"not pidfd.*not thread, because waitid\(2\) says"):
        default_watcher()
