"""Pipelines of children, with the watcher that the command line names.

Project: byllyfish/shellous
Where: tests/conftest.py at 03e0f508585d, `_CustomEventLoopPolicy`
Leans on: a policy that gives itself a watcher in its constructor, by `self.set_child_watcher()`
Arguments: safe
Arguments: fast
Arguments: pidfd
Arguments: threaded
Arguments: multi
Plain: fails: AttributeError: 'CustomPolicy' object has no attribute 'set_child_watcher'
Prints:
    the watcher that was asked for: True
    'tr a-z A-Z' gave 'HELLO', code 0
    'tr a-z A-Z; exit 3' gave 'HELLO', code 3
    debug mode: True
"""

import asyncio
import sys


class CustomPolicy(asyncio.DefaultEventLoopPolicy):
    def __init__(self, name):
        super().__init__()
        self.set_child_watcher(self.make_watcher(name))

    @staticmethod
    def make_watcher(name):
        if name == "safe":
            return asyncio.SafeChildWatcher()
        if name == "fast":
            return asyncio.FastChildWatcher()
        if name == "pidfd":
            return asyncio.PidfdChildWatcher()
        if name == "threaded":
            return asyncio.ThreadedChildWatcher()
        return asyncio.MultiLoopChildWatcher()

    def new_event_loop(self):
        loop = super().new_event_loop()
        loop.set_debug(True)
        loop.slow_callback_duration = 30  # what is printed must not depend on how busy the machine is
        return loop


async def filtered(command):
    child = await asyncio.create_subprocess_shell(
        command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await child.communicate(b"hello\n")
    return f"{command!r} gave {output.decode().strip()!r}, code {child.returncode}"


async def main(name):
    watcher = asyncio.get_child_watcher()
    asked_for = type(watcher).__name__.lower().removesuffix("childwatcher").removesuffix("loop")
    print("the watcher that was asked for:", asked_for == name)
    if name == "multi":
        watcher.attach_loop(asyncio.get_running_loop())  # as its documentation asks: in the main thread, once
    for command in ("tr a-z A-Z", "tr a-z A-Z; exit 3"):
        print(await filtered(command))
    print("debug mode:", asyncio.get_running_loop().get_debug())
    watcher.close()


asyncio.set_event_loop_policy(CustomPolicy(sys.argv[1]))
asyncio.run(main(sys.argv[1]))
