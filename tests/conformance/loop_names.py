"""Puts one class of loops into asyncio, for CPython's own tests to make it there. For a process of its own only.

Theory of operation. The tests make their loops in a few ways: `asyncio.SelectorEventLoop` (with a selector as the
argument or without one), `asyncio.EventLoop`, `asyncio.new_event_loop()` and whatever else asks the default policy
(`asyncio.run()`, `Runner`, `IsolatedAsyncioTestCase`). Each of these gets a subclass of the loop under test that is no
different in anything that is tested: it takes a selector and closes it, as which of `selectors` a loop has is nobody's
business but its own; and it counts the loops that are made, and so tells a test of this loop from one of another.

asyncio's own `_UnixSelectorEventLoop` keeps its name. No test makes it, and the loop under test may inherit from it.

Some tests make another loop where any would do, and get ours (`use_in`): a `BaseEventLoop` whose selector is a mock,
and the tests' own `TestLoop`, unless they lead its clock.

With `mutant`, the loop forgets every 50th callback that it is given. A run that passes all the same was a run of
something else.
"""

from __future__ import annotations

import asyncio
import asyncio.events
import asyncio.unix_events
from typing import Any

FORGOTTEN = 50

#: The loops that were made, by number alone: they are not to be kept.
made: list[int] = []
#: Callbacks that were given to a loop, and those that it forgot on purpose.
given: list[int] = [0]
forgotten: list[int] = [0]


def loop_class(kind: str) -> type[Any]:
    """The class of loops of that name: "asyncio", "uvloop" or "native"."""
    if kind == "asyncio":
        return asyncio.SelectorEventLoop
    if kind == "uvloop":
        import uvloop

        found: type[Any] = uvloop.Loop
        return found
    from loopwright.loops._native_loop import NativeEventLoop

    native: type[Any] = NativeEventLoop
    return native


def counted(base: type[Any], *, mutant: bool) -> type[Any]:
    class Counted(base):  # type: ignore[misc]
        def __init__(self, selector: Any = None) -> None:
            if selector is not None:
                selector.close()
            super().__init__()
            made.append(id(self))

    class Forgetful(Counted):
        def call_soon(self, *args: Any, **kwargs: Any) -> Any:
            handle = super().call_soon(*args, **kwargs)
            given[0] += 1
            if given[0] % FORGOTTEN == 0:
                forgotten[0] += 1
                handle.cancel()
            return handle

    found = Forgetful if mutant else Counted
    if not issubclass(base, asyncio.BaseEventLoop):
        # What the tests clean up by hand after each of them; such a loop does it when it is closed.
        Counted._default_executor = None
    found.__name__ = found.__qualname__ = base.__name__
    found.__module__ = base.__module__
    return found


def install(kind: str, *, mutant: bool) -> None:
    """Put the class where the tests look for one. To be called before they are imported."""
    ours = counted(loop_class(kind), mutant=mutant)
    for name in ("SelectorEventLoop", "EventLoop"):  # the second from 3.13 on
        for module in (asyncio, asyncio.unix_events):
            if hasattr(module, name):
                setattr(module, name, ours)
    policy = getattr(asyncio.unix_events, "_UnixDefaultEventLoopPolicy", None)
    if policy is not None:
        policy._loop_factory = ours
    else:  # asyncio has no policies from 3.16 on
        for module in (asyncio, asyncio.events):
            vars(module)["new_event_loop"] = ours


def use_in(module: Any) -> None:
    """Have the tests of that module make ours where they make another and any would do."""
    name = module.__name__.rpartition(".")[2]
    if name == "test_pep492":
        module.BaseTest.setUp = set_up_of_pep492
    elif name == "test_runners":
        module.BaseTest.new_loop = new_loop_of_runners
    elif name == "test_ssl":
        for test, function in list(vars(module.TestSSL).items()):
            if hasattr(function, "memuse"):
                setattr(module.TestSSL, test, without_memory_limit(function))
    if name in ("test_futures", "test_subprocess", "test_tasks"):
        for kind in vars(module).values():
            if isinstance(kind, type) and issubclass(kind, utils().TestCase):
                kind.new_test_loop = new_test_loop  # type: ignore[attr-defined]


def utils() -> Any:
    from test.test_asyncio import utils

    return utils


def new_test_loop(case: Any, gen: Any = None) -> Any:
    if gen is not None:  # it says when, by the clock of the tests' own loop
        return utils().TestCase.new_test_loop(case, gen)
    loop = asyncio.new_event_loop()
    case.set_event_loop(loop)
    return loop


def without_memory_limit(function: Any) -> Any:
    """From 3.14 on they are said to need 2 GiB and are skipped unless that is granted; they need far less."""
    tested, size = function.__wrapped__, function.size
    return lambda case: tested(case, size)


def set_up_of_pep492(case: Any) -> None:
    utils().TestCase.setUp(case)
    case.loop = asyncio.SelectorEventLoop()
    case.set_event_loop(case.loop)


def new_loop_of_runners(_case: Any) -> Any:
    loop: Any = asyncio.SelectorEventLoop()
    loop.shutdown_ag_run = False

    async def shutdown_asyncgens() -> None:
        loop.shutdown_ag_run = True

    loop.shutdown_asyncgens = shutdown_asyncgens
    return loop
