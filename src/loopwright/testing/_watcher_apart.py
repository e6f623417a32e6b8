"""What a test of child watchers can do only to a process of its own: a forked child, to be spoilt and thrown away.

Theory of operation. A system call that fails cannot be had from the kernel on demand, but it can be forbidden: a
seccomp filter (seccomp(2)) answers it with the error of one's choice, for good, so it goes into a forked child of the
test. Such a child knows all that its parent found out about the machine before, and meets the filter only later, as a
program does that locks itself in after it has started.

The filter is a classic BPF program (the kernel's Documentation/userspace-api/seccomp_filter.rst): it is given the
number of the call and its arguments, and its answer is to allow it or the errno to fail with. The numbers are those of
x86-64; on other machines the tests that need them are skipped.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import resource
import signal
import struct
import threading
import traceback
import unittest
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "CLONE3",
    "PIDFD_OPEN",
    "THREADS",
    "WAITID_PIDFD",
    "Call",
    "apart",
    "check_can_deny",
    "deny",
    "fork_alive",
    "no_descriptor_left",
    "open_descriptors",
    "signals_raining",
]

#: Seconds after which the kernel ends a forked child that hangs, as on a lock which a thread held at the fork.
LIMIT = 30
#: Between two signals of the rain.
PAUSE = 0.001


@dataclass(frozen=True, slots=True)
class Call:
    """A system call of x86-64, or only those whose argument number `argument` has the value or one of the bits."""

    number: int
    argument: int = 0
    value: int | None = None
    bits: int | None = None


PIDFD_OPEN = Call(434)
WAITID_PIDFD = Call(247, 0, value=3)
CLONE3 = Call(435)
#: clone(2) with CLONE_THREAD. The C library tries clone3(2) before it, so deny that with ENOSYS, too.
THREADS = Call(56, 0, bits=0x0001_0000)

# linux/bpf_common.h, linux/seccomp.h, linux/audit.h, linux/prctl.h
LOAD, IF_EQUAL, IF_BITS, RETURN = 0x20, 0x15, 0x45, 0x06
ALLOW, FAIL = 0x7FFF_0000, 0x0005_0000
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16
X86_64 = 0xC000_003E
SECCOMP, SET_MODE_FILTER = 317, 1
PR_SET_NO_NEW_PRIVS = 38


def check_can_deny() -> None:
    """Skip the test where the numbers above are not those of this machine's calls."""
    if platform.machine() != "x86_64":
        raise unittest.SkipTest(f"the system calls to be denied have other numbers on {platform.machine()}")


def deny(errno: int, *calls: Call) -> None:
    """Have these system calls fail with `errno` in this process, for ever: only for a process of its own."""
    program = [_instruction(LOAD, ARCHITECTURE), _instruction(IF_EQUAL, X86_64, 1, 0), _instruction(RETURN, ALLOW)]
    for call in calls:
        program += [_instruction(LOAD, NUMBER)]
        tests: list[bytes] = []
        if call.value is not None or call.bits is not None:
            tests.append(_instruction(LOAD, ARGUMENTS + 8 * call.argument))
            kind, wanted = (IF_EQUAL, call.value) if call.value is not None else (IF_BITS, call.bits)
            tests.append(_instruction(kind, wanted or 0, 0, 1))
        program += [_instruction(IF_EQUAL, call.number, 0, len(tests) + 1), *tests, _instruction(RETURN, FAIL | errno)]
    program.append(_instruction(RETURN, ALLOW))
    libc = ctypes.CDLL(None, use_errno=True)
    code = ctypes.create_string_buffer(b"".join(program))
    header = struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or libc.syscall(SECCOMP, SET_MODE_FILTER, 0, header) != 0:
        raise OSError(ctypes.get_errno(), f"seccomp(2) says {os.strerror(ctypes.get_errno())}")


def _instruction(code: int, operand: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, operand)


def apart(function: Callable[[], object]) -> None:
    """Call a function in a forked child of this process, which ends at once; AssertionError if it raised, saying what.

    In the child the calling thread is the main thread, and the only one.
    """
    read, write = os.pipe()
    report = "it left no traceback"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: a runner's own thread is enough for it
        pid = os.fork()
    if pid == 0:
        code = 1
        try:
            signal.alarm(LIMIT)
            os.close(read)
            function()
            code = 0
        except BaseException:  # noqa: BLE001 - nothing may leave the forked child alive
            os.write(write, traceback.format_exc().encode()[-4096:])  # no more, or nobody might be there to read it
        finally:
            os._exit(code)
    os.close(write)
    try:
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status == 0:
            return
        os.set_blocking(read, False)  # it may have left nothing, and a process that holds the other end
        with contextlib.suppress(BlockingIOError):
            report = os.read(read, 4096).decode(errors="replace")
    finally:
        os.close(read)
    raise AssertionError(f"a forked child ended with {status}: {report}")


@contextlib.contextmanager
def fork_alive() -> Iterator[None]:
    """While the block lasts there is a forked copy of this process with all its descriptors, doing nothing."""
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # as above
        pid = os.fork()
    if pid == 0:
        try:
            os.close(write)
            os.read(read, 1)
        finally:
            os._exit(0)
    os.close(read)
    try:
        yield
    finally:
        os.close(write)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


def open_descriptors() -> int:
    """How many descriptors this process has."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir()) - 1  # less the one that the listing takes


@contextlib.contextmanager
def no_descriptor_left() -> Iterator[None]:
    """While the block lasts, whatever needs a descriptor fails with EMFILE (setrlimit(2), RLIMIT_NOFILE)."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    ballast = [os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)]
    highest = max(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, limits[1]))
    try:
        with contextlib.suppress(OSError):
            while True:  # the numbers below the limit that are free
                ballast.append(os.dup(ballast[0]))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for descriptor in ballast:
            os.close(descriptor)


@contextlib.contextmanager
def signals_raining() -> Iterator[None]:
    """While the block lasts, every thread's system calls are interrupted, a thousand times a second (EINTR).

    Only in a main thread, and only in a process of its own: it takes SIGUSR1.
    """
    # By the kernel's number of a thread: pthread_kill(3) of one that has just ended may crash.
    tgkill, stop, me = ctypes.CDLL(None).tgkill, threading.Event(), os.getpid()
    signal.signal(signal.SIGUSR1, lambda *_: None)
    signal.siginterrupt(signal.SIGUSR1, True)

    def rain() -> None:
        while not stop.wait(PAUSE):
            for entry in Path("/proc/self/task").iterdir():
                if int(entry.name) != threading.get_native_id():
                    tgkill(me, int(entry.name), signal.SIGUSR1)

    cloud = threading.Thread(target=rain)
    cloud.start()
    try:
        yield
    finally:
        stop.set()
        cloud.join()
