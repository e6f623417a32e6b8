"""Ending a whole tree: looks, asks `_tree.py` what is next, does it, until nothing is left.

Theory of operation. The first that asks for an ending starts a task, and everybody who asks waits for that one. A task
of its own, because whoever waits may be cancelled, and what is half stopped must not be left so: a cancellation ends
the grace period, the waiting goes on until all is over, and only then is the cancellation raised. The leader is held
in the ledger meanwhile, so that its number, which is its group's, stays its own.

What has ended and left nothing, as most do, is told by `_emptiness.py` without a look. Looks are shared between the
trees that are ended at the same time, for a look reads the whole of /proc: one that began after a tree's last signal
is as good for it as one of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import math
import os
import signal as signals
import time
from typing import TYPE_CHECKING, Any

from loopwright._core import StatusLost, helper
from loopwright.process import _proc, _tree
from loopwright.process._emptiness import is_empty
from loopwright.process._ended import CGROUP, DOUBTFUL, FORBIDDEN, HANGS, UNMARKED, Ended, Left
from loopwright.process._guarantee import Guarantee
from loopwright.process._standing import NOT_KEPT, guarantee_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from loopwright._core import ExitStatus
    from loopwright._spawning import Child
    from loopwright.process._proc import Identity, Seen
    from loopwright.process._standing import Kept

__all__ = ["Ending"]


#: A look that is no older than this, in seconds, is good enough for a signal: two hundred services signalled in
#: a row share one. What a tree has started since is found by the looks that follow. But one from before the process
#: began shows nothing of it, and one from before it ended not what it left.
RECENT = 0.02
#: What needed no look.
NOTHING = _tree.Finding()


class Ending:
    """The endings of one process's tree. On the thread of its loop, but for `guarantee`."""

    def __init__(
        self, child: Child, ended: asyncio.Future[ExitStatus | StatusLost], kept: Kept, ended_at: int | None
    ) -> None:
        self.kept = kept
        self.changed_at = 0.0
        self._child = child
        self._ended = ended
        #: A moment before the leader was reaped, in clock ticks since boot.
        self._ended_at = ended_at
        self._known: set[Identity] = set()
        self._refused: set[Identity] = set()
        self._course: _tree.Course | None = None
        self._wake = asyncio.Event()
        self._task: asyncio.Task[Ended] | None = None
        self._result: Ended | None = None

    @property
    def guarantee(self) -> Guarantee:
        """The level in force now."""
        child = self._child
        return guarantee_of(
            self.kept,
            group=child.leads_group,
            namespace=child.namespace,
            # Another signal than this one may be ignored, and promises nothing.
            death_signal=child.death_signal == signals.SIGKILL,
        )

    def note_exit(self, status: ExitStatus | StatusLost) -> None:
        """Its leader has ended, and is about to be reaped. Its cgroup goes with it, if nothing else is in that."""
        if not isinstance(status, StatusLost):
            self._ended_at = _proc.ticks_now()
        self.changed_at = time.monotonic()
        self._wake.set()
        if self._task is None or self._task.done():
            self.kept.close()

    @property
    def may_leave_something(self) -> bool:
        """Whether something of the tree may run, as far as can be told without looking for it."""
        return self._result is None and (not self._ended.done() or self._child.leads_group or self.kept is not NOT_KEPT)

    def signal(self, number: int) -> bool:
        """See `Process.signal_tree`."""
        if self._is_empty():
            return False
        finding = self._look(max(time.monotonic() - RECENT, self.changed_at))
        self._known.update(seen.identity for seen in finding.members.values())
        if not finding.members:
            return False
        if number == signals.SIGKILL:
            self._kill_leaf()
        if not self._deliver(number, finding.members.values()):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        return True

    def members(self) -> tuple[int, ...]:
        """See `Process.tree_members`."""
        finding = self._look(time.monotonic())
        self._known.update(seen.identity for seen in finding.members.values())
        return tuple(sorted(finding.members))

    async def wait(self) -> None:
        """See `Process.wait_tree`."""
        look = 0
        since = time.monotonic()
        with self._held():
            while not self._is_empty() and (
                (found := self._look(since).members) or (self.kept.leaf is not None and self.kept.leaf.populated())
            ):
                self._known.update(seen.identity for seen in found.values())
                await asyncio.sleep(_tree.LOOKS[min(look, len(_tree.LOOKS) - 1)])
                look, since = look + 1, time.monotonic()

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        self._child.hold()
        try:
            yield
        finally:
            self._child.release()

    def _kill_leaf(self) -> None:
        if self.kept.leaf is not None:
            with contextlib.suppress(OSError):  # no longer ours to write: each is killed by itself
                self.kept.leaf.kill()

    async def end(self, grace: float, number: int) -> Ended:
        """See `Process.end`."""
        # Before anything is begun: an ending that fails half-way leaves a tree that was asked and is not waited for.
        given: Any = grace
        if not isinstance(given, (int, float)) or math.isnan(given):
            raise TypeError(f"grace is a number of seconds, not {grace!r}")
        if number not in signals.valid_signals():
            raise ValueError(f"signal is one to ask it to end by, such as signal.SIGTERM, not {number!r}")
        if self._result is not None and not self._result.left:
            return self._result
        now = time.monotonic()
        if self._task is None or self._task.done():
            freeze = self.guarantee is not Guarantee.NAMESPACE
            self._course = _tree.begin(now, max(grace, 0.0), number, freeze=freeze)
            task = self._begin_to_drive()
        else:
            task = self._task
            self._hurry(now + max(grace, 0.0))
        return await self._through_cancellation(task)

    async def _through_cancellation(self, task: asyncio.Task[Ended]) -> Ended:
        cancelled: asyncio.CancelledError | None = None
        while not task.done():
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError as error:
                cancelled = error
                self._hurry(0.0)
            if task.cancelled():  # before its first step, by whoever cancels every task there is
                self._hurry(0.0)
                task = self._begin_to_drive()
        if cancelled is not None and task.exception() is None:
            raise cancelled
        return task.result()

    def _begin_to_drive(self) -> asyncio.Task[Ended]:
        name = f"loopwright ends {self._child.pid}"
        self._task = asyncio.get_running_loop().create_task(helper(self._drive()), name=name)
        return self._task

    def _hurry(self, until: float) -> None:
        if self._course is not None:
            self._course = _tree.hurry(self._course, until)
            self._wake.set()

    async def _drive(self) -> Ended:
        try:
            with self._held():
                finding = await self._run_course()
                if self._ended_is_due(finding):
                    await self._pause({self._ended}, _tree.PATIENCE)
        finally:
            self.kept.close()
        self._result = self._judge(finding)
        return self._result

    async def _run_course(self) -> _tree.Finding:
        since = time.monotonic()
        while True:
            if self._is_empty():
                return NOTHING
            finding, course = self._look(since), self._course
            assert course is not None  # noqa: S101 - end() has set it
            members = {seen.identity: seen for seen in finding.members.values()}
            self._known.update(members)
            empty = self.kept.leaf is None or not self.kept.leaf.populated()
            now = time.monotonic()
            self._course, orders = _tree.advance(course, members, now, self._refused, cgroup_empty=empty)
            if self._course.phase is _tree.Phase.OVER:
                if self._child.leads_group and not _shared.look(since):
                    self._deliver(signals.SIGKILL, ())  # no /proc: whoever is in its group
                return finding
            if orders.kill_cgroup:
                self._kill_leaf()
            for number, to in orders.send:
                self._deliver(number, [members[one] for one in to])
            since = time.monotonic()
            await self._pause((), orders.wait)

    def _is_empty(self) -> bool:
        """Whether that can be told without a look at everything."""
        child = self._child
        return self._ended.done() and is_empty(child.pid, self.kept, self._known, leads=child.leads_group)

    def _look(self, since: float) -> _tree.Finding:
        world = _shared.look(since)
        child = self._child
        if not world:  # no /proc: all that can be known is whether the process itself runs
            alone = _proc.Seen(child.pid, 0, os.getpid(), child.pid if child.leads_group else 0, 0, "R")
            return _tree.Finding({child.pid: alone} if child.send_signal(0) else {})
        me = os.getpid()
        above = _proc.ancestors(world, me) | {1}
        watchers = {self.kept.standing.pid} if self.kept.standing is not None else set()
        tree = _tree.Tree(
            leader=child.pid,
            held=not child.reaped and not isinstance(child.status, StatusLost),
            leads=child.leads_group,
            ended_at=self._ended_at,
            mark=self.kept.mark,
            spared=above | watchers | {me},
            reapers=above,
        )
        inside = self.kept.leaf.processes() if self.kept.leaf is not None else ()
        return _tree.find(world, tree, self._known, inside, _proc.marks)

    def _deliver(self, number: int, to: Iterable[Seen]) -> bool:
        """Send it to each; False if none of them may be signalled."""
        child = self._child
        group = False
        if child.leads_group and number != signals.SIGCONT:
            with contextlib.suppress(PermissionError):  # none of them may be: each tells below
                group = child.signal_group(number)
        reached = group
        for seen in to:
            # Stopping and killing are said again to each, for only so is it heard which may not be signalled.
            if group and seen.group == child.pid and number not in (signals.SIGSTOP, signals.SIGKILL):
                continue
            sent = _send(child, seen.identity, number)
            if sent is _proc.Sent.REFUSED:
                self._refused.add(seen.identity)
            reached = reached or sent is not _proc.Sent.REFUSED
        return reached

    async def _pause(self, futures: Iterable[asyncio.Future[Any]], seconds: float) -> None:
        """Until one of them is done, it is woken, or the time is over. Being cancelled is a wish for haste."""
        waking = asyncio.ensure_future(self._wake.wait())
        try:
            await asyncio.wait({waking, *futures}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            # By whoever cancels every task there is, as asyncio.run() does at its end.
            while (task := asyncio.current_task()) is not None and task.cancelling():
                task.uncancel()
            self._hurry(0.0)
        finally:
            waking.cancel()
            self._wake.clear()

    def _ended_is_due(self, finding: _tree.Finding) -> bool:
        return not self._ended.done() and self._child.pid not in finding.members

    def _judge(self, finding: _tree.Finding) -> Ended:
        level = self.guarantee
        left = [
            Left(seen.pid, seen.name, FORBIDDEN if seen.identity in self._refused else HANGS)
            for seen in finding.members.values()
        ]
        left += [Left(seen.pid, seen.name, DOUBTFUL) for seen in finding.doubtful.values()]
        if level is Guarantee.SUBREAPER and finding is not NOTHING:
            left += [Left(seen.pid, seen.name, UNMARKED) for seen in self._unmarked_orphans(finding)]
        leaf = self.kept.leaf
        if not left and leaf is not None and leaf.populated():
            left += [Left(pid, "?", CGROUP) for pid in leaf.processes()]
        killed = self._course.killed if self._course is not None else ()
        status = self._ended.result() if self._ended.done() else None
        return Ended(status, tuple(sorted({one.pid for one in killed})), tuple(sorted(left, key=_by_pid)), level)

    def _unmarked_orphans(self, finding: _tree.Finding) -> list[Seen]:
        """Children of the keeper that began during the life of the tree, and of which nothing says whose they are."""
        above, since = self.kept.standing, self.kept.since
        if above is None or since is None:
            return []
        orphans = [
            seen
            for seen in _shared.look(0.0).values()
            if seen.parent == above.pid and seen.runs and seen.pid != os.getpid() and seen.started >= since
        ]
        return [
            seen for seen in orphans if seen.pid not in finding.members and above.token not in _proc.marks(seen.pid)
        ]


class _Looks:
    """The last look at all processes, for as long as it is new enough for somebody."""

    def __init__(self) -> None:
        self._last: tuple[float, dict[int, Seen]] = (-1.0, {})

    def look(self, since: float) -> dict[int, Seen]:
        """A look that began at `since` (on the monotonic clock) or later."""
        began, world = self._last
        if began < since:
            began = time.monotonic()
            world = _proc.look()
            self._last = (began, world)
        return world


_shared = _Looks()


def _send(child: Child, process: Identity, number: int) -> _proc.Sent:
    if process.pid != child.pid or child.reaped:
        return _proc.send(process, number)
    try:  # by the pidfd that is open already: there may be none left to open
        return _proc.Sent.YES if child.send_signal(number) else _proc.Sent.GONE
    except PermissionError:
        return _proc.Sent.REFUSED


def _by_pid(left: Left) -> int:
    return left.pid
