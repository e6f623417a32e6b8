"""A thread for children whose loop hears nothing: one that was closed with them alive, or that has not run for long.

Theory of operation. Exits are heard on loops, and a loop that was closed hears none, so a zombie would stay until
something of ours runs again, maybe never. One daemon thread of the process, the *reaper*, looks after such children. It
exists only while it has something to do, because a thread in every program would cost each its safe `os.fork()`.

- **How it learns that a loop was closed.** A loop gives its callbacks up when it is closed, asyncio's and uvloop's
  alike, and tells nobody. So the callback with which it reads our descriptor (or the one of a timer) is a `Tripwire`,
  which nothing but the loop holds, and which says when it goes. A loop of another kind may keep its callbacks (rloop
  0.5 does): another `close` is put in front of that object's own. Where that cannot be done either, it is noticed when
  a child is next watched on any loop.
- **How it learns that a loop is stuck.** It cannot without a thread that looks. It looks while children are watched on
  *two* loops at once: such a program has threads (or a loop that does not run) already. In a program with one loop a
  zombie stays for as long as that loop is stuck; its status is heard afterwards, as ever.
- **What it does.** It looks (`WNOWAIT`) at the children of closed loops, often at first, then every RAREST seconds;
  `_orphans` says when they are reaped. A child of a stuck loop is reaped if it was a zombie for STUCK seconds and no
  signal is owed. Its pidfd and watch stay as they are, and the loop finds the status there when it is free.
- **Looking is by clock**, not by an epoll set of pidfds: that would want descriptors when they may be short, one more
  to be woken by, and care at a fork; and after some seconds nobody is in a hurry.
- **Locks.** A tripwire may go wherever an object may be collected, so it takes only `_birth`, under which nothing else
  is taken, and uses the one queue that may be put to from there (Python's documentation of `queue.SimpleQueue`).
- **A fork** leaves all of this to the parent. At the program's end the thread is told to go, lest it be stopped by the
  interpreter with the ledger's lock in its hand.
"""

from __future__ import annotations

import asyncio
import atexit
import collections
import contextlib
import functools
import logging
import os
import queue
import select
import sys
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Protocol

from loopwright._core import ExitStatus
from loopwright.watchers import _orphans
from loopwright.watchers._orphans import claim
from loopwright.watchers._watch import LOOKING_REAPS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from loopwright._spawning import Child
    from loopwright.watchers._watch import Watch

__all__ = ["NAME", "Post", "Tripwire", "adopt", "claim", "dismiss", "enroll"]

logger = logging.getLogger("loopwright.watchers")

NAME = "loopwright-reaper"
#: Seconds between looks: after something new, growing to the rarest.
SOONEST, GROWTH, RAREST = 0.05, 1.5, 5.0
#: Seconds that a loop is given to hear of a zombie.
STUCK = 4.0
#: After so many looks in a row with nothing to look after the thread ends.
LAST_LOOKS = 3


class Post(Protocol):
    """What hears of the children of one loop. All of it is called in the reaper's thread."""

    def fileno(self) -> int:
        """Readable while an exit waits to be heard; -1 if it has nothing of that kind, ValueError if not any more."""

    def sweep(self) -> None:
        """Its loop is closed: give back what it has, and have its children adopted. Idempotent."""

    def unheard(self) -> Iterable[Any]:
        """Those that the loop has not heard of, with `pid` and `pidfd`."""

    def reap_unheard(self, child: Any, status: ExitStatus, /) -> None:
        """Reap one of those, unless a signal is owed or it was heard of meanwhile, and leave the status to be found."""


class Tripwire:
    """A callback for a loop that says when the loop gives it up in closing. Nobody else may keep it."""

    __slots__ = ("_call", "_post")

    def __init__(self, post: Post, call: Callable[[], object]) -> None:
        self._post = post
        self._call = call

    def __call__(self) -> None:
        self._call()

    def __del__(self) -> None:
        loop = _posts.get(self._post)
        if loop is not None and loop.is_closed():  # else it was a timer's, and there is another
            _wake()


_posts: dict[Post, asyncio.AbstractEventLoop] = {}
#: What gives more of them, that have children, with their loops.
sources: list[Callable[[], list[tuple[Post, asyncio.AbstractEventLoop]]]] = []
#: Children that `_orphans` has not taken in yet.
_left: collections.deque[Iterable[Child | Watch]] = collections.deque()
_birth = threading.RLock()
_inbox: queue.SimpleQueue[None] = queue.SimpleQueue()
_thread: threading.Thread | None = None
_over = False


def enroll(post: Post, loop: asyncio.AbstractEventLoop) -> None:
    """From now on this hears of a loop's children. What it has the loop call is a tripwire."""
    _posts[post] = loop
    if not isinstance(loop, asyncio.BaseEventLoop) and not type(loop).__module__.startswith("uvloop"):
        _tell_at_close(loop)
    if len(_posts) > 1:
        look_if_two_loops()


def has_posts() -> bool:
    """Whether any are enrolled."""
    return bool(_posts)


