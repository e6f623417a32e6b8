"""A device driver that runs until Ctrl-C, and reads its sensor with a child process.

Project: ikalchev/HAP-python
Where: pyhap/accessory_driver.py at 0229dada08de, `AccessoryDriver.__init__` and `start`
Leans on: `SafeChildWatcher`, attached to a loop of one's own and set by `set_child_watcher()`; `run_forever()` twice
Plain: fails: AttributeError: module 'asyncio' has no attribute 'SafeChildWatcher'
Prints:
    setting a child watcher
    the sensor reads 21
    interrupted
    the sensor reads 22
    stopped, and the loop is closed: True
"""

import asyncio
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

# Who starts a program in the background has its SIGINT ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)


class Driver:
    def __init__(self, loop=None):
        if loop is None:
            loop = asyncio.new_event_loop()
            self.executor = ThreadPoolExecutor(thread_name_prefix="SyncWorker")
            loop.set_default_executor(self.executor)
        self.loop = loop

    def start(self):
        try:
            if threading.current_thread() is threading.main_thread():
                print("setting a child watcher")
                watcher = asyncio.SafeChildWatcher()
                watcher.attach_loop(self.loop)
                asyncio.set_child_watcher(watcher)
            self.loop.create_task(self.async_start())
            self.loop.run_forever()
        except KeyboardInterrupt:
            print("interrupted")
            self.loop.call_soon_threadsafe(self.loop.create_task, self.async_stop())
            self.loop.run_forever()
        finally:
            self.loop.close()
            self.executor.shutdown()

    async def read_sensor(self, value):
        sensor = await asyncio.create_subprocess_exec("echo", str(value), stdout=asyncio.subprocess.PIPE)
        output, _ = await sensor.communicate()
        assert sensor.returncode == 0
        return await self.loop.run_in_executor(None, int, output)

    async def async_start(self):
        print("the sensor reads", await self.read_sensor(21))
        self.loop.call_soon(os.kill, os.getpid(), signal.SIGINT)

    async def async_stop(self):
        print("the sensor reads", await self.read_sensor(22))
        self.loop.stop()


driver = Driver()
driver.start()
print("stopped, and the loop is closed:", driver.loop.is_closed())
