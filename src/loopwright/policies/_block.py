"""`with policy(...)`: the policy of the process for a block.

Theory of operation. The policy is one variable of the process, so a block belongs to no thread, and blocks nest like
brackets wherever they are entered. Each that is open stands in one list, with the policy that it has set and the one
that was there before. Leaving the last of them puts that one back.

Two things can go otherwise, and neither loses anything:

- A block is left while one that was entered after it is still open: two threads overlap, or a generator ended late. Its
  policy is not the one in force, so the variable stays as it is, and the next block inherits what is to be put back.
  Once all are left, the process has what it had before the first. It is a PolicyBlockError all the same: for a while
  somebody worked under a policy that was not the one of their block.
- Somebody else has set a policy within the block. What was there before is put back, as `decimal.localcontext()` or
  `warnings.catch_warnings()` would do, since that is what a block is for. It is told by a RuntimeWarning that names the
  other policy: whoever wants to keep that can set it behind the block. Rejected: to leave it. A test that forgets to
  clean up would then reach into all the others.

Should the block itself have raised, that exception is what is raised, and what there is to tell is a note to it. Not so
the GeneratorExit of a generator that is closed in its block: in that one nobody would read it.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import threading
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from loopwright.errors import LoopRunningError, PolicyBlockError
from loopwright.loops._asyncio_private import install_policy, installed_policy, running_loop
from loopwright.policies._config import PolicyLike, close_policy, policy_and_maker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from loopwright.loops._asyncio_private import PolicyBase
    from loopwright.policies._policy import EventLoopPolicy

__all__ = ["PolicyBlock", "policy"]

F = TypeVar("F", bound="Callable[..., Any]")
AnyPolicy = TypeVar("AnyPolicy", bound="PolicyBase")


@overload
def policy(value: str | Mapping[str, Any] | None) -> PolicyBlock[EventLoopPolicy]: ...
@overload
def policy(value: type[AnyPolicy]) -> PolicyBlock[AnyPolicy]: ...
@overload
def policy(value: AnyPolicy) -> PolicyBlock[AnyPolicy]: ...
@overload
def policy(value: PolicyLike) -> PolicyBlock[PolicyBase]: ...
def policy(value: PolicyLike) -> PolicyBlock[Any]:
    """A block in which the process has the policy that `value` asks for, as `policy_from()` takes it; also a decorator.

    `with policy("shared; max_tasks=100") as p:` makes the policy and sets it; at the end what was set before is set
    again, or none if none was, and a policy that was made for the block is closed. One that was given as an object is
    not: it belongs to who made it. `@policy("uvloop")` does this at each call of a function.

    The policy is the one of the *process*: what runs in other threads meanwhile obeys it, too. Blocks may be nested,
    and entered in any thread, but not where a loop runs, since that would go on under the policy it had:
    LoopRunningError (a RuntimeError). The end raises LoopRunningError if a loop that the block's own policy made still
    runs, in another thread; what was set before is set again by then. PolicyBlockError (a RuntimeError) if the block is
    entered twice at a time, or left before one that was entered after it; and a RuntimeWarning if something else has
    set a policy in the block, which does not outlive it. What `policy_from()` raises is raised when it is entered.
    """
    return PolicyBlock(value)


@dataclass(eq=False)
class _Open:
    """One block that was entered and not left."""

    block: PolicyBlock[Any]
    policy: PolicyBase
    ours: bool
    before: PolicyBase | None


_open: list[_Open] = []
#: Re-entrant: a signal handler may enter a block while its thread is about to.
_lock = threading.RLock()


class PolicyBlock(contextlib.ContextDecorator, Generic[AnyPolicy]):
    """What `policy()` gives: a context manager that may be used again once it was left, and a decorator."""

    def __init__(self, value: PolicyLike) -> None:
        self._value = value

    def __repr__(self) -> str:
        return f"policy({self._value!r})"

    def __call__(self, func: F) -> F:
        """`func` in a block of its own at each call. TypeError for what only makes something to be run later."""
        kinds = {
            "a coroutine function": inspect.iscoroutinefunction,
            "a generator function": inspect.isgeneratorfunction,
            "an asynchronous generator function": inspect.isasyncgenfunction,
        }
        for kind, is_kind in kinds.items():
            if is_kind(func):
                raise TypeError(
                    f"{getattr(func, '__qualname__', func)} is {kind}, whose code runs when the call, and with it the"
                    " block of the policy, has ended; decorate the function that calls run()"
                )
        return super().__call__(func)

    def _recreate_cm(
        self,
    ) -> PolicyBlock[AnyPolicy]:  # asked by ContextDecorator at each call, so that calls can overlap
        return PolicyBlock(self._value)

    def __enter__(self) -> AnyPolicy:
        loop = running_loop()
        if loop is not None:
            raise LoopRunningError(
                f"{self!r} cannot be entered where an event loop is running ({loop!r}), for that would go on under the"
                " policy it had. Enter it before run(), or give run() the policy: run(main(), policy=policy_from(...))"
            )
        made, ours = policy_and_maker(self._value)  # not under the lock: it may import what somebody else imports
        with _lock:
            entered = any(each.block is self for each in _open)
            if not entered:
                _open.append(_Open(self, made, ours, installed_policy()))
                install_policy(made)
        if entered:
            if ours:
                close_policy(made)
            raise PolicyBlockError(f"{self!r} is entered already, and a block can be entered once at a time")
        entered_with: Any = made
        return entered_with  # type: ignore[no-any-return] # `policy()` says which it is

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, GeneratorExit):
            error = None  # a generator that was closed in its block: whoever closed it does not get to see that
        with _lock:
            place = next((number for number, each in enumerate(_open) if each.block is self), None)
            if place is None:
                raise PolicyBlockError(f"{self!r} was left without having been entered")
            mine = _open.pop(place)
            told = self._put_back(mine, place)
        try:
            if mine.ours:
                close_policy(mine.policy)
        except Exception as problem:
            if error is None:
                raise
            error.add_note(f"{self!r} could not close its policy: {problem}")
        finally:
            if told is not None:
                self._tell(told, error)

    def _put_back(self, mine: _Open, place: int) -> PolicyBlockError | RuntimeWarning | None:
        """Set what was set before, unless a later block has its own; what there is to tell of it."""
        if place < len(_open):
            later = _open[place]
            if later.before is mine.policy:
                later.before = mine.before
            return PolicyBlockError(
                f"{self!r} was left before {later.block!r}, which was entered after it. The policy of that one stays"
                " for now, and at its end comes what was set before both; leave blocks in the reverse order"
            )
        now = installed_policy()
        install_policy(mine.before)
        if now is mine.policy or now is mine.before:
            return None
        return RuntimeWarning(
            f"in the block {self!r} something else has set the policy {now!r}; at its end {mine.before!r} is set"
            " again, as before. Set the other one after the block to keep it"
        )

    def _tell(self, told: PolicyBlockError | RuntimeWarning, error: BaseException | None) -> None:
        if error is not None:
            error.add_note(str(told))
        elif isinstance(told, RuntimeWarning):
            warnings.warn(told, stacklevel=3)
        else:
            raise told


def _after_fork_in_child() -> None:
    global _lock  # noqa: PLW0603 - another thread may have held it when the process was copied
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):  # Unix
    os.register_at_fork(after_in_child=_after_fork_in_child)
