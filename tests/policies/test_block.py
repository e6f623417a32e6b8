"""`with policy(...)`: what is set and put back, in every order, and what is closed."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.errors import LoopRunningError, LoopUnavailableError, PolicyBlockError, PolicyConfigurationError
from loopwright.loops._asyncio_private import installed_policy
from loopwright.policies import (
    EventLoopPolicy,
    get_event_loop_policy,
    new_event_loop,
    policy,
    run,
    set_event_loop_policy,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Loop(asyncio.SelectorEventLoop):
    pass


async def loop_class() -> type[asyncio.AbstractEventLoop]:
    return type(asyncio.get_running_loop())


class Recording(EventLoopPolicy):
    """Knows how often it was closed."""

    closed = 0

    def close(self) -> None:
        self.closed += 1
        super().close()


# --- set, and put back


def test_the_process_has_the_policy_in_the_block_and_none_afterwards(loop_name: str) -> None:
    expected = run(loop_class(), policy=EventLoopPolicy(loop=loop_name))
    with policy(f"loop={loop_name}; scope=context") as p:
        assert get_event_loop_policy() is p
        assert asyncio.run(loop_class()) is run(loop_class()) is expected
        with ThreadPoolExecutor(1) as threads:
            assert threads.submit(asyncio.run, loop_class()).result() is expected
    assert installed_policy() is None


def test_what_was_set_is_set_again() -> None:
    before = EventLoopPolicy(loop=Loop)
    set_event_loop_policy(before)
    with policy("selector"):
        assert asyncio.run(loop_class()) is asyncio.SelectorEventLoop
    assert installed_policy() is before
    assert asyncio.run(loop_class()) is Loop


def test_also_when_the_block_raises() -> None:
    before = EventLoopPolicy()
    set_event_loop_policy(before)
    with pytest.raises(KeyError), policy("selector"):
        raise KeyError
    assert installed_policy() is before


def test_blocks_in_blocks() -> None:
    with policy("default") as outer:
        with policy({"loop": Loop}) as inner:
            assert get_event_loop_policy() is inner
            with policy(outer):
                assert get_event_loop_policy() is outer
            assert get_event_loop_policy() is inner
        assert get_event_loop_policy() is outer
    assert installed_policy() is None


def test_a_block_may_be_entered_again_once_it_was_left() -> None:
    block = policy("selector")
    with block as first:
        pass
    with block as second:
        assert type(second) is EventLoopPolicy
    assert first is not second


def test_what_was_made_in_a_block_is_left_to_other_threads_as_it_is() -> None:
    """The policy is the process's: a thread that another one gives work sees the block, too."""
    inside, done = threading.Event(), threading.Event()
    seen: list[Any] = []

    def other() -> None:
        with policy({"loop": Loop}) as p:
            seen.append(p)
            inside.set()
            done.wait(30)

    thread = threading.Thread(target=other)
    thread.start()
    try:
        assert inside.wait(30)
        assert get_event_loop_policy() is seen[0]
    finally:
        done.set()
        thread.join(30)
    assert installed_policy() is None


# --- closed


def test_what_the_block_made_is_closed() -> None:
    with policy("selector") as p:
        loops = [new_event_loop(), p.new_event_loop()]
        asyncio.set_event_loop(loops[0])
        assert asyncio.get_event_loop() is loops[0]
    assert all(loop.is_closed() for loop in loops)


def test_a_class_is_called_and_closed() -> None:
    with policy(Recording) as p:
        assert type(p) is Recording
        assert p.closed == 0
    assert p.closed == 1


def test_an_object_belongs_to_who_made_it() -> None:
    own = Recording()
    with policy(own) as p:
        assert p is own
        loop = new_event_loop()
    assert own.closed == 0
    assert not loop.is_closed()
    loop.close()


def test_policies_of_asyncios_have_nothing_to_close() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        kind = asyncio.DefaultEventLoopPolicy
    with policy(kind) as p:
        assert type(p) is kind
    assert installed_policy() is None


@contextlib.contextmanager
def running_elsewhere() -> Iterator[None]:
    """A loop of the process's policy runs in another thread."""
    started = threading.Event()
    stop: list[Callable[[], object]] = []

    async def main() -> None:
        loop, enough = asyncio.get_running_loop(), asyncio.Event()
        stop.append(lambda: loop.call_soon_threadsafe(enough.set))
        started.set()
        await enough.wait()

    with ThreadPoolExecutor(1) as threads:
        future = threads.submit(asyncio.run, main())
        assert started.wait(30)
        try:
            yield
        finally:
            stop[0]()
            future.result(30)


