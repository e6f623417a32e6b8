from __future__ import annotations

import asyncio
import re
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from loopwright import watchers
from loopwright.errors import (
    CallerError,
    LoopRunningError,
    LoopUnavailableError,
    NoLoopError,
    NotALoopError,
    NotAWatcherError,
    UnknownLoopError,
)
from loopwright.loops import loop_factory as factory_for
from loopwright.loops._asyncio_private import PYTHON_RULES, PolicyBase
from loopwright.policies import AbstractEventLoopPolicy, DefaultEventLoopPolicy, EventLoopPolicy

T = TypeVar("T")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def policy() -> Iterator[EventLoopPolicy]:
    policy = DefaultEventLoopPolicy()
    yield policy
    policy.close()


def in_thread(function: Callable[[], T]) -> T:
    with ThreadPoolExecutor(1, thread_name_prefix="elsewhere") as pool:
        return pool.submit(function).result(10)


def asyncio_default() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return asyncio.DefaultEventLoopPolicy()


# --- loops


def test_a_policy_makes_the_loops_it_was_told_to(loop_name: str) -> None:
    policy = EventLoopPolicy(loop=loop_name)
    reference = factory_for(loop_name)()
    first, second = policy.new_event_loop(), policy.new_event_loop()
    try:
        assert type(first) is type(second) is type(reference)
        assert first is not second
    finally:
        reference.close()
        policy.close()
    assert first.is_closed()
    assert second.is_closed()


def test_the_default_policy_makes_the_standard_loop(policy: EventLoopPolicy) -> None:
    assert isinstance(policy.new_event_loop(), asyncio.SelectorEventLoop)


