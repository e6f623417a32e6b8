"""`run()` and `Runner`: asyncio's, with a policy to choose the loop by."""

from __future__ import annotations

import asyncio
import inspect
import os
import reprlib
from typing import TYPE_CHECKING, Any, TypeVar

from loopwright.errors import ArgumentsConflictError, LoopRunningError, NotACoroutineError, NotALoopError
from loopwright.loops import loop_factory as checked_factory
from loopwright.loops._asyncio_private import running_loop
from loopwright.policies._config import close_policy, policy_and_maker
from loopwright.policies._foreign import new_loop_of, set_loop_of
from loopwright.policies._registry import get_event_loop_policy

if TYPE_CHECKING:
    import contextvars
    from asyncio import AbstractEventLoop
    from collections.abc import Coroutine
    from types import TracebackType
    from typing import Self

    from loopwright.loops import LoopLike
    from loopwright.loops._asyncio_private import PolicyBase
    from loopwright.policies._config import PolicyLike

__all__ = ["Runner", "run"]

T = TypeVar("T")


class Runner:
    """Runs coroutines one after the other on one event loop, and finalizes the loop at the end.

    As `asyncio.Runner` (3.11): a context manager whose `run()` may be called many times; at the end the tasks
    that are left are cancelled and awaited, asynchronous generators and the default executor are shut down,
    and the loop is closed. In the main thread, the first Ctrl-C cancels the coroutine that runs, so that it
    can clean up, and KeyboardInterrupt is raised when it has ended; a second one is raised at once.

    The loop is made at the first use, in the thread that uses it: by `policy` if one is given, which then has
    it as its current loop until the end; by `loop_factory` (as `loopwright.loops.loop_factory()` takes it,
    with its exceptions), and then no policy hears of it; else by the policy of the process. `policy` does not
    become the policy of the process: what asks asyncio for a new loop meanwhile gets one of that one's. It is
    anything that `policy_from()` takes, with its exceptions; one that is made here, of words, is closed at the end.

    `debug`, unless it is None, sets the loop's debug mode. ArgumentsConflictError (a TypeError) if both a
    policy and a factory are given; NotAPolicyError (a TypeError) if `policy` is no policy. At the first use,
    NotALoopError (a TypeError) if the policy makes something else than a loop.
    """

    # asyncio.Runner is documented as final, and is: this one has one instead of being one.

    def __init__(
        self,
        *,
        debug: bool | None = None,
        loop_factory: LoopLike | None = None,
        policy: PolicyLike = None,
    ) -> None:
        if loop_factory is not None and policy is not None:
            raise ArgumentsConflictError(
                "loop_factory and policy both say which loop to use; give one of them,"
                " or a policy made with that factory: EventLoopPolicy(loop=...)"
            )
        self._policy: PolicyBase | None = None
        self._ours = False
        if policy is not None:
            self._policy, self._ours = policy_and_maker(policy)
        self._set_on: PolicyBase | None = None
        self._runner = asyncio.Runner(
            debug=debug,
            loop_factory=self._new_loop if loop_factory is None else checked_factory(loop_factory),
        )

    def __enter__(self) -> Self:
        try:
            self._runner.get_loop()
        except BaseException:
            self._close_policy()  # nobody calls __exit__()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def run(self, coro: Coroutine[Any, Any, T], *, context: contextvars.Context | None = None) -> T:
        """Run this coroutine on the loop and return its result or raise what it raises.

        It runs in `context`, or in one that all runs of this runner share. RuntimeError if a loop is running
        in this thread already, or the runner is closed. What is no coroutine is refused as the running
        Python's `asyncio.Runner` refuses it: ValueError up to 3.13; since 3.14 other awaitables are taken,
        and the rest is a TypeError. A command (a list, str, bytes or path) is a TypeError that says what runs it, and
        a coroutine function a NotACoroutineError, which is both. A coroutine that is not begun is closed.
        """
        refuse_others(coro)
        try:
            return self._runner.run(coro, context=context)
        except BaseException:
            close_unbegun(coro)
            raise

    def get_loop(self) -> AbstractEventLoop:
        """The loop, made now if it was not yet. RuntimeError if the runner is closed."""
        return self._runner.get_loop()

    def close(self) -> None:
        """End what is left, close the loop, and have the policy forget it. Idempotent."""
        try:
            self._runner.close()
        finally:
            policy, self._set_on = self._set_on, None
            try:
                if policy is not None:
                    set_loop_of(policy, None)
            finally:
                self._close_policy()

    def _close_policy(self) -> None:
        if self._ours and self._policy is not None:
            close_policy(self._policy)

    def _new_loop(self) -> AbstractEventLoop:
        policy = get_event_loop_policy() if self._policy is None else self._policy
        loop = new_loop_of(policy)
        if not isinstance(loop, asyncio.AbstractEventLoop):
            raise NotALoopError(f"new_event_loop() of the policy {policy!r} gave {loop!r}, which is no event loop")
        try:
            set_loop_of(policy, loop)
        except BaseException:
            loop.close()
            raise
        self._set_on = policy
        return loop


def run(
    main: Coroutine[Any, Any, T],
    *,
    debug: bool | None = None,
    loop_factory: LoopLike | None = None,
    policy: PolicyLike = None,
) -> T:
    """Run the coroutine `main` on a new event loop, close the loop, and return the result or raise what it
    raised.

    The arguments are those of `Runner`, which does the work; this is `asyncio.run()` for every Python, with a
    policy. LoopRunningError (a RuntimeError) if a loop is running in this thread already; TypeError for a command,
    which `loopwright.process.run()` runs. A coroutine that is not begun is closed.
    """
    refuse_others(main)
    if running_loop() is not None:
        close_unbegun(main)
        raise LoopRunningError("run() cannot be called where an event loop is running already; await the coroutine")
    try:
        with Runner(debug=debug, loop_factory=loop_factory, policy=policy) as runner:
            return runner.run(main)
    except BaseException:
        close_unbegun(main)
        raise


def close_unbegun(given: object) -> None:
    """Or Python would say beneath what is wrong that the coroutine was never awaited."""
    if inspect.iscoroutine(given) and inspect.getcoroutinestate(given) == inspect.CORO_CREATED:
        given.close()


def refuse_others(given: object) -> None:
    """TypeError for what `process.run()` takes: whoever has that one in mind must not be told of a running loop."""
    if inspect.iscoroutinefunction(given):
        name = getattr(given, "__name__", "main")
        raise NotACoroutineError(f"run() runs a coroutine, and {given!r} is what makes one; call it first: {name}()")
    if isinstance(given, (list, tuple, str, bytes, os.PathLike)):
        raise TypeError(
            f"run() runs a coroutine on a new event loop, and {reprlib.repr(given)} is none; a command is run by "
            "`await loopwright.process.run(...)`, or by `await loopwright.check(...)`, which raises if it fails"
        )