def test_a_loop_that_runs_on_in_another_thread_is_told_of() -> None:
    with contextlib.ExitStack() as running:
        with pytest.raises(LoopRunningError, match="asked to close"), policy("selector"):
            running.enter_context(running_elsewhere())
        assert installed_policy() is None


def test_also_if_the_block_has_raised_something_else() -> None:
    with contextlib.ExitStack() as running:

        def block() -> None:
            with policy("selector"):
                running.enter_context(running_elsewhere())
                raise KeyError

        with pytest.raises(KeyError) as caught:
            block()
        assert ["could not close its policy" in note for note in caught.value.__notes__] == [True]
        assert installed_policy() is None


# --- refused


def test_not_where_a_loop_runs(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def main() -> None:
        with policy("selector"):
            raise AssertionError("entered")

    with asyncio.Runner(loop_factory=loop_factory) as runner, pytest.raises(LoopRunningError, match="Enter it before"):
        runner.run(main())
    assert installed_policy() is None


def test_mistakes_are_told_when_it_is_entered_and_nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    before = EventLoopPolicy()
    set_event_loop_policy(before)
    block = policy("uvlop; max_tasks=0")
    with pytest.raises(PolicyConfigurationError), block:
        raise AssertionError("entered")
    monkeypatch.setitem(sys.modules, "uvloop", None)
    with pytest.raises(LoopUnavailableError), policy("uvloop"):
        raise AssertionError("entered")
    assert installed_policy() is before


def test_a_block_is_entered_once_at_a_time() -> None:
    block = policy(Recording)
    with block as p, pytest.raises(PolicyBlockError, match="entered already"), block:
        raise AssertionError("entered")
    assert p.closed == 1
    assert installed_policy() is None
    with pytest.raises(PolicyBlockError, match="without having been entered"):
        block.__exit__(None, None, None)


# --- as a decorator


def test_as_a_decorator() -> None:
    made: list[Any] = []

    @policy(Recording)
    def work(depth: int) -> int:
        """Does work."""
        made.append(get_event_loop_policy())
        assert len({id(each) for each in made}) == len(made)
        return depth if depth == 0 else work(depth - 1)

    assert work(2) == 0
    assert work(0) == 0
    assert (work.__name__, work.__doc__) == ("work", "Does work.")
    assert [p.closed for p in made] == [1, 1, 1, 1]
    assert installed_policy() is None


def test_what_runs_later_cannot_be_decorated() -> None:
    async def coroutine() -> None: ...

    async def agenerator() -> Any:
        yield

    def generator() -> Any:
        yield

    for function, kind in ((coroutine, "coroutine"), (generator, "generator"), (agenerator, "asynchronous generator")):
        with pytest.raises(TypeError, match=f"is an? {kind} function.*decorate the function that calls run"):
            policy("selector")(function)


# --- where asyncio has no policies any more

LATER = """
    import asyncio, asyncio.events

    # The names that go with policies (their deprecation in 3.14 says: in 3.16).
    for name in list(vars(asyncio.events)):
        if "policy" in name.lower():
            delattr(asyncio.events, name)
            if name in vars(asyncio):
                delattr(asyncio, name)

    from loopwright.policies import EventLoopPolicy, get_event_loop_policy, policy, run, set_event_loop_policy

    async def main():
        return get_event_loop_policy()

    before = EventLoopPolicy()
    set_event_loop_policy(before)
    with policy("shared; loop=selector") as p:
        assert run(main()) is p
    assert run(main()) is before
    print("fine")
"""


def test_a_block_needs_nothing_of_asyncios_policies(script: Callable[..., str]) -> None:
    assert script(LATER) == "fine\n"


# --- forks


def test_a_forked_child_leaves_the_blocks_that_it_is_in(script: Callable[..., str]) -> None:
    program = """
        import os, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        from loopwright.policies import get_event_loop_policy, policy
        from loopwright.loops._asyncio_private import installed_policy
        with policy("selector") as p:
            loop = p.new_event_loop()
            pid = os.fork()
        assert installed_policy() is None
        if pid:
            assert loop.is_closed() and os.waitpid(pid, 0)[1] == 0
            print("fine")
        else:
            os._exit(0)
    """
    assert script(program) == "fine\n"
