"""Putting a guard beside this program while it runs."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

from loopwright.errors import CallerError
from loopwright.process import _cgroup, _guard
from loopwright.process._keeping import has_ended
from loopwright.process._pipes import PIPE
from loopwright.process._spawn import DEVNULL, spawn
from loopwright.process._standing import Standing, set_standing, standing

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from loopwright.process._process import Process

__all__ = ["Guard", "guard"]


class Guard:
    """The guard beside this program. `async with await guard():` dismisses it at the end of the block.

    On the thread of the loop on which it was started, but for `lost`.
    """

    def __init__(self, process: Process, pidfd: int, standing: Standing) -> None:
        self._process = process
        self._pidfd = pidfd
        self._standing = standing
        self._told = False
        self._gone = asyncio.Event()

    def __repr__(self) -> str:
        with_cgroups = "with cgroups" if self._standing.base is not None else "without cgroups"
        how = "dismissed" if self._pidfd < 0 else "has ended" if self.lost else with_cgroups
        return f"<Guard process {self.pid}: {how}>"

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def lost(self) -> bool:
        """Whether it has ended, and guards nothing any more."""
        return self._pidfd < 0 or has_ended(self._pidfd)

    def when_lost(self, callback: Callable[[], object]) -> None:
        """Have `callback()` called on the running loop if the guard is killed. Once; until it is dismissed."""
        loop = asyncio.get_running_loop()

        def lost() -> None:
            self._forget()
            callback()

        self._forget()
        self._told = True
        loop.add_reader(self._pidfd, lost)

    async def dismiss(self) -> None:
        """Send it away: what was started under it goes on, and is ended by nobody when this program is. Idempotent.

        Who asks for it while somebody else does so already waits until it is done.
        """
        if standing() is self._standing:
            set_standing(None)
        if self._pidfd < 0:
            await self._gone.wait()
            return
        self._forget()
        pidfd, self._pidfd = self._pidfd, -1
        try:
            async with self._process:
                await self._process.communicate(_guard.DISMISSED)
        finally:
            # It is gone in any case: a block that is cancelled kills it.
            os.close(pidfd)
            self._gone.set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.dismiss()

    def _forget(self) -> None:
        if self._told:
            self._told = False
            asyncio.get_running_loop().remove_reader(self._pidfd)


async def guard(*, cgroup: bool = True) -> Guard:
    """Start a guard: a small process beside this program that kills, once this has ended in whatever way, SIGKILL
    included, what `spawn()` has started since.

    Unlike `keep()` it may be called at any time, does not change this program, and does not touch what others start in
    it. It finds processes by a mark in their environment (LOOPWRIGHT_TREE), by descent, and, where this user may make
    them and `cgroup` is not False, by cgroups that each process started by `spawn()` is put into. Without cgroups,
    what was orphaned *and* has cleared its environment is not found. `Process.guarantee` says what holds.

    CallerError if a keeper or guard is in force already; OSError if it cannot be started.
    """
    above = standing()
    if above is not None and not above.lost():
        what = "kept" if above.inherits else "guarded"
        raise CallerError(f"this program is {what} already, by process {above.pid}: one keeper or guard is enough")
    base = None
    if cgroup:
        try:
            base = _cgroup.make_base(os.getpid())
            _cgroup.remove_strays(base)
        except OSError:
            base = None  # `cgroup_obstacle()` says why
    new = Standing(0, inherits=False, lost=lambda: False, base=base)
    ours = os.pidfd_open(os.getpid())
    try:
        process = await spawn(
            [sys.executable, "-I", "-S", _guard.__file__, str(ours), new.token, *([base] if base is not None else ())],
            stdin=PIPE,
            stdout=DEVNULL,
            cwd="/",
            pass_fds=(ours,),
            start_new_session=True,
        )
        new.pid = process.pid
        guarding = Guard(process, os.pidfd_open(process.pid), new)
    except BaseException:
        if base is not None:
            _cgroup.remove(base)
        raise
    finally:
        os.close(ours)
    new.lost = lambda: guarding.lost
    set_standing(new)
    return guarding
