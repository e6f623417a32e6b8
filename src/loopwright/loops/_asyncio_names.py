"""Where asyncio kept the names of its low-level layer in Python 3.11, and how others are put in their places.

Beside `_asyncio_private` the other file with private names of asyncio and with checks of its version. Read in the
sources of CPython 3.11.7, 3.12.1, 3.13.0, 3.14 and 3.15:

- Child watchers went in 3.14, from `asyncio`, `asyncio.events` and `asyncio.unix_events` alike. The classes of policies
  stayed under names with an underscore; their old names in `asyncio` are made up by its `__getattr__`, which warns.
- Whoever asks for a policy where none is set, the compiled `get_event_loop()` included, ends in
  `asyncio.events._init_event_loop_policy`, a function that is looked up anew each time: there the default is chosen.
- `asyncio.run()`, `Runner` and the rest call `events.new_event_loop()` and its like by looking them up in
  `asyncio.events`. Where asyncio has no registry any more, these are what has to ask one.
- A standard Unix loop that no policy of ours has made asks a watcher of its own since 3.14 (see `_asyncio_private`).
- Policies that are not ours (uvloop's, one that was derived before) inherit what they do without a loop from asyncio's
  base class, in its `get_event_loop`; that one has no memory of `set_event_loop()` since 3.14.
"""

from __future__ import annotations

import asyncio
import asyncio.events
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from loopwright.errors import NoLoopError
from loopwright.loops._asyncio_private import subprocess_starter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = [
    "LOW_LEVEL",
    "MISSING",
    "UNDERNEATH",
    "Change",
    "exported",
    "names_back",
    "policies_asked",
    "rules_changed",
    "watcher_asked",
]

MISSING: Final = object()
"""Stands for what is not there."""

_events: Any = asyncio.events
_unix: Any = vars(asyncio).get("unix_events")  # not on Windows

#: The names that 3.11's `asyncio` has and that are brought back, by the module in which they stand there as well.
LOW_LEVEL: Final[Mapping[str, tuple[str, ...]]] = {
    "events": (
        "AbstractEventLoopPolicy",
        "get_child_watcher",
        "get_event_loop_policy",
        "set_child_watcher",
        "set_event_loop_policy",
    ),
    "unix_events": (
        "AbstractChildWatcher",
        "DefaultEventLoopPolicy",
        "FastChildWatcher",
        "MultiLoopChildWatcher",
        "PidfdChildWatcher",
        "SafeChildWatcher",
        "ThreadedChildWatcher",
    ),
    "windows_events": ("DefaultEventLoopPolicy", "WindowsProactorEventLoopPolicy", "WindowsSelectorEventLoopPolicy"),
}

#: Names that never were public, but which programs are known to derive from, and what is put there.
UNDERNEATH: Final[Mapping[str, Mapping[str, str]]] = {
    "events": {"BaseDefaultEventLoopPolicy": "DefaultEventLoopPolicy"},
    "unix_events": {
        "BaseChildWatcher": "AbstractChildWatcher",
        "_UnixDefaultEventLoopPolicy": "DefaultEventLoopPolicy",
    },
    "windows_events": {},
}


@dataclass(frozen=True, slots=True)
class Change:
    """A name in a module or class of asyncio's, and what is to stand there."""

    where: Any
    name: str
    new: Any

    @property
    def full_name(self) -> str:
        """As a program would write it."""
        return f"{self.where.__name__}.{self.name}"

    @property
    def now(self) -> Any:
        """What stands there; MISSING if nothing does. No `__getattr__` is asked, for asyncio's warns."""
        return vars(self.where).get(self.name, MISSING)

    def put(self, value: Any) -> None:
        """Have `value` stand there; with MISSING, nothing."""
        if value is not MISSING:
            setattr(self.where, self.name, value)
        elif self.now is not MISSING:
            delattr(self.where, self.name)


