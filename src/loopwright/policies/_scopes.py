"""For whom a policy keeps a loop: each thread, each context of contextvars, or the whole process.

Theory of operation. A scope holds one `Place` for each caller that it tells apart: the loop that was set, and whether
one ever was. The policy does the rest, which is the same for all: who may have one made, what `close()` does to it.
A place is a frozen value and is replaced whole, so a signal handler or another thread never sees half of one.

- `thread`: a thread-local. Nothing to lock.
- `context`: one context variable for all policies, since a context never lets go of a variable that was once set in
  it, and policies come and go. Its value is a mapping that is never changed: setting a loop makes a new one, without
  the policies that are gone. So a loop set in a context is seen by its copies, and what a copy sets is not seen by
  what it was copied from, as with every context variable. What stands in the context is a key, and the loop in the
  scope: a loop holds its policy, for its watcher, so a context with the loop would keep both alive. Rejected: a mapping
  from contexts to loops. Contexts cannot be told apart but by comparing what is in them.
- `shared`: one place, written under a lock, since setting looks first at who has it. Whose loop it is, is decided by
  the loop while it runs: the thread that runs it has it, any other a `LoopHandle`. While it does not run, it is the
  thread's that set it, known by a token that lives as long as the thread does. Not by its ident, which the
  next thread may get, and not by its Thread object, which for threads that Python did not start is made up and
  says for ever that it is alive.

After a fork every scope is as new in the child. Contexts that were copied before the fork still have the parent's
mapping; the scope's key is another then, so that nothing is found in it.
"""

from __future__ import annotations

import contextvars
import difflib
import threading
import weakref
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from loopwright.errors import PolicyOptionError, WrongThreadError
from loopwright.loops._asyncio_private import running_loop
from loopwright.policies._handle import LoopHandle

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Mapping

__all__ = ["NOWHERE", "Place", "Scope", "ScopeName", "new_scope"]

ScopeName = Literal["thread", "context", "shared"]


@dataclass(frozen=True, slots=True)
class Place:
    """What a policy knows of a caller."""

    loop: AbstractEventLoop | None = None
    ours: bool = False
    """Whether the policy made that loop."""
    set_called: bool = False
    """Whether one was set here, or said to be none."""


NOWHERE: Final = Place()


class Scope(ABC):
    """Where a policy puts the loops that are set, and finds them again."""

    name: ClassVar[ScopeName]

    @abstractmethod
    def place(self) -> Place:
        """That of the caller."""

    @abstractmethod
    def put(self, place: Place) -> None:
        """Make this the caller's."""

    def seen(self, loop: AbstractEventLoop) -> AbstractEventLoop:
        """What the caller gets in place of this loop, which is the one of its place."""
        return loop

    @abstractmethod
    def leave_to_parent(self) -> None:
        """In a forked child: have nothing of what was put before."""


class ThreadScope(Scope):
    """A loop for each thread."""

    name = "thread"

    def __init__(self) -> None:
        self._here = threading.local()

    def place(self) -> Place:
        place: Place = getattr(self._here, "place", NOWHERE)
        return place

    def put(self, place: Place) -> None:
        self._here.place = place

    def leave_to_parent(self) -> None:
        self._here = threading.local()


class _Key:
    """Stands for a scope in contexts, which hold it weakly, or for a place in a scope, which does so, too."""

    __slots__ = ("__weakref__",)


_in_context: contextvars.ContextVar[Mapping[weakref.ref[_Key], _Key]] = contextvars.ContextVar("loopwright_loops")


class ContextScope(Scope):
    """A loop for each context, and for its copies until they set one of their own."""

    name = "context"

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._scope = _Key()
        self._places: weakref.WeakKeyDictionary[_Key, Place] = weakref.WeakKeyDictionary()

    def place(self) -> Place:
        key = _in_context.get({}).get(weakref.ref(self._scope))
        return NOWHERE if key is None else self._places[key]

    def put(self, place: Place) -> None:
        key = _Key()
        self._places[key] = place
        others = {scope: other for scope, other in _in_context.get({}).items() if scope() is not None}
        _in_context.set(others | {weakref.ref(self._scope): key})

    def leave_to_parent(self) -> None:
        self._start()


class _Token:
    """Stands for a thread: a thread-local holds it, so it goes when the thread does."""

    __slots__ = ("__weakref__",)


class SharedScope(Scope):
    """One loop for the process: its thread's, and a handle for every other."""

    name = "shared"

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._place = NOWHERE
        self._setter: weakref.ref[_Token] | None = None
        self._thread = threading.local()
        # Re-entrant: a signal handler may set a loop while its thread is in the middle of it.
        self._lock = threading.RLock()

    def place(self) -> Place:
        return self._place

    def put(self, place: Place) -> None:
        with self._lock:
            old = self._place.loop
            if old is not None and old is not place.loop and not old.is_closed() and self._is_elsewhere(old):
                raise WrongThreadError(
                    f"the loop that this process shares, {old!r}, is another thread's and open; only that thread can"
                    " replace it. Submit work to it with what get_event_loop() gives here, or use a policy with"
                    " scope='thread' if each thread is to run a loop of its own"
                )
            token = getattr(self._thread, "token", None)
            if token is None:
                token = self._thread.token = _Token()
            self._place, self._setter = place, weakref.ref(token)

    def seen(self, loop: AbstractEventLoop) -> Any:
        if running_loop() is loop:
            return loop
        if loop.is_running() or not self._is_setter():
            return LoopHandle(loop)  # type: ignore[abstract] # its class is completed by rule
        return loop

    def _is_setter(self) -> bool:
        token = getattr(self._thread, "token", None)
        return token is not None and self._setter is not None and self._setter() is token

    def _is_elsewhere(self, loop: AbstractEventLoop) -> bool:
        """Whether a living thread other than this one runs the loop, or has set it and may run it yet."""
        if running_loop() is loop:
            return False
        setter = None if self._setter is None else self._setter()
        return loop.is_running() or (setter is not None and not self._is_setter())

    def leave_to_parent(self) -> None:
        self._start()  # the lock, too: another thread may have held it when the process was copied


_SCOPES: Final[Mapping[str, type[Scope]]] = {kind.name: kind for kind in (ThreadScope, ContextScope, SharedScope)}


def new_scope(name: Any) -> Scope:
    """A scope of this name; PolicyOptionError (a ValueError) if there is none, with the nearest that there is."""
    kind = _SCOPES.get(name) if isinstance(name, str) else None
    if kind is None:
        near = difflib.get_close_matches(str(name).strip().lower(), _SCOPES, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise PolicyOptionError(
            f"scope says for whom a policy keeps a loop, and {name!r} is none; {hint}there are: 'thread' (each thread"
            " its own), 'context' (each context of contextvars its own), 'shared' (one for the process)"
        )
    return kind()
