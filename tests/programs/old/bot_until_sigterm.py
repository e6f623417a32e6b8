"""A chat bot that takes the current loop when it is made, and runs until SIGTERM.

Project: Rapptz/discord.py
Where: discord/client.py as of release 1.7, `Client.__init__`, `run` and `_cleanup_loop` (which other bots have copied)
Leans on: `get_event_loop()` making the loop in a constructor, `ensure_future(..., loop=loop)`, `run_forever()`
Arguments: hello ping bye
Plain: fails: RuntimeError: There is no current event loop in thread 'MainThread'
Prints:
    heard: hello
    heard: ping
    heard: bye
    stopping
    a task was cancelled: keep_alive
    closed: True
"""

import asyncio
import os
import signal
import sys


class Client:
    def __init__(self, *, loop=None):
        self.loop = asyncio.get_event_loop() if loop is None else loop
        self.messages = asyncio.Queue()
        self.ready = asyncio.Event()

    def event(self, coroutine_function):
        setattr(self, coroutine_function.__name__, coroutine_function)
        return coroutine_function

    async def keep_alive(self):
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            print("a task was cancelled: keep_alive")
            raise

    async def start(self):
        self.keeping = self.loop.create_task(self.keep_alive())
        self.ready.set()
        while True:
            await self.on_message(await self.messages.get())

    def run(self):
        loop = self.loop
        loop.add_signal_handler(signal.SIGINT, loop.stop)
        loop.add_signal_handler(signal.SIGTERM, loop.stop)
        future = asyncio.ensure_future(self.start(), loop=loop)
        future.add_done_callback(lambda _: loop.stop())
        try:
            loop.run_forever()
        finally:
            print("stopping")
            self.clean_up()

    def clean_up(self):
        tasks = asyncio.all_tasks(loop=self.loop)
        for task in tasks:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()


client = Client()
for word in sys.argv[1:]:
    client.messages.put_nowait(word)


@client.event
async def on_message(message):
    await client.ready.wait()
    print("heard:", message)
    if message == "bye":
        os.kill(os.getpid(), signal.SIGTERM)


client.run()
print("closed:", client.loop.is_closed())
