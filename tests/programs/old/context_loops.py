"""A loop for each context: a policy that keeps the current loop in a context variable inside a block.

Project: python-trio/trio-asyncio
Where: trio_asyncio/_loop.py at 0a10ae8c1432, `_TrioPolicy`, `TrioPolicy._init_watcher` and `current_loop`
Leans on: `asyncio.events.BaseDefaultEventLoopPolicy`, derived from together with `DefaultEventLoopPolicy`
Plain: fails: AttributeError: module 'asyncio.events' has no attribute 'BaseDefaultEventLoopPolicy'
Prints:
    in no block: a loop is made, and stays
    in block one: loop one
    in block two, within: loop two
    in block one, again: loop one
    in no block, again: the same as before
    watcher: NoChildren
"""

import asyncio
import contextlib
from contextvars import ContextVar

current_loop = ContextVar("current_loop", default=None)


class NamedLoop(asyncio.SelectorEventLoop):
    def __init__(self, name):
        super().__init__()
        self.name = name


class _BlockPolicy(asyncio.events.BaseDefaultEventLoopPolicy):
    @staticmethod
    def _loop_factory():
        raise RuntimeError("no loop is made like that")

    def new_event_loop(self):
        return NamedLoop("of no block")

    def get_event_loop(self):
        # asks new_event_loop() if there is none yet
        return current_loop.get() or super().get_event_loop()

    def set_event_loop(self, loop):
        if current_loop.get() is None:
            super().set_event_loop(loop)
        else:
            current_loop.set(loop)


class BlockPolicy(_BlockPolicy, asyncio.DefaultEventLoopPolicy):
    def _init_watcher(self):
        with asyncio.events._lock:
            self._watcher = NoChildren()
            self._watcher.attach_loop(current_loop.get())


class NoChildren(asyncio.AbstractChildWatcher):
    def attach_loop(self, loop):
        self.loop = loop

    def close(self):
        self.loop = None


@contextlib.contextmanager
def block(name):
    token = current_loop.set(NamedLoop(name))
    try:
        yield
    finally:
        current_loop.get().close()
        current_loop.reset(token)


async def name_of_loop():
    await asyncio.sleep(0)
    return asyncio.get_event_loop().name


def ask():
    return asyncio.get_event_loop().run_until_complete(name_of_loop())


asyncio.set_event_loop_policy(BlockPolicy())
outside = asyncio.get_event_loop()
assert ask() == "of no block"
print("in no block: a loop is made, and stays")
with block("one"):
    print("in block one: loop", ask())
    with block("two"):
        print("in block two, within: loop", ask())
    print("in block one, again: loop", ask())
assert asyncio.get_event_loop() is outside
print("in no block, again: the same as before")
print("watcher:", type(asyncio.get_child_watcher()).__name__)
outside.close()
