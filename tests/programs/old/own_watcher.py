"""A watcher written for asyncio, by another mechanism than asyncio has, and the policy that hands it out.

Project: beeware/gbulb
Where: src/gbulb/glib_events.py at 03156cccb9a7, `GLibChildWatcher` (and `GLibEventLoopPolicy`, of the same file)
Leans on: `AbstractChildWatcher` of `asyncio.unix_events` to derive from; asyncio asking the policy for a watcher
Plain: fails: ImportError: cannot import name 'AbstractChildWatcher' from 'asyncio.unix_events'
Prints:
    'exit 9' ended with 9
    'kill -KILL $$' ended with -9
    'exit 0' ended with 0
    asked to watch 3 processes, none of them twice, and none is left
"""

import asyncio
import os
from asyncio.unix_events import AbstractChildWatcher


class LookingWatcher(AbstractChildWatcher):
    """Looks every few milliseconds."""

    def __init__(self):
        self.asked = []
        self.handlers = {}
        self.loop = None

    def is_active(self):
        return True

    def attach_loop(self, loop):
        self.loop = loop

    def add_child_handler(self, pid, callback, *args):
        self.remove_child_handler(pid)
        self.asked.append(pid)
        self.handlers[pid] = callback, args
        self.look(pid)

    def remove_child_handler(self, pid):
        return self.handlers.pop(pid, None) is not None

    def look(self, pid):
        if pid not in self.handlers:
            return
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            callback, args = self.handlers.pop(pid)
            callback(pid, os.waitstatus_to_exitcode(status), *args)
        else:
            self.loop.call_later(0.005, self.look, pid)

    def close(self):
        self.handlers.clear()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass


class LookingPolicy(asyncio.DefaultEventLoopPolicy):
    """Has such a watcher, which follows the loop that is set."""

    def __init__(self):
        super().__init__()
        self.looking_watcher = LookingWatcher()

    def set_event_loop(self, loop):
        super().set_event_loop(loop)
        self.looking_watcher.attach_loop(loop)

    def get_child_watcher(self):
        return self.looking_watcher


async def run(command):
    child = await asyncio.create_subprocess_shell(command)
    return f"{command!r} ended with {await child.wait()}"


async def main():
    commands = "exit 9", "kill -KILL $$", "exit 0"
    for line in await asyncio.gather(*map(run, commands)):
        print(line)


policy = LookingPolicy()
asyncio.set_event_loop_policy(policy)
asyncio.run(main())
watcher = policy.looking_watcher
assert len(watcher.asked) == len(set(watcher.asked)) == 3
assert not watcher.handlers
print(f"asked to watch {len(watcher.asked)} processes, none of them twice, and none is left")
