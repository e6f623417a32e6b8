"""A client whose coroutines can be called like functions: they run the current loop if it is not running.

Project: LonamiWebs/Telethon
Where: telethon/sync.py at 0dfea049e637, `_syncify_wrap` and `syncify`
Leans on: `get_event_loop()` making a loop at the first call, and giving the same one at every other
Arguments: one two
Plain: fails: RuntimeError: There is no current event loop in thread 'MainThread'
Prints:
    me: user 7
    sent 'one', id 1
    sent 'two', id 2
    within a coroutine: sent 'three', id 3
"""

import asyncio
import functools
import inspect
import sys


def syncify(cls):
    for name, method in list(vars(cls).items()):
        if inspect.iscoroutinefunction(method) and not name.startswith("_"):
            setattr(cls, name, wrapped(method))
    return cls


def wrapped(method):
    @functools.wraps(method)
    def syncified(*args, **kwargs):
        coroutine = method(*args, **kwargs)
        loop = asyncio.get_event_loop()
        if loop.is_running():
            return coroutine
        return loop.run_until_complete(coroutine)

    return syncified


async def serve(reader, writer):
    count = 0
    while line := await reader.readline():
        if line == b"whoami\n":
            writer.write(b"user 7\n")
        else:
            count += 1
            writer.write(b"id %d\n" % count)
    writer.close()
    await writer.wait_closed()


@syncify
class Client:
    async def connect(self):
        self._server = await asyncio.start_server(serve, "127.0.0.1", 0)
        self._reader, self._writer = await asyncio.open_connection(*self._server.sockets[0].getsockname())

    async def _ask(self, text):
        self._writer.write(f"{text}\n".encode())
        return (await self._reader.readline()).decode().strip()

    async def get_me(self):
        return await self._ask("whoami")

    async def send_message(self, text):
        return f"sent {text!r}, {await self._ask(text)}"

    async def disconnect(self):
        self._writer.close()
        await self._writer.wait_closed()
        self._server.close()


client = Client()
client.connect()
print("me:", client.get_me())
for word in sys.argv[1:]:
    print(client.send_message(word))


async def main():
    print("within a coroutine:", await client.send_message("three"))


asyncio.get_event_loop().run_until_complete(main())


async def served():
    await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))


client.disconnect()
asyncio.get_event_loop().run_until_complete(served())
asyncio.get_event_loop().close()
