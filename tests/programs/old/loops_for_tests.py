"""A test helper that gives each test a loop, set as the thread's, and the policy a watcher for it.

Project: aio-libs/aiohttp
Where: aiohttp/test_utils.py as of release 3.8, `loop_context`, `setup_test_loop` and `teardown_test_loop`
Leans on: `policy.set_child_watcher()` with a new `ThreadedChildWatcher` for each loop
Plain: fails: AttributeError: module 'asyncio' has no attribute 'SafeChildWatcher'
Prints:
    test 1: served 'GET /', the child ended with 4
    test 2: served 'GET /', the child ended with 4
    test 3: served 'GET /', the child ended with 4
    no loop is left: True
"""

import asyncio
import contextlib
import gc
import sys


@contextlib.contextmanager
def loop_context(loop_factory=asyncio.new_event_loop):
    loop = setup_test_loop(loop_factory)
    yield loop
    teardown_test_loop(loop)


def setup_test_loop(loop_factory):
    loop = loop_factory()
    asyncio.set_event_loop(loop)
    if sys.platform != "win32" and "uvloop" not in type(loop).__module__:
        policy = asyncio.get_event_loop_policy()
        try:
            watcher = asyncio.ThreadedChildWatcher()
        except AttributeError:  # Python 3.7
            watcher = asyncio.SafeChildWatcher()
        watcher.attach_loop(loop)
        policy.set_child_watcher(watcher)
    return loop


def teardown_test_loop(loop):
    if not loop.is_closed():
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()
    gc.collect()
    asyncio.set_event_loop(None)


async def handle(reader, writer):
    request = await reader.readline()
    child = await asyncio.create_subprocess_exec("/bin/sh", "-c", "exit 4")
    writer.write(f"served {request.decode().strip()!r}, the child ended with {await child.wait()}".encode())
    writer.close()


async def test():
    server = await asyncio.start_server(lambda r, w: handle(r, w), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"GET /\n")
    answer = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    server.close()
    return answer


for number in (1, 2, 3):
    with loop_context() as loop:
        print(f"test {number}:", loop.run_until_complete(test()))
try:
    asyncio.get_event_loop()
except RuntimeError:
    print("no loop is left: True")
