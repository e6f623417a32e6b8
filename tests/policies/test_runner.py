from __future__ import annotations

import asyncio
import contextvars
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.errors import (
    ArgumentsConflictError,
    LoopRunningError,
    NoLoopError,
    NotALoopError,
    NotAPolicyError,
)
from loopwright.policies import (
    DefaultEventLoopPolicy,
    EventLoopPolicy,
    Runner,
    get_event_loop_policy,
    run,
    set_event_loop_policy,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Loop(asyncio.SelectorEventLoop):
    pass


@pytest.fixture
def policy(loop_name: str) -> EventLoopPolicy:
    return EventLoopPolicy(loop=loop_name)


async def running_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


# --- which loop


def test_a_given_policy_makes_the_loop_and_forgets_it(policy: EventLoopPolicy) -> None:
    reference = policy.new_event_loop()
    policy.close()

    async def main() -> asyncio.AbstractEventLoop:
        assert policy.get_event_loop() is asyncio.get_running_loop()
        return asyncio.get_running_loop()

    loop = run(main(), policy=policy)
    assert type(loop) is type(reference)
    assert loop.is_closed()
    with pytest.raises(NoLoopError):
        policy.get_event_loop()


def test_without_one_the_processs_policy_does(policy: EventLoopPolicy) -> None:
    set_event_loop_policy(policy)
    reference = policy.new_event_loop()
    policy.close()
    assert type(run(running_loop())) is type(reference)
    with Runner() as runner:
        assert type(runner.get_loop()) is type(reference)
        assert policy.get_event_loop() is runner.get_loop()
    with pytest.raises(NoLoopError):
        policy.get_event_loop()


def test_with_none_set_the_standard_loop_runs() -> None:
    assert type(run(running_loop())) is asyncio.SelectorEventLoop


def test_a_given_policy_does_not_become_the_processs(policy: EventLoopPolicy) -> None:
    current = get_event_loop_policy()

    async def main() -> None:
        assert get_event_loop_policy() is current

    run(main(), policy=policy)
    assert get_event_loop_policy() is current


@pytest.mark.parametrize("factory", ["selector", asyncio.SelectorEventLoop, lambda: asyncio.SelectorEventLoop()])
def test_a_factory_makes_the_loop_and_no_policy_hears_of_it(factory: Any) -> None:
    class Deaf(DefaultEventLoopPolicy):
        def set_event_loop(self, loop: Any) -> None:
            raise AssertionError("nobody should tell")

        def new_event_loop(self) -> Any:
            raise AssertionError("nobody should ask")

    set_event_loop_policy(Deaf())
    assert type(run(running_loop(), loop_factory=factory)) is asyncio.SelectorEventLoop
    with Runner(loop_factory=factory) as runner:
        assert type(runner.run(running_loop())) is asyncio.SelectorEventLoop


def test_factory_and_policy_together_are_refused() -> None:
    starters: list[Any] = [Runner, lambda **arguments: run(None, **arguments)]  # type: ignore[arg-type] # never run
    for given in starters:
        with pytest.raises(TypeError, match="loop_factory and policy both say") as caught:
            given(loop_factory=Loop, policy=EventLoopPolicy())
        assert isinstance(caught.value, ArgumentsConflictError)


def test_what_is_no_policy_or_factory_is_refused() -> None:
    with pytest.raises(NotAPolicyError, match="must be an event loop policy"):
        Runner(policy=3)  # type: ignore[arg-type] # that is the mistake
    with pytest.raises(NotALoopError, match="not as 3"):
        Runner(loop_factory=3)  # type: ignore[arg-type] # that is the mistake
    with pytest.raises(NotALoopError, match="returned None"), Runner(loop_factory=lambda: None):  # type: ignore[arg-type] # that is the mistake
        pass


def test_a_loop_that_the_policy_refuses_is_closed() -> None:
    made = []

    class Refusing(DefaultEventLoopPolicy):
        def new_event_loop(self) -> asyncio.AbstractEventLoop:
            made.append(super().new_event_loop())
            return made[0]

        def set_event_loop(self, loop: asyncio.AbstractEventLoop | None) -> None:
            raise OSError("not today")

    with pytest.raises(OSError, match="not today"), Runner(policy=Refusing()):
        pass
    assert made[0].is_closed()


def test_it_runs_in_another_thread(policy: EventLoopPolicy) -> None:
    with ThreadPoolExecutor(1) as pool:
        loop = pool.submit(lambda: run(running_loop(), policy=policy)).result(10)
    assert loop.is_closed()


# --- what asyncio.Runner promises


def test_results_and_errors_come_back(policy: EventLoopPolicy) -> None:
    async def fail() -> None:
        raise LookupError("gone")

    assert run(asyncio.sleep(0, "slept"), policy=policy) == "slept"
    with pytest.raises(LookupError, match="gone"):
        run(fail(), policy=policy)


def test_what_is_left_is_ended(policy: EventLoopPolicy) -> None:
    ended = []

    async def stays() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("task")

    async def generates() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            ended.append("generator")

    async def main() -> Any:
        task = asyncio.create_task(stays())
        generator = generates()
        await anext(generator)
        await asyncio.to_thread(str)
        return task, generator  # kept alive, so that only the loop's end can end them

    task, _ = run(main(), policy=policy)
    assert task.cancelled()
    assert ended == ["task", "generator"]


@pytest.mark.parametrize("debug", [True, False])
def test_debug_is_set(policy: EventLoopPolicy, debug: bool) -> None:
    async def main() -> bool:
        return asyncio.get_running_loop().get_debug()

    assert run(main(), policy=policy, debug=debug) is debug


def test_a_runner_runs_many_on_one_loop_in_one_context(policy: EventLoopPolicy) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    async def write() -> asyncio.AbstractEventLoop:
        variable.set("written")
        return asyncio.get_running_loop()

    async def read() -> str:
        return variable.get()

    with Runner(policy=policy) as runner:
        assert runner.run(write()) is runner.get_loop()
        assert runner.run(read()) == "written"
        assert runner.run(read(), context=contextvars.Context()) == "unset"
    assert variable.get() == "unset"


def test_a_closed_runner_stays_closed(policy: EventLoopPolicy) -> None:
    runner = Runner(policy=policy)
    loop = runner.get_loop()
    runner.close()
    runner.close()
    assert loop.is_closed()
    with pytest.raises(RuntimeError, match="closed"):
        runner.get_loop()
    with pytest.raises(RuntimeError, match="closed"), runner:
        pass


def test_a_second_close_does_not_unset_another_loop(policy: EventLoopPolicy) -> None:
    runner = Runner(policy=policy)
    runner.get_loop()
    runner.close()
    policy.set_event_loop(mine := policy.new_event_loop())
    runner.close()
    assert policy.get_event_loop() is mine
    policy.close()


def test_a_runner_that_was_not_used_has_touched_nothing(policy: EventLoopPolicy) -> None:
    policy.set_event_loop(mine := policy.new_event_loop())
    Runner(policy=policy).close()
    assert policy.get_event_loop() is mine
    policy.close()


def test_where_a_loop_runs_no_second_is_run(policy: EventLoopPolicy) -> None:
    async def inner() -> None:
        raise AssertionError("nobody runs it")

    async def main() -> None:
        for starting in (run, Runner(policy=policy).run):
            coroutine = inner()
            with pytest.raises(RuntimeError, match="running"):
                starting(coroutine)
            coroutine.close()
        coroutine = inner()
        with pytest.raises(LoopRunningError, match="await the coroutine"):
            run(coroutine)
        coroutine.close()

    run(main(), policy=policy)


@pytest.mark.parametrize("wrong", [3, running_loop])
def test_what_is_no_coroutine_is_named(policy: EventLoopPolicy, wrong: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=r"coroutine"):
        run(wrong, policy=policy)


def test_an_interrupt_cancels_and_is_raised_after_the_clean_up(policy: EventLoopPolicy) -> None:
    done = []

    async def main() -> None:
        asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGINT)
        try:
            await asyncio.sleep(30)
        finally:
            await asyncio.sleep(0)
            done.append("cleaned up")

    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with pytest.raises(KeyboardInterrupt):
        run(main(), policy=policy)
    assert done == ["cleaned up"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# --- what is no coroutine


@pytest.mark.parametrize("command", [["ls", "-l"], ("ls",), "ls", b"ls", Path("/bin/ls")])
def test_a_command_is_told_what_runs_it(command: Any) -> None:
    """Also, and above all, where a loop runs: there `await run([...])` was meant for the other function."""
    words = r"(?s)and .* is none; a command is run by `await loopwright\.process\.run\(\.\.\.\)`, or by .*check"

    async def main() -> None:
        with pytest.raises(TypeError, match=words):
            run(command)

    run(main())
    with pytest.raises(TypeError, match=words):
        run(command)
    with Runner() as runner, pytest.raises(TypeError, match=words):
        runner.run(command)
