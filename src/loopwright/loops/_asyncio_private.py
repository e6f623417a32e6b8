"""Every private name of asyncio that Loopwright leans on, and every version check that concerns asyncio.

When a Python release moves one of them, this is the file to mend. Nothing here touches a name that warns:
importing Loopwright is silent under `python -W error` on every supported Python.

Read in the sources of CPython 3.11.7, 3.12.1, 3.13.0, 3.14 and 3.15:

- `asyncio.events._event_loop_policy` is the process-wide policy on all of them, None until somebody asks for
  it; `asyncio.events._lock` guards the asking. The public getter and setter warn since 3.14 and go in 3.16
  (PEP 387 deprecation, gh-127949); the C implementation of `get_event_loop()` reads the same variable by way
  of the Python one.
- The policies' base class is `asyncio.AbstractEventLoopPolicy` up to 3.13 and
  `asyncio.events._AbstractEventLoopPolicy` since; the public name warns when touched on 3.14 and 3.15.
- A standard Unix loop starts a subprocess in its method `_make_subprocess_transport`, as a
  `_UnixSubprocessTransport`, and hands it to a watcher: to the process-wide policy's up to 3.13 (which is asked
  by the public function, within `with watcher:` and after `watcher.is_active()`), and since 3.14 to one of
  its own in `_watcher`, a plain object with `add_child_handler` alone.
- What a policy does without a loop changed in 3.12 (it warns) and in 3.14 (it refuses); 3.13 and 3.15 are
  like the version before them.
"""

from __future__ import annotations

import asyncio
import asyncio.events
import functools
import os
import select
import selectors
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any, Final, Literal

from loopwright.errors import WatcherInactiveError

if TYPE_CHECKING:
    from asyncio import AbstractEventLoopPolicy as PolicyBase
    from collections.abc import Awaitable, Callable

__all__ = [
    "PYTHON_RULES",
    "PolicyBase",
    "Rules",
    "detach_inherited",
    "install_policy",
    "installed_policy",
    "installed_policy_or",
    "running_loop",
    "serve_subprocesses",
    "subprocess_starter",
]

_unix: Any
try:
    from asyncio import unix_events as _unix
except ImportError:  # Windows; standard loops there wait for process handles and ask no watcher
    _unix = None

Rules = Literal["3.11", "3.12", "3.14"]
"""Named by the Python that brought them: how `get_event_loop()` behaves where no loop is set."""

if sys.version_info >= (3, 14):
    PYTHON_RULES: Final[Rules] = "3.14"
elif sys.version_info >= (3, 12):
    PYTHON_RULES: Final[Rules] = "3.12"
else:
    PYTHON_RULES: Final[Rules] = "3.11"


class _OwnPolicyBase:
    """What policies inherit from where asyncio has no base class for them (3.16)."""


class _OwnRegistry:
    """Holds the process-wide policy where asyncio has no place for it (3.16)."""

    def __init__(self) -> None:
        self._event_loop_policy: PolicyBase | None = None
        self._lock = threading.Lock()


def _find(*names: str) -> Any:
    """The first of these names that `asyncio.events` has, else None; no module `__getattr__` gets to warn."""
    return next((vars(asyncio.events)[name] for name in names if name in vars(asyncio.events)), None)


if not TYPE_CHECKING:
    PolicyBase = _find("_AbstractEventLoopPolicy", "AbstractEventLoopPolicy") or _OwnPolicyBase

_registry: Any = asyncio.events if "_event_loop_policy" in vars(asyncio.events) else _OwnRegistry()


def installed_policy() -> PolicyBase | None:
    """The process-wide policy, or None if nobody has set one or asked asyncio for it yet."""
    policy: PolicyBase | None = _registry._event_loop_policy
    return policy


def install_policy(policy: PolicyBase | None) -> None:
    """Make this the process-wide policy; None for none yet. Nothing is checked."""
    _registry._event_loop_policy = policy


