from __future__ import annotations

import asyncio
import importlib
import inspect
import pickle
import pkgutil
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

import loopwright
from loopwright import aio
from loopwright.loops import _asyncio_private as private

if TYPE_CHECKING:
    from collections.abc import Iterator

#: `asyncio.__all__` of CPython 3.11.7 on Unix.
OF_3_11 = """
    ALL_COMPLETED AbstractChildWatcher AbstractEventLoop AbstractEventLoopPolicy AbstractServer Barrier
    BaseEventLoop BaseProtocol BaseTransport BoundedSemaphore BrokenBarrierError BufferedProtocol CancelledError
    Condition DatagramProtocol DatagramTransport DefaultEventLoopPolicy Event FIRST_COMPLETED FIRST_EXCEPTION
    FastChildWatcher Future Handle IncompleteReadError InvalidStateError LifoQueue LimitOverrunError Lock
    MultiLoopChildWatcher PidfdChildWatcher PriorityQueue Protocol Queue QueueEmpty QueueFull ReadTransport Runner
    SafeChildWatcher SelectorEventLoop Semaphore SendfileNotAvailableError Server StreamReader StreamReaderProtocol
    StreamWriter SubprocessProtocol SubprocessTransport Task ThreadedChildWatcher Timeout TimeoutError TimerHandle
    Transport WriteTransport _enter_task _get_running_loop _leave_task _register_task _set_running_loop
    _unregister_task all_tasks as_completed create_subprocess_exec create_subprocess_shell create_task current_task
    ensure_future gather get_child_watcher get_event_loop get_event_loop_policy get_running_loop iscoroutine
    iscoroutinefunction isfuture new_event_loop open_connection open_unix_connection run run_coroutine_threadsafe
    set_child_watcher set_event_loop set_event_loop_policy shield sleep start_server start_unix_server timeout
    timeout_at to_thread wait wait_for wrap_future
""".split()  # noqa: SIM905 - a list of them would be a hundred lines

OURS = {
    "AbstractChildWatcher",
    "AbstractEventLoopPolicy",
    "DefaultEventLoopPolicy",
    "FastChildWatcher",
    "MultiLoopChildWatcher",
    "PidfdChildWatcher",
    "Runner",
    "SafeChildWatcher",
    "ThreadedChildWatcher",
    "get_child_watcher",
    "get_event_loop",
    "get_event_loop_policy",
    "new_event_loop",
    "run",
    "set_child_watcher",
    "set_event_loop",
    "set_event_loop_policy",
}


@pytest.fixture(autouse=True)
def no_policy() -> Iterator[None]:
    before = private.installed_policy()
    private.install_policy(None)
    yield
    private.install_policy(before)


def run_script(source: str) -> str:
    """What a program printed that ran in a Python of its own, with warnings as errors."""
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(source)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


class Loop(asyncio.SelectorEventLoop):
    pass


async def running() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


# --- which names


def test_it_has_every_name_of_3_11_and_of_this_python() -> None:
    assert set(aio.__all__) == {*OF_3_11, *asyncio.__all__}
    assert len(aio.__all__) == len(set(aio.__all__))
    for name in aio.__all__:
        assert getattr(aio, name) is not None


def test_what_is_not_ours_is_asyncios_own_object() -> None:
    for name in {*asyncio.__all__, "TaskGroup"} - OURS:
        assert getattr(aio, name) is getattr(asyncio, name)
    for name in OURS - {"run", "Runner", "AbstractChildWatcher"}:  # the last is more lenient: policies/_old_watcher.py
        assert getattr(aio, name) is getattr(loopwright, name)


def test_asyncios_submodules_are_attributes() -> None:
    for module in pkgutil.iter_modules(asyncio.__path__):
        if module.name in ("__main__", "events", "unix_events", "tools") or "windows" in module.name:
            continue
        imported = importlib.import_module(f"asyncio.{module.name}")
        assert getattr(aio, module.name) is imported
    assert aio.subprocess.PIPE == asyncio.subprocess.PIPE


def test_those_that_had_low_level_names_have_them_and_all_else() -> None:
    assert aio.events.__name__ == "asyncio.events"
    assert aio.events.get_event_loop_policy is loopwright.get_event_loop_policy
    assert aio.events.AbstractEventLoopPolicy is loopwright.AbstractEventLoopPolicy
    assert aio.events.get_child_watcher is loopwright.get_child_watcher
    assert aio.events.Handle is asyncio.Handle
    assert aio.events._get_running_loop() is None
    assert aio.unix_events.SafeChildWatcher is loopwright.SafeChildWatcher
    assert aio.unix_events.DefaultEventLoopPolicy is loopwright.DefaultEventLoopPolicy
    assert aio.unix_events._UnixSelectorEventLoop is asyncio.SelectorEventLoop
    assert {"SafeChildWatcher", "_UnixSelectorEventLoop"} < set(dir(aio.unix_events))
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        aio.events.nothing_of_the_kind  # type: ignore[attr-defined] # noqa: B018 - that is the mistake


def test_they_have_what_programs_derive_from_though_it_never_was_public() -> None:
    assert aio.events.BaseDefaultEventLoopPolicy is loopwright.DefaultEventLoopPolicy
    assert issubclass(aio.unix_events.BaseChildWatcher, aio.unix_events.AbstractChildWatcher)
    assert issubclass(aio.unix_events._UnixDefaultEventLoopPolicy, aio.events.AbstractEventLoopPolicy)


