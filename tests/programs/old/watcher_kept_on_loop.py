"""Children started with `subprocess.Popen`, whose ends a watcher tells that is kept as an attribute of the loop.

Project: cockpit-project/cockpit
Where: src/cockpit/transports.py at 07a2d5ee6c8b, `SubprocessTransport._create_watcher` and `_get_watcher`
Leans on: `asyncio.PidfdChildWatcher`, `asyncio.SafeChildWatcher`, `attach_loop()` and `add_child_handler()`
Plain: fails: AttributeError: module 'asyncio' has no attribute 'SafeChildWatcher'
Prints:
    one watcher for the loop: True
    'exit 0' ended with 0
    'exit 3' ended with 3
    'kill -TERM $$' ended with -15
    said: 'from a child'
"""

import asyncio
import os
import subprocess


class Child:
    """A child process and what it wrote."""

    def __init__(self, loop, command):
        self.command = command
        self.ended = loop.create_future()
        self.process = subprocess.Popen(["/bin/sh", "-c", command], stdout=subprocess.PIPE)
        self.watcher = self.get_watcher(loop)
        self.watcher.add_child_handler(self.process.pid, self.exited)

    @staticmethod
    def create_watcher():
        try:
            os.close(os.pidfd_open(os.getpid(), 0))  # whether the kernel has it
            return asyncio.PidfdChildWatcher()
        except (AttributeError, OSError):
            return asyncio.SafeChildWatcher()

    @classmethod
    def get_watcher(cls, loop):
        watcher = getattr(loop, "_our_child_watcher", None)
        if watcher is None:
            watcher = cls.create_watcher()
            watcher.attach_loop(loop)
            loop._our_child_watcher = watcher
        return watcher

    def exited(self, pid, code):
        assert pid == self.process.pid
        self.process.returncode = code  # the watcher has reaped it
        self.ended.set_result(code)

    async def output(self):
        await self.ended
        with self.process.stdout as pipe:
            return pipe.read().decode().strip()


async def main():
    loop = asyncio.get_running_loop()
    commands = ["exit 0", "exit 3", "kill -TERM $$"]
    children = [Child(loop, command) for command in commands]
    talker = Child(loop, "echo from a child")
    print("one watcher for the loop:", len({id(child.watcher) for child in [*children, talker]}) == 1)
    for child in children:
        print(f"{child.command!r} ended with {await child.ended}")
        await child.output()
    print("said:", repr(await talker.output()))
    talker.watcher.close()


asyncio.run(main())