def installed_policy_or(make: Callable[[], PolicyBase]) -> PolicyBase:
    """The process-wide policy; where there is none, what `make()` gives is made it.

    Safe against a thread that asks asyncio for its policy in the same moment: asyncio fills the variable
    under the same lock.
    """
    policy = installed_policy()
    if policy is None:
        made = make()  # before the lock is taken, so that nothing a policy does to be made can wait for it
        with _registry._lock:
            policy = installed_policy()
            if policy is None:
                policy = made
                install_policy(policy)
    return policy


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The loop that is running in this thread, or None: `get_running_loop()` without its exception."""
    return asyncio.events._get_running_loop()


def serve_subprocesses(loop: asyncio.AbstractEventLoop, child_watcher: Callable[[], Any]) -> bool:
    """Have a standard Unix loop, or a native one, hand every subprocess that it starts to what `child_watcher()` gives
    then.

    False, and nothing is changed, for any other loop, and for a subclass that starts subprocesses in its own way.

    Done on every Python, though up to 3.13 asyncio asks a watcher of its own accord: it asks the policy of the
    process, which need not be the one that made the loop. Rejected: an object of ours in `_watcher` on 3.14. It is
    heard of only when the child is there, too late for `is_active()`, and for a watcher that has to know of a
    child before it can end (FastChildWatcher).
    """
    starting: Any = getattr(type(loop), "_make_subprocess_transport", None)
    if _unix is None:
        return False
    if starting is not _unix._UnixSelectorEventLoop._make_subprocess_transport and starting not in _starters:
        return False
    started = _starters.get(starting)
    reference = weakref.ref(loop)  # or the loop, which is to hold the function, would hold itself

    async def make_subprocess_transport(*args: Any, **kwargs: Any) -> Any:
        return await _start_subprocess(reference(), child_watcher(), *args, started=started, **kwargs)

    loop._make_subprocess_transport = make_subprocess_transport  # type: ignore[attr-defined]
    return True


def subprocess_starter(
    child_watcher: Callable[[], Any], started: Callable[..., Awaitable[Any]] | None = None
) -> Callable[..., Any]:
    """What a class of standard Unix loops needs as its `_make_subprocess_transport` to do the same for all of them.
    `serve_subprocesses()` can then do it for one of them with another watcher.

    `started()` is given the loop and what a Popen is made of, and gives a Popen that runs; None to have asyncio make
    one.
    """

    async def _make_subprocess_transport(self: Any, *args: Any, **kwargs: Any) -> Any:
        return await _start_subprocess(self, child_watcher(), *args, started=started, **kwargs)

    _starters[_make_subprocess_transport] = started
    return _make_subprocess_transport


#: Those, which start a subprocess as a standard loop does, and so can be told to hand it to another watcher; with what
#: starts the program.
_starters: weakref.WeakKeyDictionary[Callable[..., Any], Callable[..., Awaitable[Any]] | None] = (
    weakref.WeakKeyDictionary()
)

if _unix is not None:

    class SubprocessTransport(_unix._UnixSubprocessTransport):  # type: ignore[misc]  # its module is not there everywhere
        """That of a program that runs already."""

        def __init__(self, process: Any, *args: Any, **kwargs: Any) -> None:
            self._started = process
            super().__init__(*args, **kwargs)

        def _start(self, **_options: Any) -> None:
            self._proc, self._started = self._started, None


async def _start_subprocess(
    loop: Any,
    watcher: Any,
    *args: Any,
    extra: Any = None,
    started: Callable[..., Awaitable[Any]] | None = None,
    **kwargs: Any,
) -> Any:
    with watcher:
        if not watcher.is_active():
            raise WatcherInactiveError(
                f"no subprocess was started, for nobody would hear of its end: the child watcher {watcher!r} is"
                " not active (closed, without an event loop that it needs, or not for this machine); set"
                " another with set_child_watcher(), or None for the default one"
            )
        make = _unix._UnixSubprocessTransport
        if started is not None and (process := await started(loop, *args[1:], **kwargs)) is not None:
            make = functools.partial(SubprocessTransport, process)
        waiter = loop.create_future()
        transport = make(loop, *args, waiter=waiter, extra=extra, **kwargs)
        watcher.add_child_handler(transport.get_pid(), _exited, loop, transport)
        try:
            await waiter
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException:
            transport.close()
            # Shielded since 3.14, as a second cancellation would leave the killed child behind.
            await asyncio.shield(transport._wait())
            raise
    return transport


def _exited(_pid: int, returncode: int, loop: asyncio.AbstractEventLoop, transport: Any) -> None:
    """What a subprocess's watcher calls: in whatever thread, as watchers of asyncio's and of users do."""
    if running_loop() is loop:
        # At once, for the child is reaped when this returns: until the transport has been told it would send signals.
        transport._process_exited(returncode)
    else:
        loop.call_soon_threadsafe(transport._process_exited, returncode)


def detach_inherited(loop: asyncio.AbstractEventLoop) -> None:
    """In a forked child: see to it that nothing done to the parent's `loop` here reaches the parent.

    An epoll instance is shared across fork(2), and its list of descriptors with it (epoll(7)). A loop that is
    closed in the child, or merely dropped (its `__del__` closes it), takes its wake-up socket off the list, and
    the parent's loop no longer hears `call_soon_threadsafe()`: seen with the standard loop on 3.11, 3.13 and
    3.15, not with uvloop and our own, which handle fork themselves. So the descriptor is pointed at another,
    empty epoll instance, in this process alone.
    """
    epoll_selector = getattr(selectors, "EpollSelector", None)  # Linux only
    selector = getattr(loop, "_selector", None)
    if epoll_selector is None or not isinstance(selector, epoll_selector) or loop.is_closed():
        return
    empty = select.epoll()
    try:
        os.dup2(empty.fileno(), selector.fileno(), inheritable=False)
    finally:
        empty.close()
