"""A home's controller: a policy with a debug mode, an executor, a watcher and an exception handler for every loop.

Project: home-assistant/core
Where: homeassistant/runner.py as of mid-2023, `HassEventLoopPolicy._init_watcher` and `loop_name`, and `run`
Leans on: `DefaultEventLoopPolicy`'s private `_watcher`, `_init_watcher()`, `_local._loop` and `_loop_factory`
Plain: fails: AttributeError: 'HousePolicy' object has no attribute 'get_child_watcher'
Prints:
    loops are made by a class with a name: True
    watcher: PidfdChildWatcher
    the door's sensor says open, in thread SyncWorker_0
    error doing job: Task exception was never retrieved
    exit code 100
"""

import asyncio
import gc
import os
import sys
import threading
from asyncio import events
from concurrent.futures import ThreadPoolExecutor


class HousePolicy(asyncio.DefaultEventLoopPolicy):
    def __init__(self, debug):
        super().__init__()
        self.debug = debug
        self._watcher = None

    def _init_watcher(self):
        """As Python 3.12 has it, for the Python before."""
        with events._lock:
            if self._watcher is None:
                os.close(os.pidfd_open(os.getpid(), 0))
                self._watcher = asyncio.PidfdChildWatcher()
                if threading.current_thread() is threading.main_thread():
                    self._watcher.attach_loop(self._local._loop)

    @property
    def loop_name(self):
        return self._loop_factory.__name__

    def new_event_loop(self):
        loop = super().new_event_loop()
        loop.set_exception_handler(lambda loop, context: print("error doing job:", context["message"]))
        loop.set_debug(self.debug)
        loop.set_default_executor(ThreadPoolExecutor(thread_name_prefix="SyncWorker", max_workers=1))
        return loop


async def fail():
    raise OSError("the doorbell is gone")


async def setup_and_run():
    loop = asyncio.get_running_loop()
    print("watcher:", type(asyncio.get_event_loop_policy().get_child_watcher()).__name__)
    sensor = await asyncio.create_subprocess_exec("echo", "open", stdout=asyncio.subprocess.PIPE)
    output, _ = await sensor.communicate()
    thread = await loop.run_in_executor(None, lambda: threading.current_thread().name)
    print(f"the door's sensor says {output.decode().strip()}, in thread {thread}")
    failing = loop.create_task(fail())
    await asyncio.wait([failing])
    del failing
    gc.collect()
    return 100


def run(debug):
    policy = HousePolicy(debug)
    print("loops are made by a class with a name:", policy.loop_name.endswith("EventLoop"))
    asyncio.set_event_loop_policy(policy)
    loop = asyncio.new_event_loop()
    try:
        asyncio.set_event_loop(loop)
        return loop.run_until_complete(setup_and_run())
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        asyncio.set_event_loop(None)
        loop.close()


code = run(debug="--debug" in sys.argv)
print("exit code", code)
