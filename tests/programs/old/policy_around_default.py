"""A policy that has a default policy inside, and puts methods of its own into it.

Project: beeware/rubicon-objc
Where: src/rubicon/objc/eventloop.py at 11cac523cec4, `EventLoopPolicy`
Leans on: `asyncio.events.AbstractEventLoopPolicy`; a `DefaultEventLoopPolicy()` whose `new_event_loop` is replaced
Plain: fails: ImportError: cannot import name 'SafeChildWatcher' from 'asyncio'
Prints:
    the main thread's loop is the default one: True
    a thread has none: There is no current event loop
    a thread that sets one: its own
    the child ended with 2
"""

import asyncio
import threading
from asyncio import DefaultEventLoopPolicy, SafeChildWatcher, events


class AppLoop(asyncio.SelectorEventLoop):
    pass


class AppPolicy(events.AbstractEventLoopPolicy):
    def __init__(self):
        self.default_loop = None
        self.watcher = None
        self.policy = DefaultEventLoopPolicy()
        self.policy.new_event_loop = self.new_event_loop
        self.get_event_loop = self.policy.get_event_loop
        self.set_event_loop = self.policy.set_event_loop

    def new_event_loop(self):
        if self.default_loop is None and threading.current_thread() is threading.main_thread():
            self.default_loop = AppLoop()
            return self.default_loop
        return AppLoop()

    def get_child_watcher(self):
        with events._lock:
            if self.watcher is None:
                self.watcher = SafeChildWatcher()
                self.watcher.attach_loop(self.default_loop)
        return self.watcher

    def set_child_watcher(self, watcher):
        if self.watcher is not None:
            self.watcher.close()
        self.watcher = watcher


def in_thread():
    try:
        asyncio.get_event_loop()
    except RuntimeError as error:
        said = str(error).partition(" in thread")[0]
        print("a thread has none:", said)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    kinds = {True: "its own", False: "somebody else's"}
    print("a thread that sets one:", kinds[asyncio.get_event_loop() is loop])
    asyncio.set_event_loop(None)
    loop.close()


async def main():
    child = await asyncio.create_subprocess_exec("sh", "-c", "exit 2")
    return await child.wait()


policy = AppPolicy()
asyncio.set_event_loop_policy(policy)
loop = asyncio.get_event_loop()
print("the main thread's loop is the default one:", loop is policy.default_loop and isinstance(loop, AppLoop))
thread = threading.Thread(target=in_thread)
thread.start()
thread.join()
print("the child ended with", loop.run_until_complete(main()))
asyncio.set_child_watcher(None)
loop.close()
