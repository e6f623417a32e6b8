"""The `submit()` that `ThreadLoop` and `LoopHandle` share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple, Unpack, overload

from loopwright.policies._bridge import submit

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Awaitable, Callable, Coroutine

    from loopwright.policies._work import WorkFuture

__all__ = ["Submits"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Submits:
    """The part of what stands for a loop in other threads that gives it work."""

    @overload
    def submit(
        self, work: Coroutine[Any, Any, T], /, *, context: contextvars.Context | None = None
    ) -> WorkFuture[T]: ...
    @overload
    def submit(
        self,
        work: Callable[[Unpack[Ts]], Awaitable[T]],
        /,
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> WorkFuture[T]: ...
    def submit(self, work: Any, /, *args: Any, context: contextvars.Context | None = None) -> WorkFuture[Any]:  # type: ignore[misc] # mypy: Any is no *Ts
        """Run a coroutine, or a coroutine function with arguments, in the loop: `loopwright.policies.submit()`."""
        return submit(self, work, *args, context=context)
