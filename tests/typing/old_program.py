"""Not run: `make check` has mypy look at it, to see that a program of old is as well understood by way of aio."""

import sys
from typing import assert_type

import loopwright.aio as asyncio
from loopwright.aio import Queue, SafeChildWatcher, get_child_watcher, set_event_loop_policy


class Policy(asyncio.DefaultEventLoopPolicy):
    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.SelectorEventLoop()


async def main(queue: Queue[int]) -> int:
    assert_type(asyncio.get_running_loop(), asyncio.AbstractEventLoop)
    process = await asyncio.create_subprocess_exec("true", stdout=asyncio.subprocess.PIPE)
    assert_type(process, asyncio.subprocess.Process)
    task = asyncio.create_task(queue.get())
    assert_type(task, asyncio.Task[int])
    try:
        return await asyncio.wait_for(task, 1)
    except asyncio.TimeoutError:
        return await process.wait()


set_event_loop_policy(Policy())
watcher = SafeChildWatcher()
watcher.attach_loop(asyncio.new_event_loop())
asyncio.set_child_watcher(watcher)
get_child_watcher().close()
assert_type(asyncio.run(main(Queue()), debug=True), int)
assert_type(asyncio.events.get_running_loop(), asyncio.AbstractEventLoop)
with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
    assert_type(runner.run(main(Queue())), int)
if sys.version_info >= (3, 12):
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
asyncio.get_event_loop_polcy()  # type: ignore[attr-defined] # a mistyped name is found, and that this is used shows it
