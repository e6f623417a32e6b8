"""A wallet whose loop, taken in the main thread, runs in another until a future is set.

Project: spesmilo/electrum
Where: electrum/util.py at 004acb906d33, `create_and_start_event_loop`
Leans on: `get_event_loop()` making a loop, and `asyncio.Future()` finding it with no loop running
Plain: fails: RuntimeError: There is no current event loop in thread 'MainThread'
Prints:
    running in thread EventLoop
    the lock was made for that loop: balance 30
    an error was told of: no such coin
    stopped with 1; the thread has ended: True
"""

import asyncio
import threading


def create_and_start_event_loop():
    loop = asyncio.get_event_loop()
    loop.set_exception_handler(lambda loop, context: print("an error was told of:", context["exception"]))
    stopping = asyncio.Future()
    results = []
    thread = threading.Thread(target=lambda: results.append(loop.run_until_complete(stopping)), name="EventLoop")
    thread.start()
    return loop, stopping, thread, results


class Wallet:
    def __init__(self):
        self.lock = asyncio.Lock()
        self.balance = 0

    async def add(self, amount):
        async with self.lock:
            before = self.balance
            await asyncio.sleep(0)
            self.balance = before + amount

    async def add_all(self, *amounts):
        await asyncio.gather(*map(self.add, amounts))
        return self.balance


def fail():
    raise LookupError("no such coin")


async def thread_name():
    return threading.current_thread().name


wallet = Wallet()
loop, stopping, thread, results = create_and_start_event_loop()
print("running in thread", asyncio.run_coroutine_threadsafe(thread_name(), loop).result())
balance = asyncio.run_coroutine_threadsafe(wallet.add_all(5, 10, 15), loop).result()
print("the lock was made for that loop: balance", balance)
loop.call_soon_threadsafe(fail)
loop.call_soon_threadsafe(stopping.set_result, 1)
thread.join()
print(f"stopped with {results[0]}; the thread has ended: {not thread.is_alive()}")
loop.close()