@pytest.mark.parametrize(
    ("loop", "error"), [("uvlop", UnknownLoopError), ("proactor", LoopUnavailableError), (3, NotALoopError)]
)
def test_a_loop_that_cannot_be_made_is_told_at_once(loop: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        EventLoopPolicy(loop=loop)


def test_each_thread_has_its_own(policy: EventLoopPolicy) -> None:
    here = policy.new_event_loop()
    policy.set_event_loop(here)

    def elsewhere() -> asyncio.AbstractEventLoop:
        with pytest.raises(NoLoopError):
            policy.get_event_loop()
        there = policy.new_event_loop()
        policy.set_event_loop(there)
        assert policy.get_event_loop() is there
        return there

    there = in_thread(elsewhere)
    assert there is not here
    assert policy.get_event_loop() is here


def test_a_loop_of_somebody_elses_is_kept_and_not_closed(
    policy: EventLoopPolicy, loop_factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    loop = loop_factory()
    policy.set_event_loop(loop)
    policy.close()
    assert not loop.is_closed()
    assert policy.get_event_loop() is loop
    loop.close()
    assert policy.get_event_loop() is loop


@pytest.mark.parametrize("wrong", [3, "asyncio", asyncio.SelectorEventLoop])
def test_what_is_no_loop_is_not_set(policy: EventLoopPolicy, wrong: Any) -> None:
    loop = policy.new_event_loop()
    policy.set_event_loop(loop)
    with pytest.raises(TypeError, match="must be an instance of AbstractEventLoop or None, not ") as caught:
        policy.set_event_loop(wrong)
    assert isinstance(caught.value, NotALoopError)
    assert repr(wrong) in str(caught.value)
    assert policy.get_event_loop() is loop


# --- with no loop set: as the running Python has it


def outcome(policy: Any) -> tuple[Any, ...]:
    """What comes of asking for a loop: a loop or an exception's first line, and the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            loop = policy.get_event_loop()
        except RuntimeError as error:
            result: Any = str(error).split(". ")[0].rstrip(".")
        else:
            result = type(loop)
            assert policy.get_event_loop() is loop
            loop.close()
    return result, [(warning.category, str(warning.message), warning.filename) for warning in caught]


def in_main(policy: Any) -> tuple[Any, ...]:
    return outcome(policy)


def in_main_after_none(policy: Any) -> tuple[Any, ...]:
    policy.set_event_loop(None)
    return outcome(policy)


def in_main_after_none_elsewhere(policy: Any) -> tuple[Any, ...]:
    in_thread(lambda: policy.set_event_loop(None))
    return outcome(policy)


def elsewhere(policy: Any) -> tuple[Any, ...]:
    return in_thread(lambda: outcome(policy))


@pytest.mark.parametrize("ask", [in_main, in_main_after_none, in_main_after_none_elsewhere, elsewhere])
def test_asking_without_a_loop_is_answered_as_asyncio_does(ask: Callable[[Any], tuple[Any, ...]]) -> None:
    assert ask(DefaultEventLoopPolicy()) == ask(asyncio_default())


def test_the_main_thread_gets_a_loop_or_not_by_the_version(policy: EventLoopPolicy) -> None:
    if PYTHON_RULES == "3.11":
        assert not policy.get_event_loop().is_closed()
    elif PYTHON_RULES == "3.12":
        with pytest.warns(DeprecationWarning, match="There is no current event loop") as caught:
            policy.get_event_loop()
        assert [warning.filename for warning in caught] == [__file__]
    else:
        with pytest.raises(NoLoopError, match="in thread 'MainThread'"):
            policy.get_event_loop()
    assert ("3.11" if sys.version_info < (3, 12) else "3.12" if sys.version_info < (3, 14) else "3.14") == PYTHON_RULES


def test_the_error_names_the_thread_and_the_mend(policy: EventLoopPolicy) -> None:
    def ask() -> str:
        with pytest.raises(RuntimeError, match="no current event loop") as caught:
            policy.get_event_loop()
        assert isinstance(caught.value, CallerError)
        return str(caught.value)

    message = in_thread(ask)
    assert "'elsewhere_0'" in message
    assert "loopwright.run()" in message
    assert "set_event_loop()" in message


# --- close()


def test_close_may_be_called_again_and_the_policy_used_on(policy: EventLoopPolicy) -> None:
    policy.close()
    first = policy.new_event_loop()
    policy.close()
    policy.close()
    second = policy.new_event_loop()
    assert first.is_closed()
    assert not second.is_closed()


def test_a_running_loop_keeps_the_policy_from_closing(loop_name: str) -> None:
    policy = EventLoopPolicy(loop=loop_name)
    other, loop = policy.new_event_loop(), policy.new_event_loop()

    async def close() -> None:
        with pytest.raises(LoopRunningError, match="still run"):
            policy.close()
        assert not other.is_closed()

    loop.run_until_complete(close())
    policy.close()
    assert other.is_closed()
    assert loop.is_closed()


def test_a_thread_does_not_get_the_loop_that_close_has_closed(policy: EventLoopPolicy) -> None:
    policy.set_event_loop(loop := policy.new_event_loop())
    policy.close()
    assert loop.is_closed()
    # As if never set, so a fresh policy's answer.
    assert outcome(policy) == outcome(DefaultEventLoopPolicy())


def test_another_thread_does_not_get_it_either(policy: EventLoopPolicy) -> None:
    has_set, closed = threading.Event(), threading.Event()

    def elsewhere() -> None:
        policy.set_event_loop(policy.new_event_loop())
        has_set.set()
        assert closed.wait(10)
        with pytest.raises(NoLoopError):
            policy.get_event_loop()

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(elsewhere)
        assert has_set.wait(10)
        policy.close()
        closed.set()
        done.result(10)


# --- after a fork

FORK = """
import gc, os, sys, threading, time
from loopwright.errors import NoLoopError
from loopwright.loops import loop_factory
from loopwright.loops._asyncio_private import PYTHON_RULES
from loopwright.policies import EventLoopPolicy, run, set_event_loop_policy

policy = EventLoopPolicy(loop=sys.argv[1])
set_event_loop_policy(policy)
loop = policy.new_event_loop() if sys.argv[2] == "made" else loop_factory(sys.argv[1])()
policy.set_event_loop(loop)

async def main():
    return 42

def child():
    global loop
    import warnings
    warnings.simplefilter("ignore")  # of the parent's loop: dropped unclosed, and rightly so
    mine = None
    try:
        mine = policy.get_event_loop()
    except NoLoopError:
        assert PYTHON_RULES == "3.14"
    assert mine is not loop
    policy.close()
    assert mine is None or mine.is_closed()
    assert not loop.is_closed()
    loop = None
    gc.collect()
    assert run(main()) == 42

pid = os.fork()
if pid == 0:
    status = 1
    try:
        child()
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)
assert os.waitpid(pid, 0) == (pid, 0)

# The parent has its loop still, and the loop hears other threads still.
assert policy.get_event_loop() is loop
begun = time.monotonic()
threading.Timer(0.05, lambda: loop.call_soon_threadsafe(loop.stop)).start()
loop.call_later(5, loop.stop)  # a deaf loop wakes up for this one only
loop.run_forever()
assert time.monotonic() - begun < 4, "the loop is deaf"
policy.close()
assert loop.is_closed() == (sys.argv[2] == "made")
loop.close()
print("fine")
"""


@pytest.mark.long
@pytest.mark.parametrize("origin", ["made", "given"])
def test_a_forked_child_has_no_loops_and_harms_none(loop_name: str, origin: str, script: Callable[..., str]) -> None:
    assert script(FORK, loop_name, origin) == "fine\n"


# --- child watchers


class Watcher(watchers.PidfdChildWatcher):
    """Notes what is done to it."""

    def __init__(self) -> None:
        super().__init__()
        self.attached: list[asyncio.AbstractEventLoop | None] = []
        self.watched: list[int] = []
        self.closed = 0

    def attach_loop(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self.attached.append(loop)
        super().attach_loop(loop)

    def add_child_handler(self, pid: int, callback: Callable[..., object], *args: Any) -> None:
        self.watched.append(pid)
        super().add_child_handler(pid, callback, *args)

    def close(self) -> None:
        self.closed += 1
        super().close()


def test_the_watcher_is_the_processs_unless_given(policy: EventLoopPolicy) -> None:
    assert policy.get_child_watcher() is watchers.process_watcher()
    watcher = Watcher()
    assert EventLoopPolicy(child_watcher=watcher).get_child_watcher() is watcher
    policy.set_child_watcher(watcher)
    assert policy.get_child_watcher() is watcher
    policy.set_child_watcher(None)
    assert policy.get_child_watcher() is watchers.process_watcher()
    assert watchers.process_watcher().is_active()


def test_a_replaced_watcher_is_closed_once(policy: EventLoopPolicy) -> None:
    first, second = Watcher(), Watcher()
    policy.set_child_watcher(first)
    policy.set_child_watcher(first)
    assert first.closed == 0
    policy.set_child_watcher(second)
    assert (first.closed, second.closed) == (1, 0)
    policy.close()
    assert second.closed == 0


@pytest.mark.parametrize("wrong", [3, "pidfd", watchers.PidfdChildWatcher, object()])
def test_what_is_no_watcher_is_refused(policy: EventLoopPolicy, wrong: Any) -> None:
    watcher = Watcher()
    policy.set_child_watcher(watcher)
    with pytest.raises(TypeError, match="child watcher") as caught:
        policy.set_child_watcher(wrong)
    assert isinstance(caught.value, NotAWatcherError)
    assert policy.get_child_watcher() is watcher
    assert watcher.closed == 0
    with pytest.raises(NotAWatcherError):
        EventLoopPolicy(child_watcher=wrong)


def test_what_a_watcher_lacks_is_named(policy: EventLoopPolicy) -> None:
    class Half:
        def add_child_handler(self) -> None: ...
        def close(self) -> None: ...
        def __enter__(self) -> None: ...
        def __exit__(self, *_: object) -> None: ...

    with pytest.raises(NotAWatcherError, match="it has no remove_child_handler, attach_loop, is_active "):
        policy.set_child_watcher(Half())  # type: ignore[arg-type] # that is the mistake


def test_the_main_threads_loop_is_attached_to_a_given_watcher(policy: EventLoopPolicy) -> None:
    watcher = Watcher()
    policy.set_child_watcher(watcher)
    loop = policy.new_event_loop()
    policy.set_event_loop(loop)
    in_thread(lambda: policy.set_event_loop(loop))
    policy.set_event_loop(None)
    assert watcher.attached == [loop, None]


async def exit_codes() -> list[int | None]:
    """Of one child that ends by itself, and of one that is killed."""
    leaving = await asyncio.create_subprocess_exec(sys.executable, "-c", "raise SystemExit(7)")
    staying = await asyncio.create_subprocess_exec("sleep", "60")
    staying.kill()
    return [await leaving.wait(), await staying.wait()]


def test_asyncios_subprocesses_work(loop_name: str) -> None:
    from loopwright.policies import run, set_event_loop_policy

    set_event_loop_policy(EventLoopPolicy(loop=loop_name))
    assert run(exit_codes()) == [7, -9]


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="asyncio has no watchers")
def test_asyncios_own_watchers_are_accepted() -> None:
    from loopwright.policies import run, set_event_loop_policy

    watcher = asyncio.ThreadedChildWatcher()
    set_event_loop_policy(EventLoopPolicy(child_watcher=watcher))
    assert run(exit_codes()) == [7, -9]
    watcher.close()


# --- subclasses


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("get_event_loop", ()),
        ("set_event_loop", (None,)),
        ("new_event_loop", ()),
        ("get_child_watcher", ()),
        ("set_child_watcher", (None,)),
    ],
)
def test_the_abstract_policy_does_nothing_by_itself(method: str, arguments: tuple[Any, ...]) -> None:
    policy = AbstractEventLoopPolicy()
    assert isinstance(policy, PolicyBase)
    with pytest.raises(NotImplementedError):
        getattr(policy, method)(*arguments)


def test_a_subclass_chooses_what_the_main_thread_gets() -> None:
    class Mine(asyncio.SelectorEventLoop):
        pass

    class Policy(DefaultEventLoopPolicy):
        def new_event_loop(self) -> asyncio.AbstractEventLoop:
            return Mine()

        def get_event_loop(self) -> asyncio.AbstractEventLoop:
            try:
                return super().get_event_loop()
            except NoLoopError:
                self.set_event_loop(self.new_event_loop())
                return super().get_event_loop()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        loop = Policy().get_event_loop()
    assert type(loop) is Mine
    loop.close()


def test_signatures_take_names_only() -> None:
    with pytest.raises(TypeError, match=re.escape("positional")):
        EventLoopPolicy("uvloop")  # type: ignore[call-arg] # that is the mistake
