"""A server whose workers are forked, and throw away the loop that they were forked with.

Project: benoitc/gunicorn
Where: gunicorn/workers/_gaiohttp.py at 04c2f0ea2fe0, `AiohttpWorker.init_process`
Leans on: `get_event_loop()` making a loop, also in the forked child that closes it before it makes its own
Arguments: 3
Plain: fails: RuntimeError: There is no current event loop in thread 'MainThread'
Prints:
    the arbiter's loop works: True
    one connection served by each of 3 workers
    workers ended with: [0, 0, 0]
    the arbiter's loop works, woken from a thread: True
"""

import asyncio
import os
import socket
import sys
import threading


class Worker:
    def __init__(self, listener):
        self.listener = listener

    def init_process(self):
        # a new loop after the fork
        asyncio.get_event_loop().close()
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)

    def run(self):
        self.served = self.loop.create_future()
        starting = asyncio.start_server(self.serve, sock=self.listener, start_serving=False)
        self.server = self.loop.run_until_complete(starting)
        self.loop.run_until_complete(self.server.start_serving())
        self.loop.run_until_complete(self.served)
        self.loop.close()

    async def serve(self, reader, writer):
        self.server.close()
        await reader.readline()
        writer.write(f"{os.getpid()}\n".encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        self.served.set_result(None)


def fork_worker(listener):
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        worker = Worker(listener)
        worker.init_process()
        worker.run()
        code = 0
    finally:
        os._exit(code)


def ask(address):
    with socket.create_connection(address) as connection, connection.makefile("rwb") as stream:
        stream.write(b"who?\n")
        stream.flush()
        return int(stream.readline())


def woken_from_thread(loop):
    future = loop.create_future()
    thread = threading.Thread(target=loop.call_soon_threadsafe, args=(future.set_result, True))
    loop.call_later(0.01, thread.start)
    woken = loop.run_until_complete(future)
    thread.join()
    return woken


arbiter = asyncio.get_event_loop()
print("the arbiter's loop works:", arbiter.run_until_complete(asyncio.sleep(0, True)))
with socket.create_server(("127.0.0.1", 0)) as listener:
    pids = [fork_worker(listener) for _ in range(int(sys.argv[1]))]
    answers = [ask(listener.getsockname()) for _ in pids]
assert sorted(answers) == sorted(pids)
print(f"one connection served by each of {len(pids)} workers")
print("workers ended with:", [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids])
arbiter.close()
arbiter = asyncio.new_event_loop()
asyncio.set_event_loop(arbiter)
print("the arbiter's loop works, woken from a thread:", woken_from_thread(asyncio.get_event_loop()))
arbiter.close()