def test_submodules_cannot_be_imported_as_those_of_a_package() -> None:
    for name in ("subprocess", "events"):
        with pytest.raises(ModuleNotFoundError, match="is not a package"):
            importlib.import_module(f"loopwright.aio.{name}")
    assert aio.subprocess is asyncio.subprocess


def test_dir_lists_ours_and_asyncios() -> None:
    assert {*aio.__all__, "events", "streams", "__name__"} < set(dir(aio))


def test_private_names_are_delegated() -> None:
    private_aio: Any = aio
    assert private_aio._set_running_loop is asyncio._set_running_loop
    assert private_aio.base_futures is asyncio.base_futures


def test_what_neither_has_is_an_error_with_the_nearest_name() -> None:
    anything: Any = aio
    with pytest.raises(
        AttributeError, match=r"'loopwright.aio' has no attribute 'coroutine', and asyncio has none"
    ) as e:
        anything.coroutine  # noqa: B018 - that is the mistake
    assert (e.value.name, e.value.obj) == ("coroutine", aio)  # by which Python itself says: did you mean


# --- how it is imported


def test_star_import_brings_all_without_a_warning() -> None:
    printed = run_script("""
        from loopwright.aio import *
        class Policy(DefaultEventLoopPolicy): pass
        set_event_loop_policy(Policy())
        async def main():
            return type(get_event_loop_policy()).__name__
        print(run(main()), SafeChildWatcher.__name__, Queue.__name__)
    """)
    assert printed == "Policy SafeChildWatcher Queue\n"


def test_importing_and_using_it_neither_warns_nor_changes_asyncio() -> None:
    printed = run_script("""
        import asyncio, asyncio.events, asyncio.unix_events
        modules = asyncio, asyncio.events, asyncio.unix_events
        before = [dict(vars(module)) for module in modules]
        import loopwright.aio as aio
        for name in aio.__all__:
            getattr(aio, name)
        assert before == [dict(vars(module)) for module in modules]
        policy = aio.DefaultEventLoopPolicy()
        aio.set_event_loop_policy(policy)
        loop = aio.new_event_loop()
        aio.set_event_loop(loop)
        assert aio.get_event_loop() is loop and aio.get_event_loop_policy() is policy
        watcher = aio.SafeChildWatcher()
        watcher.attach_loop(loop)
        aio.set_child_watcher(watcher)
        assert aio.get_child_watcher() is watcher
        async def main():
            process = await aio.create_subprocess_exec("true")
            return await process.wait()
        print(loop.run_until_complete(main()))
        aio.set_child_watcher(None)
        loop.close()
        aio.set_event_loop(None)
        aio.set_event_loop_policy(None)
        print(aio.run(aio.sleep(0, "done")))
    """)
    assert printed == "0\ndone\n"


def test_a_patch_of_asyncio_shows_and_one_of_aio_stays_here() -> None:
    original = asyncio.sleep
    with mock.patch("asyncio.sleep") as patched:
        assert aio.sleep is patched
    assert aio.sleep is original
    with mock.patch("loopwright.aio.sleep") as patched:
        assert aio.sleep is patched
        assert asyncio.sleep is original
    assert aio.sleep is original


def test_what_is_ours_can_be_pickled() -> None:
    for thing in (aio.run, aio.Runner, aio.get_event_loop, aio.SafeChildWatcher, aio.CancelledError, aio.Task):
        assert pickle.loads(pickle.dumps(thing)) is thing


# --- run() and Runner


def test_run_and_runner_obey_the_policy() -> None:
    aio.set_event_loop_policy(loopwright.EventLoopPolicy(loop=Loop))
    assert type(aio.run(running())) is Loop
    with aio.Runner() as runner:
        assert type(runner.run(running())) is Loop
        assert runner.get_loop() is runner.run(running())


def test_a_loop_factory_goes_before_the_policy() -> None:
    aio.set_event_loop_policy(loopwright.EventLoopPolicy())
    assert type(aio.run(running(), loop_factory=Loop, debug=True)) is Loop
    with aio.Runner(loop_factory=Loop) as runner:
        assert type(runner.run(running())) is Loop


def test_their_signatures_are_asyncios() -> None:
    def shape(function: Any) -> list[tuple[str, Any, Any]]:
        return [(one.name, one.kind, one.default) for one in inspect.signature(function).parameters.values()]

    assert shape(aio.Runner) == shape(asyncio.Runner)
    assert shape(aio.Runner.run) == shape(asyncio.Runner.run)
    assert shape(aio.run)[: len(shape(asyncio.run))] == shape(asyncio.run)
    assert [name for name, _, _ in shape(aio.run)] == ["main", "debug", "loop_factory"]  # the last one since 3.12


def test_foreign_policies_count_as_policies() -> None:
    class Foreign(private.PolicyBase):  # type: ignore[misc] # known at run time only
        pass

    assert isinstance(Foreign(), aio.AbstractEventLoopPolicy)
    assert issubclass(aio.DefaultEventLoopPolicy, aio.AbstractEventLoopPolicy)
    assert not isinstance(Foreign(), aio.DefaultEventLoopPolicy)
    assert not isinstance(3, aio.AbstractEventLoopPolicy)
