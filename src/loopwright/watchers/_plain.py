"""A set of pidfds as `loopwright._native.PidfdSet` is one, for machines where that was not compiled.

`os.waitid()` hides the fifth argument of the system call, the resource usage (see that module), so it is reached
through ctypes; where the number of the call is not known, or ctypes is missing, the usage is None and all else the
same. About ten times the cost an exit; held to the same contract suite.
"""

from __future__ import annotations

import errno
import functools
import os
import platform
import select
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from loopwright._native._pidfds import Told

__all__ = ["PlainPidfdSet"]

#: `waitid` in the kernel's tables: x86-64 has its own numbers, every newer architecture the generic ones.
WAITID = {"x86_64": 247, "aarch64": 95, "riscv64": 95, "loongarch64": 95}

Usage = tuple[float, float, int, int, int, int, int, int, int]


class PlainPidfdSet:
    """See `loopwright._native._pidfds.PidfdSet`: the same methods, rules and results."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._keys: dict[int, int] = {}

    def fileno(self) -> int:
        """The set's own descriptor, readable while an entry is; ValueError after `close()`."""
        return self._epoll.fileno()

    def add(self, pidfd: int, key: int) -> None:
        """Tell of `pidfd` once, under `key`."""
        # select.epoll keeps only the descriptor beside an event, where the compiled set keeps the key as well; here
        # the key is looked up, and removed with the entry, so a stale event finds none.
        self._epoll.register(pidfd, select.EPOLLIN | select.EPOLLONESHOT)
        self._keys[pidfd] = key

    def add_or_hear(self, pidfd: int, key: int) -> bool:
        """As `add()`; whether it was added: always, for `drain()` asks soon enough."""
        self.add(pidfd, key)
        return True

    def rearm(self, pidfd: int, key: int) -> None:
        """Tell of a pidfd once more that was told of before."""
        self._epoll.modify(pidfd, select.EPOLLIN | select.EPOLLONESHOT)
        self._keys[pidfd] = key

    def discard(self, pidfd: int) -> None:
        """Stop watching `pidfd`, if it is watched. To be called before it is closed."""
        if self._keys.pop(pidfd, None) is not None and not self._epoll.closed:
            self._epoll.unregister(pidfd)

    def drain(self) -> list[Told]:
        """All that has ended and was not told yet, as (key, pid, si_code, si_status, usage)."""
        return [(self._keys[pidfd], *_ask(pidfd)) for pidfd, _ in self._epoll.poll(0) if pidfd in self._keys]

    def hear(self, children: dict[int, Any], heard: list[Any], rest: list[Told]) -> None:
        """Leave all of it to the caller, who knows what to do with what is no ordinary exit, and so with those."""
        del children, heard
        if not self._epoll.closed:
            rest.extend(self.drain())

    def is_left(self) -> bool:
        """Never."""
        return False

    def close(self) -> None:
        """Close the set, not the pidfds in it. Idempotent."""
        self._keys.clear()
        self._epoll.close()


def _ask(pidfd: int) -> tuple[int, int, int, Usage | None]:
    try:
        found = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    except OSError as error:
        return -1, error.errno or errno.EINVAL, 0, None
    if found is None:
        return 0, 0, 0, None
    return found.si_pid, found.si_code, found.si_status, _usage_asker()(pidfd)


@functools.cache  # at the first exit, not on import: ctypes takes its time, and the compiled PidfdSet needs none
def _usage_asker() -> Callable[[int], Usage | None]:
    """The function that asks for a zombie's resource usage; one that gives None where that cannot be asked."""
    number = WAITID.get(platform.machine())
    try:
        import ctypes  # here: a Python built without libffi has none
    except ImportError:
        number = None
    if number is None:
        return lambda _pidfd: None

    class Rusage(ctypes.Structure):
        # struct rusage of getrusage(2): two timevals, then fourteen longs
        _fields_ = (("times", ctypes.c_long * 4), ("counts", ctypes.c_long * 14))

    syscall = ctypes.CDLL(None, use_errno=True).syscall

    def usage(pidfd: int) -> Usage | None:
        info, used = ctypes.create_string_buffer(128), Rusage()
        flags = os.WEXITED | os.WNOWAIT | os.WNOHANG
        if syscall(number, os.P_PIDFD, pidfd, info, flags, ctypes.byref(used)) != 0:
            return None
        times, counts = used.times, used.counts
        return (
            times[0] + times[1] * 1e-6,
            times[2] + times[3] * 1e-6,
            counts[0] * 1024,  # KiB on Linux
            counts[4],
            counts[5],
            counts[7],
            counts[8],
            counts[12],
            counts[13],
        )

    return usage
