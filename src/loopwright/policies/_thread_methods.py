"""The methods of `ThreadLoop` that follow a rule, one for each method of `asyncio.AbstractEventLoop`.

By rule and not one by one, so that what a later Python adds is there as well: a coroutine method is carried over, any
other one is called in the loop's thread and waited for. The class defines by itself what is otherwise.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from typing import TYPE_CHECKING, Any

from loopwright.policies._bridge import on
from loopwright.policies._targets import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DIRECT", "complete"]

#: Reading or storing one value, which is safe from any thread in the standard loops and uvloop.
DIRECT = (
    "get_debug",
    "get_exception_handler",
    "get_task_factory",
    "set_debug",
    "set_default_executor",
    "set_exception_handler",
    "set_task_factory",
    "time",
)


def complete(kind: type) -> type:
    """The class, with a method for each of asyncio's that it does not define."""
    for name, function in vars(asyncio.AbstractEventLoop).items():
        if name.startswith("_") or getattr(kind, name) is not function or not callable(function):
            continue
        if name in DIRECT:
            setattr(kind, name, _direct(name, function))
        elif inspect.iscoroutinefunction(function):
            setattr(kind, name, _carried(name, function))
        else:
            setattr(kind, name, _asked(name, function))
    return kind


def _direct(name: str, function: Any) -> Callable[..., Any]:
    @functools.wraps(function)
    def method(self: Any, *args: Any, **options: Any) -> Any:
        return getattr(self._core.loop, name)(*args, **options)

    return method


def _carried(name: str, function: Any) -> Callable[..., Any]:
    @functools.wraps(function)
    async def method(self: Any, *args: Any, **options: Any) -> Any:
        there = getattr(self._core.loop, name)
        return await on(self, functools.partial(there, *args, **options))

    return method


def _asked(name: str, function: Any) -> Callable[..., Any]:
    @functools.wraps(function)
    def method(self: Any, *args: Any, **options: Any) -> Any:
        there = functools.partial(getattr(self._core.loop, name), *args, **options)
        return there() if self._core.here() else Answer(self._core, there).result()

    return method
