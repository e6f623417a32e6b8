"""Which ways of hearing of exits work on this machine, tried rather than guessed from version numbers.

A kernel may have a call and a container's seccomp filter refuse it, with EPERM or ENOSYS as its author liked; the only
way to know is to call.
"""

from __future__ import annotations

import errno
import functools
import os
import platform
import select
import signal
import sys
from dataclasses import dataclass

from loopwright import _native

__all__ = [
    "Mechanism",
    "probe",
    "probe_kqueue",
    "probe_pidfd",
    "probe_polling",
    "probe_sigchld",
    "probe_thread",
    "probe_waitany",
    "try_pidfd",
]

#: What a call says that works, at a moment when there is no room: no reason to believe so for ever.
NO_ROOM = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM))


@dataclass(frozen=True, slots=True)
class Mechanism:
    """One way of hearing of exits, and whether it works here."""

    name: str
    watcher: str
    """The class that uses it."""
    works: bool
    reason: str
    """Why it works or does not, as a sentence for a person."""
    by_default: bool = True
    """Whether `default_watcher()` may choose it: not if it interferes with other code in the program."""


def probe() -> tuple[Mechanism, ...]:
    """Every mechanism that Loopwright can use, the best first. Makes a few system calls the first time; cached."""
    return (
        probe_pidfd(),
        probe_kqueue(),
        probe_thread(),
        probe_polling(),
        probe_sigchld(),
        probe_waitany(),
    )


def probe_kqueue() -> Mechanism:
    """Whether there is a kqueue(2): macOS and the BSDs."""
    works = hasattr(select, "kqueue")
    reason = "kqueue(2) tells of processes; not tested" if works else f"there is no kqueue(2) on {sys.platform}"
    return Mechanism("kqueue", "KqueueChildWatcher", works, reason)


@functools.cache
def probe_thread() -> Mechanism:
    """Whether a thread can wait for a child and leave it unreaped."""
    works, reason = _can_wait()
    return Mechanism("thread", "ThreadedChildWatcher", works, f"{reason}; a thread a child" if works else reason)


@functools.cache
def probe_polling() -> Mechanism:
    """Whether a child can be asked after without waiting."""
    works, reason = _can_wait()
    return Mechanism(
        "polling", "PollingChildWatcher", works, f"{reason}; up to a tenth of a second late" if works else reason
    )


@functools.cache
def probe_sigchld() -> Mechanism:
    """Whether the kernel signals exits, and children can be asked after."""
    works, reason = _can_wait()
    if not hasattr(signal, "SIGCHLD"):
        works, reason = False, f"there is no SIGCHLD on {sys.platform}"
    elif works:
        reason = "SIGCHLD tells that some child has ended; only on request, as it takes the signal's one handler"
    return Mechanism("sigchld", "MultiLoopChildWatcher, SafeChildWatcher", works, reason, by_default=False)


@functools.cache
def probe_waitany() -> Mechanism:
    """As `probe_sigchld()`: the rest is what every Unix has."""
    works, reason = probe_sigchld().works, probe_sigchld().reason
    if works:
        reason = "waitpid(-1) after SIGCHLD; only on request, as it reaps everybody's children"
    return Mechanism("waitany", "FastChildWatcher", works, reason, by_default=False)


def _can_wait() -> tuple[bool, str]:
    if not hasattr(os, "waitid"):
        if hasattr(os, "fork") and hasattr(os, "waitpid"):
            return True, "waitpid(2) works, and reaps a child before its end can be told; not tested"
        return False, f"this Python for {sys.platform} has no waitid(2)"
    try:
        os.waitid(os.P_PID, os.getpid(), os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:  # what it must say: this process is not its own child
        return True, "waitid(2) works"
    except OSError as error:
        return False, f"waitid(2) says {error.strerror}"
    return False, "waitid(2) took this process for its own child"


def probe_pidfd() -> Mechanism:
    """Whether process descriptors work: `pidfd_open(2)` and `waitid(P_PIDFD)`, Linux 5.4."""
    try:
        return try_pidfd()
    except OSError as error:
        return Mechanism("pidfd", "PidfdChildWatcher", False, f"pidfd_open(2) says {error.strerror}; try again later")


@functools.cache
def try_pidfd() -> Mechanism:
    """As `probe_pidfd()`, but OSError, and nothing remembered, if no descriptor or memory is left to find out with."""
    works, reason = _call_the_kernel()
    if works:
        how = "compiled" if _native.PidfdSet is not None else f"plain Python, as {_native.MISSING}"
        reason = f"{reason} ({how})"
    return Mechanism("pidfd", "PidfdChildWatcher", works, reason)


def _call_the_kernel() -> tuple[bool, str]:
    if not hasattr(os, "pidfd_open") or not hasattr(os, "P_PIDFD"):
        return False, f"pidfd_open(2) is a Linux call, and this Python for {sys.platform} was built without it"
    try:
        descriptor = os.pidfd_open(os.getpid())
    except OSError as error:
        if error.errno in NO_ROOM:
            raise
        return False, f"pidfd_open(2) says {error.strerror}: it needs Linux 5.3 and a seccomp filter that allows it"
    try:
        os.waitid(os.P_PIDFD, descriptor, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        # What it must say: this process is not its own child.
        return True, f"pidfd_open(2) and waitid(P_PIDFD) work on Linux {platform.release()}"
    except OSError as error:
        return False, f"waitid(P_PIDFD) says {error.strerror}: it needs Linux 5.4 and a seccomp filter that allows it"
    finally:
        os.close(descriptor)
    return False, "waitid(P_PIDFD) took this process for its own child"
