"""Which ways of hearing of exits work on this machine, tried rather than guessed from version numbers.

A kernel may have a call and a container's seccomp filter refuse it, with EPERM or ENOSYS as its author liked; the only
way to know is to call.
"""

from __future__ import annotations

import errno
import functools
import os
import platform
import sys
from dataclasses import dataclass

from loopwright import _native

__all__ = ["Mechanism", "probe", "probe_pidfd", "try_pidfd"]

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


def probe() -> tuple[Mechanism, ...]:
    """Every mechanism that Loopwright can use, the best first. Makes a few system calls the first time; cached."""
    return (probe_pidfd(),)


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
