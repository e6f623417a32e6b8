"""Where work can be sent to from another thread, and how it gets there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from loopwright.errors import LoopClosedError, NotALoopError
from loopwright.loops._asyncio_private import running_loop
from loopwright.policies._inherited import was_left
from loopwright.policies._patience import PatientFuture

if TYPE_CHECKING:
    import contextvars
    from asyncio import AbstractEventLoop
    from collections.abc import Callable

__all__ = ["Answer", "ForeignLoop", "Target", "Unfinished", "target_of"]

T = TypeVar("T")


class Unfinished(Protocol):
    """What somebody waits for."""

    def _fail(self, error: Exception, /) -> None:
        """Let nobody wait for ever."""


class Target(Protocol):
    """Where work can be sent to: a `LoopThread`, or a loop that is somebody else's."""

    loop: AbstractEventLoop
    unfinished: dict[int, Unfinished]

    @property
    def inherited(self) -> bool:
        """Whether its thread was left to the parent of this forked process, so that nothing in it will ever end."""

    def here(self) -> bool:
        """Whether the caller runs within the loop."""

    def running(self) -> bool:
        """Whether what is posted will be done."""

    def gone(self) -> str:
        """Why nothing can be posted."""

    def post(self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None) -> None:
        """Have the loop call this; RuntimeError if it is closed."""


class ForeignLoop:
    """A loop that runs in whatever thread somebody else runs it in."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self.loop = loop
        self.unfinished: dict[int, Unfinished] = {}

    @property
    def inherited(self) -> bool:
        """Whether its thread was left to the parent of this forked process."""
        return was_left(self.loop)

    def here(self) -> bool:
        """Whether the caller runs within the loop."""
        return running_loop() is self.loop

    def running(self) -> bool:
        """Whether what is posted will be done."""
        return self.loop.is_running()

    def gone(self) -> str:
        """Why nothing can be posted."""
        where = " runs in the parent of this forked process; make one here" if self.inherited else ""
        return f"Event loop is closed: {self.loop!r}{where}"

    def post(self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None) -> None:
        """Have the loop call this; LoopClosedError if it is closed, or was left to the parent of this process."""
        if self.inherited:
            raise LoopClosedError(self.gone())
        try:
            self.loop.call_soon_threadsafe(callback, *args, context=context)
        except RuntimeError as error:
            if not self.loop.is_closed():
                raise
            raise LoopClosedError(self.gone()) from error


def target_of(loop: Any) -> Target:
    """Where work for this loop, handle or pool goes; NotALoopError (a TypeError) for anything else."""
    ours = getattr(type(loop), "_work_target", None)
    if ours is not None:
        target: Target = ours(loop)
        return target
    if isinstance(loop, asyncio.AbstractEventLoop):
        return ForeignLoop(loop)
    raise NotALoopError(
        f"work can be sent to an event loop, a ThreadLoop, a LoopHandle or a LoopPool, and not to {loop!r}"
    )


class Answer(PatientFuture[T]):
    """What a function gives that is called in the loop, at once, for a thread that waits for it."""

    def __init__(self, target: Target, function: Callable[[], T]) -> None:
        super().__init__()
        self._target = target
        target.unfinished[id(self)] = self
        try:
            target.post(self._ask, function)
        except BaseException:
            del target.unfinished[id(self)]
            raise

    def _ask(self, function: Callable[[], T]) -> None:
        self._target.unfinished.pop(id(self), None)
        try:
            self.set_result(function())
        except BaseException as error:  # noqa: BLE001 - it is raised where the call was made
            self.set_exception(error)

    def _fail(self, error: Exception, /) -> None:
        self.set_exception(error)
