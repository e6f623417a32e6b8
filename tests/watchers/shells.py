"""Shells with a pidfd that begin when told to."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from loopwright._core import ResourceUsage
from loopwright._native import PidfdSet
from loopwright.watchers._plain import PlainPidfdSet

if TYPE_CHECKING:
    AnySet = PidfdSet | PlainPidfdSet


class Child:
    """A shell with a pidfd, which begins when told to."""

    def __init__(self, script: str) -> None:
        ours, theirs = os.pipe()
        actions = [(os.POSIX_SPAWN_DUP2, ours, 0)]
        self.pid = os.posix_spawn("/bin/sh", ["sh", "-c", f"read _; {script}"], os.environ, file_actions=actions)
        os.close(ours)
        self._held: int | None = theirs
        self.pidfd = os.pidfd_open(self.pid)
        self._reaped = False

    def go(self) -> None:
        """Let it begin."""
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def end(self) -> None:
        """Let it begin, and wait until it has ended."""
        self.go()
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)

    def reap(self) -> tuple[int, ResourceUsage]:
        """What wait4(2) says of it."""
        _, status, usage = os.wait4(self.pid, 0)
        self._reaped = True
        return status, ResourceUsage.from_rusage(usage)

    def drop(self) -> None:
        """Leave nothing of it."""
        self.go()
        if not self._reaped:
            os.kill(self.pid, signal.SIGKILL)
            self.reap()
        os.close(self.pidfd)


class Children:
    def __init__(self) -> None:
        self._made: list[Child] = []

    def __call__(self, script: str) -> Child:
        self._made.append(Child(script))
        return self._made[-1]

    def drop(self) -> None:
        for child in self._made:
            child.drop()
