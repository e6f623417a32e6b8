"""Our child watchers in the hands of asyncio's own policies, which up to Python 3.13 take only their own kind.

`asyncio.unix_events._UnixDefaultEventLoopPolicy.set_child_watcher()` asserts that a watcher inherits from
`asyncio.AbstractChildWatcher` (read in CPython 3.11.7, 3.12.1 and 3.13.0; gone in 3.14). Ours do not, because
inheriting from it warns since 3.12. So one that does stands between the two.
"""

from __future__ import annotations

import asyncio
import functools
import sys
import warnings
from typing import Any

from loopwright import watchers
from loopwright.loops._asyncio_private import installed_policy

__all__ = ["as_asyncio_watcher", "current_watcher", "is_asyncio_policy", "lacks_watcher", "ours_of"]

_unix: Any = vars(asyncio).get("unix_events")
#: Not written where it is compared: type checkers take what follows for dead on the Python they check for.
PYTHON_3_12: tuple[int, ...] = (3, 12)
_METHODS = ("add_child_handler", "remove_child_handler", "attach_loop", "is_active", "__enter__", "__exit__")


def is_asyncio_policy(policy: object) -> bool:
    """Whether it is asyncio's own Unix policy, or inherits from it, on a Python where that has child watchers."""
    own = getattr(_unix, "_UnixDefaultEventLoopPolicy", None)
    return own is not None and isinstance(policy, own) and "AbstractChildWatcher" in vars(_unix)


def lacks_watcher(policy: object) -> bool:
    """Whether it is such a policy, and nobody has set or asked for its child watcher yet."""
    return is_asyncio_policy(policy) and getattr(policy, "_watcher", False) is None


def current_watcher() -> Any:
    """Whom a loop that no policy of ours made hands its subprocesses to: the current policy's watcher.

    What a program has set is obeyed, by asyncio.set_child_watcher(), too; where it has set none, the process's own. The
    watcher that asyncio makes by itself, once a loop of its own asks for one, was not set. It cannot be told from one
    of its kind that was; but those do what ours does, and on Python 3.11 take a thread for each child.
    """
    policy = installed_policy()
    if policy is not None and not is_asyncio_policy(policy):
        # Who has not imported our policies has set no watcher for one, and the function to ask is theirs.
        asks = "loopwright.policies" in sys.modules
        return watchers.get_child_watcher() if asks else watchers.process_watcher()
    if policy is None or lacks_watcher(policy) or type(getattr(policy, "_watcher", None)) in _made_by_asyncio():
        return watchers.process_watcher()
    with warnings.catch_warnings():  # as asyncio's own loop asks: that asking is deprecated is not the program's fault
        warnings.simplefilter("ignore", DeprecationWarning)
        return policy.get_child_watcher()


def as_asyncio_watcher(watcher: Any, *, closes: bool = True) -> Any:
    """The watcher as such a policy takes it; itself, where it is of asyncio's kind or None.

    With `closes=False`, closing it does nothing, for a watcher that is not the policy's to close.
    """
    if watcher is None or isinstance(watcher, vars(_unix)["AbstractChildWatcher"]):
        return watcher
    return _kind()(watcher, closes)


def ours_of(watcher: Any) -> Any:
    """The watcher that stands behind one of those; else itself."""
    return getattr(watcher, "_loopwright_watcher", watcher)


def _made_by_asyncio() -> list[Any]:
    """The kinds of watchers of which asyncio makes one by itself (read in CPython 3.11.7, 3.12.1 and 3.13.0)."""
    names = (
        ("ThreadedChildWatcher",) if sys.version_info < PYTHON_3_12 else ("ThreadedChildWatcher", "PidfdChildWatcher")
    )
    return [vars(_unix)[name] for name in names]


@functools.cache  # made when it is first needed, for making the class is what warns
def _kind() -> Any:
    def init(self: Any, watcher: Any, closes: bool) -> None:
        self._loopwright_watcher = watcher
        self._closes = closes

    def close(self: Any) -> None:
        if self._closes:
            self._loopwright_watcher.close()

    def forward(name: str) -> Any:
        def method(self: Any, *args: Any) -> Any:
            return getattr(self._loopwright_watcher, name)(*args)

        return method

    members = {"__init__": init, "close": close, **{name: forward(name) for name in _METHODS}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return type("AsyncioChildWatcher", (vars(_unix)["AbstractChildWatcher"],), members)
