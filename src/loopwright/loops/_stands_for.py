"""Which loop is meant by an object that stands for one in other threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["loop_behind"]


def loop_behind(loop: Any) -> Any:
    """The loop that runs, of one that the floors above put in front of it (`ThreadLoop`, `LoopHandle`); else itself.

    For what only reads. Those classes say it by a method `_loop_behind()`, as this floor knows none of them.
    """
    behind: Callable[[Any], Any] | None = getattr(type(loop), "_loop_behind", None)
    return loop if behind is None else loop_behind(behind(loop))
