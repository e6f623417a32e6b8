"""Puts Loopwright's policies into asyncio, for CPython's own tests of policies. For a process of its own only.

Theory of operation. The tests of a version expect the rules of that version, so the default policy that they find is
ours by those rules: a subclass that chooses them and does nothing else. asyncio makes its default by looking a name up,
and Loopwright's own functions do, too, so whoever asks first, it is that one.

`asyncio.get_event_loop()` and its sisters stay asyncio's own, the compiled one as well: that they obey is what is
tested. Where asyncio has no policies (`absent.py`), they would not know of ours; there the three are Loopwright's
functions under each of the names by which the tests know them.

With `mutant`, our policy forgets what is set, and our function to set a policy sets none. A run that passes all the
same was a run of something else.
"""

from __future__ import annotations

import asyncio
import asyncio.events
import asyncio.unix_events
import sys
import unittest.mock
from asyncio import futures, tasks
from typing import Any

from loopwright import policies, watchers
from loopwright.loops import _asyncio_private as private
from loopwright.policies import _registry

FUNCTIONS = ("get_event_loop_policy", "set_event_loop_policy")
#: In asyncio.events, the names of one function by which tests ask for it in C and in Python.
GETTERS = ("get_event_loop", "_py_get_event_loop", "_c_get_event_loop")

#: What was given to a policy, or to the function that sets one, while they were disabled.
asked: list[object] = []


def default_policy(rules: str) -> type:
    class DefaultEventLoopPolicy(policies.DefaultEventLoopPolicy):
        def __init__(self) -> None:
            super().__init__(rules=rules)

    return DefaultEventLoopPolicy


def install(tests_version: tuple[int, int], *, mutant: bool, absent: bool) -> None:
    """Put the names where tests of that version of Python look for them."""
    if mutant:
        disable_policies()
    default = default_policy("{}.{}".format(*tests_version))
    names: dict[str, Any] = {name: getattr(policies, name) for name in FUNCTIONS}
    # What asyncio's own functions ask from 3.14 on.
    names |= {f"_{name}": names[name] for name in FUNCTIONS}
    names["AbstractEventLoopPolicy"] = policies.AbstractEventLoopPolicy
    names["DefaultEventLoopPolicy"] = names["_DefaultEventLoopPolicy"] = default
    # Their set-up makes one and sets it, whatever they test.
    names["SafeChildWatcher"] = watchers.SafeChildWatcher
    names["set_child_watcher"] = policies.set_child_watcher
    if absent:
        names |= dict.fromkeys(GETTERS, policies.get_event_loop)
        names |= {"set_event_loop": policies.set_event_loop, "new_event_loop": policies.new_event_loop}
    for module in (asyncio, asyncio.unix_events, asyncio.events):
        vars(module).update(names)
    if absent:
        # Read by a hook of asyncio's after a fork, which comes before it forgets the parent's running loop.
        vars(asyncio.events)["_event_loop_policy"] = None
    _registry.DefaultEventLoopPolicy = default  # type: ignore[misc,assignment]
    private.install_policy(None)


def with_python_tasks(kind: type) -> type:
    """Have this class of tests use tasks in Python, as it does in CPython's own tests from 3.14 on.

    It puts Python's record of the running loop in place of the compiled one, of which compiled tasks then know nothing.
    """
    if sys.version_info < (3, 14):
        return kind

    class WithPythonTasks(kind):  # type: ignore[misc]
        def setUp(self) -> None:
            for module, name in ((asyncio, "Task"), (asyncio, "Future"), (tasks, "Task"), (futures, "Future")):
                patch = unittest.mock.patch.object(
                    module, name, getattr(tasks, f"_Py{name}", None) or futures._PyFuture
                )
                patch.start()
                self.addCleanup(patch.stop)
            super().setUp()

    WithPythonTasks.__name__ = WithPythonTasks.__qualname__ = kind.__name__
    WithPythonTasks.__module__ = kind.__module__
    return WithPythonTasks


def disable_policies() -> None:
    policies.EventLoopPolicy.set_event_loop = lambda _policy, loop: asked.append(loop)  # type: ignore[method-assign]
    policies.set_event_loop_policy = asked.append
