"""install() where asyncio has no policies any more: Python 3.16, as the deprecations in 3.14 and 3.15 describe it."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

#: Takes from asyncio what is to go, and puts in place of what asked a policy functions that ask none.
LATER = """
import asyncio, asyncio.events, asyncio.unix_events, sys, warnings

for module in (asyncio, asyncio.events, asyncio.unix_events):
    for name in list(vars(module)):
        gone = "policy" in name.lower() or "child_watcher" in name or name.endswith("ChildWatcher")
        # The two with which 3.14 and later watch for themselves; before that, a loop asks for one by name.
        if gone and not (name.startswith("_") and name.endswith("ChildWatcher")):
            delattr(module, name)
    module.__all__ = tuple(name for name in module.__all__ if hasattr(module, name))
if "__getattr__" in vars(asyncio):
    del asyncio.__getattr__

def new_event_loop():
    return asyncio.SelectorEventLoop()

def set_event_loop(loop):
    pass

for module in (asyncio, asyncio.events):
    module.new_event_loop = new_event_loop
    module.set_event_loop = set_event_loop
    module.get_event_loop = module.get_running_loop

if "_get_event_loop" in vars(asyncio.events):  # only 3.11 has it, where it asks in compiled code
    asyncio.events._get_event_loop = lambda stacklevel=3: asyncio.events.get_event_loop()

def names():
    return {module.__name__: dict(vars(module)) for module in (asyncio, asyncio.events, asyncio.unix_events)}

before = names()

import loopwright
from loopwright.policies import install, installed, uninstall

class Loop(asyncio.SelectorEventLoop):
    pass

async def kind():
    return type(asyncio.get_running_loop()), asyncio.get_event_loop() is asyncio.get_running_loop()

assert names() == before
"""


@pytest.fixture
def later(script: Callable[..., str]) -> Callable[[str], str]:
    return lambda source: script(LATER + textwrap.dedent(source))


def test_plain_asyncio_obeys_the_policy_there_too(later: Callable[[str], str]) -> None:
    printed = later("""
        policy = loopwright.EventLoopPolicy(loop=Loop)
        loopwright.set_event_loop_policy(policy)
        assert asyncio.run(kind()) == (asyncio.SelectorEventLoop, True)
        install()
        assert asyncio.run(kind()) == (Loop, True)
        with asyncio.Runner() as runner:
            assert runner.run(kind()) == (Loop, True)
        loop = asyncio.new_event_loop()
        assert type(loop) is Loop
        asyncio.set_event_loop(loop)
        assert asyncio.get_event_loop() is loop is policy.get_event_loop()
        asyncio.gather(*[], return_exceptions=True).cancel()
        loop.run_until_complete(asyncio.ensure_future(asyncio.sleep(0)))
        asyncio.set_event_loop(None)
        loop.close()
        uninstall()
        assert names() == before
        assert asyncio.run(kind()) == (asyncio.SelectorEventLoop, True)
        print("fine")
    """)
    assert printed == "fine\n"


def test_an_old_program_finds_its_names(later: Callable[[str], str]) -> None:
    printed = later("""
        install(rules="3.11")

        class Mine(asyncio.DefaultEventLoopPolicy):
            def new_event_loop(self):
                return Loop()

        class Base(asyncio.events.BaseDefaultEventLoopPolicy):
            _loop_factory = Loop

        class Unix(asyncio.unix_events._UnixDefaultEventLoopPolicy):
            pass

        for policy in (Mine(), Base()):
            asyncio.set_event_loop_policy(policy)
            loop = asyncio.get_event_loop()
            assert type(loop) is Loop and asyncio.get_event_loop_policy() is policy
            with asyncio.SafeChildWatcher() as watcher:
                watcher.attach_loop(loop)
                asyncio.set_child_watcher(watcher)

                async def start():
                    process = await asyncio.create_subprocess_exec("true")
                    return await process.wait()

                assert loop.run_until_complete(start()) == 0
                assert asyncio.get_child_watcher() is watcher
                asyncio.set_child_watcher(None)
            loop.close()
        namespace = {}
        exec("from asyncio import *", namespace)
        assert namespace["get_child_watcher"] is asyncio.get_child_watcher
        assert namespace["new_event_loop"] is asyncio.new_event_loop
        asyncio.set_event_loop_policy(None)
        uninstall()
        assert names() == before
        print("fine")
    """)
    assert printed == "fine\n"


def test_aio_has_the_names_without_install(later: Callable[[str], str]) -> None:
    printed = later("""
        import loopwright.aio as aio
        aio.set_event_loop_policy(loopwright.EventLoopPolicy(loop=Loop))
        assert aio.run(kind()) == (Loop, True)
        with aio.Runner() as runner:
            assert runner.run(kind()) == (Loop, True)
        assert {"DefaultEventLoopPolicy", "get_event_loop_policy", "SafeChildWatcher"} < set(aio.__all__)
        assert aio.events.get_event_loop_policy() is aio.get_event_loop_policy()
        assert names() == before
        print("fine")
    """)
    assert printed == "fine\n"


def test_without_names_only_what_asks_is_steered(later: Callable[[str], str]) -> None:
    printed = later("""
        with installed(loopwright.EventLoopPolicy(loop=Loop), names=False):
            assert asyncio.run(kind()) == (Loop, True)
            assert not hasattr(asyncio, "get_event_loop_policy")
        assert names() == before
        print("fine")
    """)
    assert printed == "fine\n"
