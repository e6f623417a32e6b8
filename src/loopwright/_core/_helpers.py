"""Coroutines that the library itself makes tasks of, to do a part of what somebody awaits.

They are known by the code of their functions: that is all a task factory gets to see, whoever makes the task
(`asyncio.TaskGroup`), and it costs next to nothing where most tasks are made.
"""

from __future__ import annotations

from types import CodeType
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["helper", "is_helper"]

C = TypeVar("C", bound="Coroutine[Any, Any, Any]")

#: By identity: the hash of a code goes through all of it.
_codes: dict[int, CodeType] = {}


def helper(coroutine: C) -> C:
    """Gives it back, and has it known for a helper, as all that its function makes.

    So that function has to be the library's own, called by nobody else, and run nothing that a user handed in.
    """
    code = coroutine.cr_code  # type: ignore[attr-defined]  # the native ones of `async def` have it
    _codes[id(code)] = code
    return coroutine


def is_helper(coroutine: object) -> bool:
    """Whether it is one."""
    return id(getattr(coroutine, "cr_code", None)) in _codes
