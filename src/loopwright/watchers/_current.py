"""Which watcher: the one for this machine, the one of this process, and the one that the current policy says.

Policies are a layer above, and nobody looks up: that layer hands its two functions to `use_policies()` when it is
imported, which `import loopwright` does.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from loopwright.errors import MechanismUnavailableError
from loopwright.watchers import _probe
from loopwright.watchers._kqueue import KqueueChildWatcher
from loopwright.watchers._named import named
from loopwright.watchers._pidfd import PidfdChildWatcher
from loopwright.watchers._polling import PollingChildWatcher
from loopwright.watchers._table import TableWatcher
from loopwright.watchers._thread import ThreadedChildWatcher

if TYPE_CHECKING:
    from collections.abc import Callable

    from loopwright.watchers._named import ProcessLike
    from loopwright.watchers._probe import Mechanism

__all__ = [
    "add_child_handler",
    "choose",
    "default_watcher",
    "get_child_watcher",
    "process_watcher",
    "remove_child_handler",
    "set_child_watcher",
    "use_policies",
]

_MADE_BY = {
    "pidfd": PidfdChildWatcher,
    "kqueue": KqueueChildWatcher,
    "thread": ThreadedChildWatcher,
    "polling": PollingChildWatcher,
}


def choose() -> Mechanism:
    """The mechanism that `default_watcher()` uses: the first of `probe()` that works and disturbs nobody.

    Its `reason` says why it works, and why each better one does not. MechanismUnavailableError (an OSError), with all
    the reasons, where none works.
    """
    better: list[str] = []
    for mechanism in _probe.probe():
        if not mechanism.by_default:
            continue
        if mechanism.works:
            reason = "; ".join([mechanism.reason, *better])
            return _probe.Mechanism(mechanism.name, mechanism.watcher, True, reason)
        better.append(f"not {mechanism.name}, because {mechanism.reason}")
    raise MechanismUnavailableError(f"no way of hearing of exits works here: {'; '.join(better)}")


def default_watcher() -> TableWatcher:
    """A new watcher of the best kind that works on this machine; `choose()` says which, and why.

    MechanismUnavailableError (an OSError), with all the reasons, where none works.
    """
    return _MADE_BY[choose().name]()


def process_watcher() -> TableWatcher:
    """The watcher of this process, a `default_watcher()` made at the first call: used where a policy has none.

    If somebody has closed it, a new one is made.
    """
    global _process_watcher  # noqa: PLW0603 - one a process is what it is for
    with _lock:
        if _process_watcher is None or _process_watcher._closed:
            _process_watcher = default_watcher()
        return _process_watcher


def get_child_watcher() -> Any:
    """The child watcher of the current policy, as `asyncio.get_child_watcher()` up to Python 3.13.

    Where the policy has none (asyncio's from 3.14 on, uvloop's), one that Loopwright keeps for it.
    """
    return _policies[0]()


def set_child_watcher(watcher: Any) -> None:
    """Have the current policy use this watcher, as `asyncio.set_child_watcher()`; None for the default one.

    The watcher that was set before is closed. NotAWatcherError (a TypeError) for what is no watcher; then nothing
    changes.
    """
    _policies[1](watcher)


def add_child_handler(process: ProcessLike, callback: Callable[..., object], *args: Any) -> None:
    """Have the current watcher (`get_child_watcher()`) call `callback(pid, returncode, *args)` once `process` has
    ended: a pid, or a process object, as `add_child()` of Loopwright's watchers takes it.

    A watcher of another make is given the pid.
    """
    watcher = get_child_watcher()
    if isinstance(watcher, TableWatcher):
        watcher.add_child(process, callback, *args)
    else:
        watcher.add_child_handler(named(process).pid, callback, *args)


def remove_child_handler(process: ProcessLike) -> bool:
    """Have the current watcher forget the callback for a process, given by pid or as an object; True if it had one."""
    removed: bool = get_child_watcher().remove_child_handler(named(process).pid)
    return removed


_process_watcher: TableWatcher | None = None
_lock = threading.Lock()

#: How to get and set the current policy's watcher. By itself this layer knows only the process's own.
_policies: tuple[Callable[[], Any], Callable[[Any], None]]


def use_policies(get: Callable[[], Any], set_: Callable[[Any], None]) -> None:
    """For the layer of policies: how to get and set the current policy's watcher."""
    global _policies  # noqa: PLW0603 - set once, on import
    _policies = (get, set_)