def names_back(ours: Mapping[str, Any]) -> Iterator[Change]:
    """What makes `asyncio` and its modules have the names in `ours`, which are low-level ones.

    In `asyncio` itself and in `asyncio.events`, whatever stands there: it warns on some Python, or leads to what does.
    In `asyncio.unix_events` only what is missing: up to 3.13 asyncio's own policy and watchers are made of the rest.
    """
    for module_name, names in LOW_LEVEL.items():
        module = _module(module_name)
        if module is None:
            continue
        for name in [name for name in names if name in ours]:
            yield Change(asyncio, name, ours[name])
            if module is _events or name not in vars(module):
                yield Change(module, name, ours[name])
        for name, like in UNDERNEATH[module_name].items():
            # In `events` always: some derive from its class and from `asyncio.DefaultEventLoopPolicy` at once.
            if module is _events or name not in vars(module):
                yield Change(module, name, ours[like])
    base = vars(_unix).get("AbstractChildWatcher") if _unix else None
    if base is not None and "__init_subclass__" in vars(base):  # 3.12 and 3.13: it warns whoever derives from it
        yield Change(base, "__init_subclass__", classmethod(lambda _cls: None))


def exported(changes: Iterable[Change], public: Iterable[str]) -> Iterator[Change]:
    """What makes `from asyncio import *` bring those of the changed names that are public."""
    for module in [module for name in ("__init__", *LOW_LEVEL) if (module := _module(name)) is not None]:
        here = {change.name for change in changes if change.where is module}
        lacking = sorted(here.intersection(public).difference(module.__all__))
        if lacking:
            yield Change(module, "__all__", (*module.__all__, *lacking))


def _module(name: str) -> Any:
    """The module of asyncio's; None for one of the other platform."""
    return asyncio if name == "__init__" else vars(asyncio).get(name)


def policies_asked(
    asks: Mapping[str, Callable[..., Any]], by_rules: Mapping[str, Callable[..., Any]], init: Callable[[], None]
) -> Iterator[Change]:
    """What makes asyncio ask the process's policy for its loops, and have `init()` choose where there is none.

    `asks` are `get_event_loop`, `set_event_loop` and `new_event_loop`, which asyncio's own do as well as long as it has
    a registry: then they stay as they are. `by_rules` are those of them that are to be replaced in any case.
    """
    functions = by_rules
    if "_event_loop_policy" in vars(_events):
        yield Change(_events, "_init_event_loop_policy", init)
    else:
        functions = {**asks, **by_rules}
    for name, function in functions.items():
        for module in (asyncio, _events):
            yield Change(module, name, function)


def watcher_asked(child_watcher: Callable[[], Any]) -> Iterator[Change]:
    """What makes every standard Unix loop hand its subprocesses to the watcher that `child_watcher()` gives.

    Nothing up to 3.13, where asyncio does so of its own accord. Loops that a policy of ours has made keep to that one.
    """
    if _unix is not None and "AbstractChildWatcher" not in vars(_unix):
        starter = subprocess_starter(child_watcher)
        yield Change(_unix._UnixSelectorEventLoop, "_make_subprocess_transport", starter)


def rules_changed(makes_loop: Callable[..., bool]) -> Iterator[Change]:
    """What makes asyncio's own base class of policies, and so others' policies, obey rules that are not this Python's.

    `makes_loop(set_called=...)` says for the calling thread, which has no loop, whether one is to be made; it warns
    where the rules say so. Nothing where asyncio has no such class.
    """
    base = vars(_events).get("_BaseDefaultEventLoopPolicy") or vars(_events).get("BaseDefaultEventLoopPolicy")
    if not isinstance(base, type):
        return
    original_set = vars(base)["set_event_loop"]

    def get_event_loop(self: Any) -> Any:
        """Get the event loop for the current context, by the rules that loopwright.install() was given."""
        local = self._local
        if local._loop is None and makes_loop(set_called=getattr(local, "_set_called", False)):
            self.set_event_loop(self.new_event_loop())
        if local._loop is None:
            raise NoLoopError(f"There is no current event loop in thread {threading.current_thread().name!r}.")
        return local._loop

    def set_event_loop(self: Any, loop: Any) -> None:
        """Set the event loop."""
        original_set(self, loop)
        self._local._set_called = True

    yield Change(base, "get_event_loop", get_event_loop)
    if sys.version_info >= (3, 14):
        yield Change(base, "set_event_loop", set_event_loop)
