"""Who gets which loop: each thread its own, each context its own, or all the same."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.errors import NoLoopError, PolicyOptionError, WrongThreadError
from loopwright.policies import (
    ContextEventLoopPolicy,
    EventLoopPolicy,
    SharedEventLoopPolicy,
    run,
    set_event_loop_policy,
)
from loopwright.policies import _scopes as scopes
from loopwright.policies._handle import LoopHandle
from tests.policies.conftest import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def asked(policy: EventLoopPolicy) -> Any:
    """What the caller is given, or None."""
    try:
        return policy.get_event_loop()
    except NoLoopError:
        return None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("threads", "did you mean 'thread'?"),
        ("Shared", "did you mean 'shared'?"),
        ("process", "there are: 'thread' (each"),
        (3, "and 3 is none"),
        (None, "and None is none"),
        (["thread"], "is none"),
    ],
)
def test_a_scope_that_is_none_is_refused_with_the_nearest(wrong: Any, said: str) -> None:
    with pytest.raises(ValueError, match="scope says for whom") as caught:
        EventLoopPolicy(scope=wrong)
    assert isinstance(caught.value, PolicyOptionError)
    assert said in str(caught.value)


# --- thread


def test_thread_each_thread_has_its_own_whatever_the_context() -> None:
    policy = EventLoopPolicy(scope="thread", rules="3.14")
    here, other = policy.new_event_loop(), policy.new_event_loop()
    policy.set_event_loop(here)
    context = contextvars.copy_context()
    assert context.run(asked, policy) is here
    context.run(policy.set_event_loop, other)
    assert asked(policy) is other
    assert in_thread(lambda: context.run(asked, policy)) is None
    policy.close()


# --- context


@pytest.fixture
def context_policy() -> Iterator[EventLoopPolicy]:
    policy = ContextEventLoopPolicy(rules="3.14")
    yield policy
    policy.close()


def test_context_each_context_has_its_own(context_policy: EventLoopPolicy) -> None:
    one, other = contextvars.copy_context(), contextvars.copy_context()
    for context in (one, other):
        context.run(lambda: context_policy.set_event_loop(context_policy.new_event_loop()))
    assert one.run(asked, context_policy) is one.run(asked, context_policy)
    assert one.run(asked, context_policy) is not other.run(asked, context_policy) is not None
    assert asked(context_policy) is None


def test_context_a_copy_sees_what_was_set_before_it_was_made(context_policy: EventLoopPolicy) -> None:
    before = contextvars.copy_context()
    first, second = context_policy.new_event_loop(), context_policy.new_event_loop()
    context_policy.set_event_loop(first)
    copy = contextvars.copy_context()
    assert copy.run(asked, context_policy) is first
    copy.run(context_policy.set_event_loop, second)
    assert copy.run(asked, context_policy) is second
    assert asked(context_policy) is first
    assert before.run(asked, context_policy) is None
    context_policy.set_event_loop(None)
    assert asked(context_policy) is None
    assert copy.run(asked, context_policy) is second


def test_context_a_thread_has_a_context_of_its_own_unless_it_is_given_one(context_policy: EventLoopPolicy) -> None:
    loop = context_policy.new_event_loop()
    context_policy.set_event_loop(loop)
    copy = contextvars.copy_context()
    found: list[Any] = []
    # An empty one, as most builds of Python give to a new thread.
    thread = threading.Thread(target=lambda: found.append(contextvars.Context().run(asked, context_policy)))
    thread.start()
    thread.join(20)
    assert found == [None]
    # And one that carries the loop, as asyncio.to_thread() has: the loop itself, to be called with care.
    assert in_thread(lambda: copy.run(asked, context_policy)) is loop


def test_context_tasks_see_the_loop_that_runs_them(context_policy: EventLoopPolicy) -> None:
    set_event_loop_policy(context_policy)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert asked(context_policy) is loop
        assert await asyncio.create_task(asking()) is loop
        assert await asyncio.to_thread(asked, context_policy) is loop

    async def asking() -> Any:
        return asked(context_policy)

    asyncio.run(main())
    run(main())
    assert asked(context_policy) is None


def test_context_policies_do_not_see_each_others(context_policy: EventLoopPolicy) -> None:
    other = ContextEventLoopPolicy(rules="3.14")
    one, two = context_policy.new_event_loop(), other.new_event_loop()
    context_policy.set_event_loop(one)
    other.set_event_loop(two)
    assert (asked(context_policy), asked(other)) == (one, two)
    other.close()
    assert (asked(context_policy), asked(other)) == (one, None)


def test_context_policies_that_are_gone_are_forgotten() -> None:
    def set_one() -> weakref.ref[asyncio.AbstractEventLoop]:
        policy = ContextEventLoopPolicy()
        policy.set_event_loop(loop := policy.new_event_loop())
        loop.close()
        return weakref.ref(loop)

    def set_many() -> tuple[int, list[weakref.ref[asyncio.AbstractEventLoop]]]:
        loops = [set_one() for _ in range(20)]
        gc.collect()
        set_one()  # tidies up
        return len(scopes._in_context.get()), loops

    entries, loops = contextvars.Context().run(set_many)
    assert entries == 1
    gc.collect()
    assert [loop for loop in loops if loop() is not None] == []


# --- shared


@pytest.fixture
def shared_policy() -> Iterator[EventLoopPolicy]:
    policy = SharedEventLoopPolicy(rules="3.14")
    yield policy
    policy.close()


def test_shared_the_thread_that_set_it_has_the_loop_others_a_handle(shared_policy: EventLoopPolicy) -> None:
    loop = shared_policy.new_event_loop()
    assert asked(shared_policy) is None
    assert in_thread(lambda: asked(shared_policy)) is None
    shared_policy.set_event_loop(loop)
    assert asked(shared_policy) is loop
    handle = in_thread(lambda: asked(shared_policy))
    assert type(handle) is LoopHandle
    assert contextvars.Context().run(asked, shared_policy) is loop


def test_shared_all_threads_submit_to_the_loop_that_runs(shared_policy: EventLoopPolicy) -> None:
    set_event_loop_policy(shared_policy)

    async def thread_of() -> str:
        return threading.current_thread().name

    def work() -> str:
        handle: Any = asyncio.get_event_loop()
        assert type(handle) is LoopHandle
        name: str = handle.submit(thread_of()).result(20)
        return name

    async def main() -> list[str]:
        assert asyncio.get_event_loop() is asyncio.get_running_loop() is shared_policy.get_event_loop()
        return await asyncio.gather(*(asyncio.to_thread(work) for _ in range(5)))

    assert asyncio.run(main()) == ["MainThread"] * 5
    assert asked(shared_policy) is None


def test_shared_a_running_loop_is_its_threads_whoever_set_it(shared_policy: EventLoopPolicy) -> None:
    loop = shared_policy.new_event_loop()
    shared_policy.set_event_loop(loop)
    runs = threading.Event()

    def serve() -> None:
        loop.call_soon(lambda: found.append(asked(shared_policy)))
        loop.call_soon(runs.set)
        loop.run_forever()

    found: list[Any] = []
    thread = threading.Thread(target=serve)
    thread.start()
    assert runs.wait(20)
    assert found == [loop]
    assert type(asked(shared_policy)) is LoopHandle
    loop.call_soon_threadsafe(loop.stop)
    thread.join(20)
    assert asked(shared_policy) is loop


def test_shared_only_its_thread_replaces_an_open_loop(shared_policy: EventLoopPolicy) -> None:
    loop, other = shared_policy.new_event_loop(), shared_policy.new_event_loop()
    shared_policy.set_event_loop(loop)

    def replace_with(new: Any) -> None:
        with pytest.raises(RuntimeError, match="another thread's and open") as caught:
            shared_policy.set_event_loop(new)
        assert isinstance(caught.value, WrongThreadError)

    for new in (other, None):
        in_thread(lambda new=new: replace_with(new))
    assert asked(shared_policy) is loop
    shared_policy.set_event_loop(other)
    assert asked(shared_policy) is other
    other.close()
    in_thread(lambda: shared_policy.set_event_loop(loop))
    # That thread is gone, so nobody has it; and whoever comes next may set another.
    assert type(asked(shared_policy)) is LoopHandle
    third = shared_policy.new_event_loop()
    shared_policy.set_event_loop(third)
    assert asked(shared_policy) is third


def test_shared_a_loop_is_handed_over_by_setting_the_same(shared_policy: EventLoopPolicy) -> None:
    loop = shared_policy.new_event_loop()
    shared_policy.set_event_loop(loop)

    def take() -> Any:
        shared_policy.set_event_loop(loop)
        return asked(shared_policy)

    assert in_thread(take) is loop


def test_shared_a_second_run_at_the_same_time_is_refused(shared_policy: EventLoopPolicy) -> None:
    set_event_loop_policy(shared_policy)

    def second() -> None:
        coroutine = asyncio.sleep(0)
        with pytest.raises(WrongThreadError, match="Submit work to it"):
            run(coroutine)
        coroutine.close()

    async def main() -> None:
        await asyncio.to_thread(second)

    run(main())
    # One after the other they may.
    assert in_thread(lambda: run(asyncio.sleep(0, "done"))) == "done"


def test_shared_close_in_another_thread_is_seen_by_all(shared_policy: EventLoopPolicy) -> None:
    loop = shared_policy.new_event_loop()
    shared_policy.set_event_loop(loop)
    in_thread(shared_policy.close)
    assert loop.is_closed()
    assert asked(shared_policy) is None


@pytest.mark.parametrize("scope", ["thread", "context", "shared"])
def test_what_close_closed_is_nobodys_in_any_scope(scope: Any, loop_name: str) -> None:
    policy = EventLoopPolicy(loop=loop_name, scope=scope, rules="3.14")
    made: Callable[[], asyncio.AbstractEventLoop] = policy.new_event_loop
    loops = [made(), made()]
    policy.set_event_loop(loops[0])
    policy.close()
    assert [loop.is_closed() for loop in loops] == [True, True]
    assert asked(policy) is None
