"""Browsers started by loops in an executor's threads, watched over by the main loop.

Project: mikeyy/nonoCAPTCHA
Where: examples/aiohttp_executor.py at 05baf428792a, the module's beginning, `TaskRerun.prepare_loop` and `work`
Leans on: `get_event_loop()` as the module is imported, `FastChildWatcher` attached to that loop for all threads
Plain: fails: RuntimeError: There is no current event loop in thread 'MainThread'
Prints:
    work 0 by way of proxy-0: solved, code 0
    work 1 by way of proxy-1: solved, code 1
    work 2 by way of proxy-2: solved, code 2
    work 3 by way of proxy-3: solved, code 3
    proxies left: 0
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

parent_loop = asyncio.get_event_loop()
asyncio.set_child_watcher(asyncio.FastChildWatcher())
asyncio.get_child_watcher().attach_loop(parent_loop)
proxies = asyncio.Queue()


async def work(number):
    getting = asyncio.run_coroutine_threadsafe(proxies.get(), parent_loop)
    proxy = await asyncio.wrap_future(getting)
    browser = await asyncio.create_subprocess_shell(f"echo solved; exit {number}", stdout=asyncio.subprocess.PIPE)
    output, _ = await browser.communicate()
    return number, proxy, output.decode().strip(), browser.returncode


def in_thread(number):
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(work(number))
    finally:
        asyncio.set_event_loop(None)
        loop.close()


async def main():
    for number in range(4):
        proxies.put_nowait(f"proxy-{number}")
    with ThreadPoolExecutor(4) as executor:
        done = await asyncio.gather(*(parent_loop.run_in_executor(executor, in_thread, number) for number in range(4)))
    given = sorted(proxy for _, proxy, _, _ in done)
    for (number, _, said, code), proxy in zip(done, given, strict=True):
        print(f"work {number} by way of {proxy}: {said}, code {code}")


if __name__ == "__main__":
    parent_loop.run_until_complete(main())
    print("proxies left:", proxies.qsize())
    asyncio.set_child_watcher(None)
    parent_loop.close()
