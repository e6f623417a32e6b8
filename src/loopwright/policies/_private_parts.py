"""What programs reach for in asyncio's default policy, although it never was public.

Read in CPython 3.11.7, asyncio/events.py and asyncio/unix_events.py. The default policy keeps what it knows of a thread
in `_local`, as `_loop` and `_set_called`; it makes loops by calling `_loop_factory`, a class, and its watcher in
`_init_watcher()`, which puts it into `_watcher`. Policies are known that are derived from it and read or override any
of these (Home Assistant's, trio-asyncio's, shellous's), so they are here, with the same meaning. `_local` every policy
of ours has: nest_asyncio gives the class of whatever policy is set a `get_event_loop()` that reads `_local._loop`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from loopwright.loops import LoopLike

__all__ = ["LocalPart", "PrivateParts"]


class _Caller:
    """What a policy knows of the caller, under asyncio's names for it."""

    __slots__ = ("_policy",)

    def __init__(self, policy: Any) -> None:
        self._policy = policy

    @property
    def _loop(self) -> AbstractEventLoop | None:
        loop: AbstractEventLoop | None = self._policy._scope.place().loop
        return loop

    @_loop.setter
    def _loop(self, loop: AbstractEventLoop | None) -> None:
        ours = loop is not None and loop in self._policy._made
        self._put(loop=loop, ours=ours)

    @property
    def _set_called(self) -> bool:
        called: bool = self._policy._scope.place().set_called
        return called

    @_set_called.setter
    def _set_called(self, called: bool) -> None:
        self._put(set_called=called)

    def _put(self, **changes: Any) -> None:
        scope = self._policy._scope
        scope.put(dataclasses.replace(scope.place(), **changes))


class LocalPart:
    """Gives an `EventLoopPolicy` what asyncio's policies know of the caller, under their name for it."""

    @property
    def _local(self) -> Any:
        return _Caller(self)

    @_local.setter
    def _local(self, _new: Any) -> None:
        """asyncio's way to have a policy forget its loops in a forked child; ours has by then."""


class PrivateParts:
    """Gives an `EventLoopPolicy` that is derived from it, too, the private parts of asyncio's default one."""

    #: Called to make a loop; a subclass may have another class here, or a method without arguments.
    _loop_factory: LoopLike = getattr(asyncio, "ProactorEventLoop", asyncio.SelectorEventLoop)
    _watcher: Any

    class _Local(threading.local):
        """What asyncio makes one of after a fork, since 3.12, and puts into `_local`."""

        _loop = None
        _set_called = False

    def _init_watcher(self) -> None:
        """Called when a watcher is asked for and `_watcher` is None; if it stays so, the process's own is given."""

    def get_child_watcher(self) -> Any:
        """The watcher given to this policy, else the process's own."""
        if self._watcher is None:
            self._init_watcher()
        return super().get_child_watcher()  # type: ignore[misc] # EventLoopPolicy comes after it
