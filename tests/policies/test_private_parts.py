"""Policies derived from the default one that reach for what was private in asyncio's."""

from __future__ import annotations

import asyncio
import threading

import pytest

from loopwright.errors import NoLoopError
from loopwright.policies import DefaultEventLoopPolicy, EventLoopPolicy
from loopwright.watchers import PidfdChildWatcher, process_watcher


class OwnLoop(asyncio.SelectorEventLoop):
    pass


class ByClass(DefaultEventLoopPolicy):
    _loop_factory = OwnLoop


class ByMethod(DefaultEventLoopPolicy):
    def _loop_factory(self):
        return OwnLoop()


@pytest.mark.parametrize("kind", [ByClass, ByMethod])
def test_loops_are_made_by_the_loop_factory_of_a_subclass(kind):
    policy = kind()
    loop = policy.new_event_loop()
    assert type(loop) is OwnLoop
    policy.close()
    assert loop.is_closed()


def test_the_loop_factory_is_a_class_with_a_name():
    policy = DefaultEventLoopPolicy()
    assert policy._loop_factory.__name__.endswith("EventLoop")
    loop = policy.new_event_loop()
    assert type(loop) is policy._loop_factory
    loop.close()


def test_local_tells_of_the_thread_that_asks():
    policy = DefaultEventLoopPolicy()
    assert (policy._local._loop, policy._local._set_called) == (None, False)
    loop = policy.new_event_loop()
    policy.set_event_loop(loop)
    assert (policy._local._loop, policy._local._set_called) == (loop, True)
    elsewhere = []
    thread = threading.Thread(target=lambda: elsewhere.append((policy._local._loop, policy._local._set_called)))
    thread.start()
    thread.join()
    assert elsewhere == [(None, False)]
    policy.close()


@pytest.mark.parametrize("scope", ["thread", "context", "shared"])
def test_every_policy_has_local_for_whoever_patches_its_class(scope):
    class Policy(EventLoopPolicy):
        def get_event_loop(self):  # as nest_asyncio has it
            if self._local._loop is None:
                self.set_event_loop(self.new_event_loop())
            return self._local._loop

    policy = Policy(scope=scope)
    loop = policy.get_event_loop()
    assert policy.get_event_loop() is loop
    policy._local = None  # as asyncio puts something there after a fork, since 3.12
    assert policy._local._loop is loop
    policy.close()


def test_what_is_put_into_local_holds():
    policy = DefaultEventLoopPolicy()
    loop = policy.new_event_loop()
    policy._local._loop = loop
    assert policy.get_event_loop() is loop
    policy._local._loop = None
    policy._local._set_called = True
    with pytest.raises(NoLoopError):
        policy.get_event_loop()
    policy._local._set_called = False
    assert not policy._local._set_called
    policy._local._loop = loop
    policy.close()  # which knows that it made this one
    assert loop.is_closed()


def test_init_watcher_is_asked_once_for_the_watcher():
    class Policy(DefaultEventLoopPolicy):
        asked = 0

        def _init_watcher(self):
            self.asked += 1
            self._watcher = PidfdChildWatcher()

    policy = Policy()
    watcher = policy.get_child_watcher()
    assert isinstance(watcher, PidfdChildWatcher)
    assert policy.get_child_watcher() is watcher
    assert policy.asked == 1
    policy.set_child_watcher(None)
    with pytest.raises(RuntimeError, match="closed"):
        watcher.add_child_handler(1, print)


def test_without_one_the_process_has_one():
    policy = DefaultEventLoopPolicy()
    assert policy.get_child_watcher() is process_watcher()
    assert policy._watcher is None
