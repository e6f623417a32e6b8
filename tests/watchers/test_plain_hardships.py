"""Both sets of pidfds where the machine lacks something, or somebody else has a hand in it."""

from __future__ import annotations

import errno
import os
import resource
import select
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from loopwright._native import PidfdSet
from loopwright.watchers import _plain
from loopwright.watchers._plain import PlainPidfdSet
from tests.watchers.shells import Children

if TYPE_CHECKING:
    from collections.abc import Iterator

    AnySet = PidfdSet | PlainPidfdSet


@pytest.fixture(params=["plain"] if PidfdSet is None else ["compiled", "plain"])
def pidfds(request: pytest.FixtureRequest) -> Iterator[AnySet]:
    """An empty set, of each kind."""
    made = PidfdSet() if request.param == "compiled" else PlainPidfdSet()
    yield made
    made.close()


@pytest.fixture
def start() -> Iterator[Children]:
    """Starts shells that begin when told to."""
    children = Children()
    yield children
    children.drop()


def test_reaped_by_somebody_else(pidfds: AnySet, start: Children) -> None:
    child = start("exit 3")
    pidfds.add(child.pidfd, 1)
    child.end()
    child.reap()
    assert pidfds.drain() == [(1, -1, errno.ECHILD, 0, None)]


def test_process_that_is_no_child_of_ours(pidfds: AnySet) -> None:
    with subprocess.Popen(["sh", "-c", "sleep 60 & echo $!; read _"], stdin=-1, stdout=-1, text=True) as middle:
        assert middle.stdin is not None
        assert middle.stdout is not None
        stranger = os.pidfd_open(int(middle.stdout.readline()))
        pidfds.add(stranger, 1)
        signal.pidfd_send_signal(stranger, signal.SIGKILL)
        assert select.select([pidfds], [], [], 10)[0]
        assert pidfds.drain() == [(1, -1, errno.ECHILD, 0, None)]
        pidfds.discard(stranger)
        os.close(stranger)
        middle.stdin.close()


def test_descriptor_that_is_closed(pidfds: AnySet) -> None:
    number = os.dup(0)
    os.close(number)
    with pytest.raises(OSError) as caught:
        pidfds.add(number, 1)
    assert caught.value.errno == errno.EBADF
    assert pidfds.drain() == []


def test_no_descriptor_left(pidfds: AnySet) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    kind = type(pidfds)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(OSError) as caught:
            kind()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert caught.value.errno == errno.EMFILE


TRACER = """
import ctypes, os, sys
PTRACE_SEIZE = 0x4206
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
failed = libc.ptrace(PTRACE_SEIZE, int(sys.argv[1]), None, None)
print(os.strerror(ctypes.get_errno()) if failed else "seized", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def tracer() -> Iterator[subprocess.Popen[str]]:
    """A debugger: it seizes the process whose number it is told, and lets go when its input ends."""
    made = subprocess.Popen(
        ["sh", "-c", f'read pid; exec {sys.executable} -S -c "$0" $pid', TRACER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with made:
        yield made


def test_traced_zombie_is_withheld_until_its_tracer_lets_go(
    pidfds: AnySet, start: Children, tracer: subprocess.Popen[str]
) -> None:
    assert tracer.stdin is not None
    assert tracer.stdout is not None
    child = start("exit 6")
    tracer.stdin.write(f"{child.pid}\n")
    tracer.stdin.flush()
    answer = tracer.stdout.readline().strip()
    if answer != "seized":
        pytest.skip(f"tracing is not allowed here: {answer}")
    pidfds.add(child.pidfd, 1)
    child.go()
    assert select.select([pidfds], [], [], 10)[0]
    assert pidfds.drain() == [(1, 0, 0, 0, None)]
    pidfds.rearm(child.pidfd, 1)
    assert pidfds.drain() == [(1, 0, 0, 0, None)]
    tracer.stdin.close()
    tracer.wait()
    pidfds.rearm(child.pidfd, 1)
    ((_, pid, code, value, _),) = pidfds.drain()
    assert (pid, code, value) == (child.pid, os.CLD_EXITED, 6)


# The plain one alone


@pytest.mark.parametrize("lack", ["number", "ctypes"])
def test_usage_is_none_where_it_cannot_be_asked(
    lack: str, start: Children, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if lack == "number":
        monkeypatch.setattr("platform.machine", lambda: "vax")
    else:
        monkeypatch.setitem(sys.modules, "ctypes", None)
    _plain._usage_asker.cache_clear()
    request.addfinalizer(_plain._usage_asker.cache_clear)
    child = start("exit 2")
    pidfds = PlainPidfdSet()
    pidfds.add(child.pidfd, 1)
    child.end()
    assert pidfds.drain() == [(1, child.pid, os.CLD_EXITED, 2, None)]
    pidfds.close()


def test_usage_is_none_if_somebody_reaps_it_in_between(start: Children) -> None:
    child = start("exit 0")
    child.end()
    child.reap()
    assert _plain._usage_asker()(child.pidfd) is None