def look_if_two_loops() -> None:
    """A child is watched: one of two loops may be stuck."""
    if _thread is None and _on_two_loops():
        _wake()


def dismiss(post: Post) -> None:
    """It hears of nobody any more. To be called before its tripwire goes."""
    _posts.pop(post, None)


def adopt(children: Iterable[Child | Watch]) -> None:
    """Children of a closed loop: they are reaped, in time, and their statuses kept. From any thread."""
    if _orphans.take_in(children):
        _wake()


def adopt_later(children: Iterable[Child | Watch]) -> None:
    """The same, in the reaper's thread: for where an object is being collected, and no other lock may be taken."""
    _left.append(children)
    _wake()


def _all_posts() -> list[tuple[Post, asyncio.AbstractEventLoop]]:
    posts = list(_posts.items())  # in one step, as another thread may come or go
    for source in sources:
        posts.extend(source())
    return posts


def _on_two_loops() -> bool:
    posts = _all_posts()
    return any(loop is not posts[0][1] for _, loop in posts)


def _tell_at_close(loop: Any) -> None:
    if "close" not in getattr(loop, "__dict__", {}):
        with contextlib.suppress(AttributeError, TypeError):  # its class takes no attributes, or no weak references
            loop.close = functools.partial(_close_and_tell, weakref.ref(loop))


def _close_and_tell(reference: weakref.ref[Any]) -> None:
    loop = reference()
    if loop is not None:
        type(loop).close(loop)
        if any(loop is other for other in tuple(_posts.values())):
            _wake()


def _wake() -> None:
    global _thread  # noqa: PLW0603 - of the whole process, as its children are
    _inbox.put(None)
    with _birth:
        if _thread is not None or _over or sys.is_finalizing():
            return
        _thread = threading.Thread(target=_look_after_all, name=NAME, daemon=True)
        try:
            _thread.start()
        except RuntimeError:  # none can be had: when it is next needed, then
            _thread = None


# --- the thread


def _look_after_all() -> None:
    global _thread  # noqa: PLW0603 - of the whole process, as its children are
    try:
        _look_until_idle()
    finally:  # if an error ended it, the next who needs a thread starts another
        with _birth:
            if _thread is threading.current_thread():
                _thread = None


def _look_until_idle() -> None:
    pause, idle = RAREST, 0
    late: dict[Any, float] = {}
    while not _over:
        if _told(pause):
            pause, idle = SOONEST, 0
        else:
            pause = min(pause * GROWTH, RAREST)
        for post, loop in _all_posts():
            if loop.is_closed():
                with _others_go_on():
                    post.sweep()
        while _left:
            with _others_go_on():
                _orphans.take_in(_left.popleft())
        _orphans.look_at_all()
        late = _look_at_unheard(late)
        if _orphans.any_left() or _on_two_loops():
            idle = 0
            continue
        idle += 1
        if idle == 1:
            pause = SOONEST
        elif idle >= LAST_LOOKS and _has_ended():
            return


def _told(pause: float) -> bool:
    """Wait until something is new, or the pause is over."""
    try:
        _inbox.get(timeout=pause)
    except queue.Empty:
        return False
    time.sleep(SOONEST)  # who told is in the middle of closing a loop
    with contextlib.suppress(queue.Empty):
        while True:
            _inbox.get_nowait()
    return True


def _has_ended() -> bool:
    global _thread  # noqa: PLW0603 - of the whole process, as its children are
    with _birth:
        if not _inbox.empty():
            return False
        _thread = None
        return True


def _look_at_unheard(before: dict[Any, float]) -> dict[Any, float]:
    """Reap what has not been heard of for long; gives what was seen to wait, and since when."""
    seen = {}
    for post, _ in () if LOOKING_REAPS else _all_posts():
        for each in post.unheard() if _may_have_unheard(post) else ():
            status = _orphans.look_by_either(each.pid, each.pidfd)
            if isinstance(status, ExitStatus):
                now = time.monotonic()
                seen[each] = before.get(each, now)
                if now - seen[each] >= STUCK:
                    with _others_go_on():
                        post.reap_unheard(each, status)
    return seen


@contextlib.contextmanager
def _others_go_on() -> Iterator[None]:
    """Log an error that comes of one child or loop: there may be more of them to look after."""
    try:
        yield
    except Exception:
        logger.exception("children cannot be looked after")


def _may_have_unheard(post: Post) -> bool:
    try:
        number = post.fileno()
    except ValueError:  # closed meanwhile
        return False
    if number < 0:
        return True
    poller = select.poll()
    poller.register(number, select.POLLIN)
    return bool(poller.poll(0))


@atexit.register
def _end() -> None:
    global _over  # noqa: PLW0603 - of the whole process, as its children are
    _over = True
    if (thread := _thread) is not None:
        _inbox.put(None)
        thread.join(1.0)


def _forget_in_forked_child() -> None:
    global _birth, _inbox, _thread
    # Other threads may have held the old ones at the fork.
    _birth, _inbox, _thread = threading.RLock(), queue.SimpleQueue(), None
    _posts.clear()
    _left.clear()
    _orphans.forget_all()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_forget_in_forked_child)
