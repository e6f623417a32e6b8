"""A watcher for loops that hear of exits by themselves (uvloop, rloop): refused, never ignored."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import pytest

from loopwright import watchers
from loopwright.errors import WatcherIgnoredError
from loopwright.policies import EventLoopPolicy, set_event_loop_policy
from loopwright.watchers import PidfdChildWatcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def watcher() -> Iterator[PidfdChildWatcher]:
    made = PidfdChildWatcher()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("name", "parts"),
    [("uvloop", ("uvloop", "Loop", "new_event_loop")), ("rloop", ("rloop", "RLoop", "new_event_loop"))],
)
def test_a_watcher_for_loops_that_ask_none_is_refused(
    name: str, parts: tuple[str, ...], watcher: PidfdChildWatcher
) -> None:
    package = pytest.importorskip(name)
    for loop in (getattr(package, part, part) for part in parts):
        with pytest.raises(WatcherIgnoredError, match=rf"loops of {name} watch their own subprocesses.*loop='asyncio'"):
            EventLoopPolicy(loop=loop, child_watcher=watcher)
        policy = EventLoopPolicy(loop=loop)
        with pytest.raises(WatcherIgnoredError):
            policy.set_child_watcher(watcher)
        policy.set_child_watcher(None)
        assert policy.get_child_watcher() is watchers.process_watcher()
    assert watcher.is_active()


@pytest.mark.parametrize("name", ["uvloop", "rloop"])
def test_the_function_refuses_one_for_their_own_policies_too(name: str, watcher: PidfdChildWatcher) -> None:
    package = pytest.importorskip(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # uvloop's, on 3.14 and later
        theirs = package.EventLoopPolicy()
    for policy in (theirs, EventLoopPolicy(loop=name)):
        set_event_loop_policy(policy)
        with pytest.raises(WatcherIgnoredError, match=f"loops of {name} watch"):
            watchers.set_child_watcher(watcher)
        watchers.set_child_watcher(None)
        assert watchers.get_child_watcher() is watchers.process_watcher()
    assert watcher.is_active()


# In a program of their own: rloop 0.5 leaves its sockets and its epoll instance to the garbage collector.


@pytest.mark.parametrize("name", ["uvloop", "rloop"])
def test_of_a_factory_it_is_seen_when_it_makes_one(name: str, script: Callable[..., str]) -> None:
    pytest.importorskip(name)
    printed = script(
        """
        import importlib, sys, warnings
        from loopwright.errors import WatcherIgnoredError
        from loopwright.policies import EventLoopPolicy
        from loopwright.watchers import PidfdChildWatcher

        warnings.simplefilter("ignore", ResourceWarning)
        package, made = importlib.import_module(sys.argv[1]), []
        factory = lambda: made.append(package.new_event_loop()) or made[-1]
        try:
            EventLoopPolicy(loop=factory, child_watcher=PidfdChildWatcher()).new_event_loop()
        except WatcherIgnoredError as error:
            print(f"loops of {sys.argv[1]} watch" in str(error), [loop.is_closed() for loop in made])
        """,
        name,
    )
    assert printed == "True [True]\n"


@pytest.mark.parametrize("name", ["uvloop", "rloop"])
def test_asyncios_subprocesses_work_there_all_the_same(name: str, script: Callable[..., str]) -> None:
    pytest.importorskip(name)
    printed = script(
        """
        import asyncio, sys, warnings
        from loopwright.policies import EventLoopPolicy, run

        async def main():
            process = await asyncio.create_subprocess_shell("echo out; exit 3", stdout=-1)
            return await process.communicate(), process.returncode

        warnings.simplefilter("ignore", ResourceWarning)
        print(run(main(), policy=EventLoopPolicy(loop=sys.argv[1])))
        """,
        name,
    )
    assert printed == "((b'out\\n', None), 3)\n"
