"""A server's workers, each a process that puts uvloop's policy in force before it makes its loop.

Project: pgjones/hypercorn
Where: hypercorn/asyncio/run.py at 001432f2a855, `uvloop_worker` and `_run`
Leans on: `set_event_loop_policy(uvloop.EventLoopPolicy())` before `new_event_loop()`
Needs: uvloop
Plain: warns: 'asyncio.(AbstractEventLoopPolicy|set_event_loop_policy)' is deprecated
Prints:
    worker 0: loop of uvloop, 'hello' echoed
    worker 1: loop of uvloop, 'hello' echoed
    exit codes: [0, 0]
"""

import asyncio
import multiprocessing
import sys


async def echo(reader, writer):
    writer.write(await reader.readline())
    writer.close()


async def serve(number):
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"hello\n")
    answer = (await reader.readline()).decode().strip()
    writer.close()
    await writer.wait_closed()
    server.close()
    loop = type(asyncio.get_event_loop()).__module__
    print(f"worker {number}: loop of {loop}, {answer!r} echoed", flush=True)


def uvloop_worker(number):
    import uvloop

    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    loop = asyncio.new_event_loop()
    try:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(serve(number))
    finally:
        try:
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            asyncio.set_event_loop(None)
            loop.close()


if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    codes = []
    for number in range(2):
        worker = context.Process(target=uvloop_worker, args=(number,))
        worker.start()
        worker.join()
        codes.append(worker.exitcode)
    print("exit codes:", codes)
    sys.exit(max(codes))
