"""Rows of callbacks: from the loop's own thread, from others, and of descriptors."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

from _loops.workloads import Clock, expect, workload

BATCH = 1_000


def _in_batches(loop: asyncio.AbstractEventLoop, count: int, call: Any, callback: Any, *words: object) -> Clock:
    """Have `call` (a method of the loop) called BATCH times in a turn, until `count` callbacks have run."""
    _in_order(loop, call)
    batch = min(BATCH, count)
    turns = count // batch

    def fill() -> None:
        nonlocal turns
        turns -= 1
        for _ in range(batch):
            call(callback, *words)
        loop.call_soon(fill if turns else loop.stop)

    loop.call_soon(fill)
    with Clock() as clock:
        loop.run_forever()
    expect(turns, 0, "turns left")
    return clock


def _in_order(loop: asyncio.AbstractEventLoop, call: Any) -> None:
    """First in, first out, all of a batch, once; what a callback asks for comes after what was there before."""
    seen: list[Any] = []
    for number in range(BATCH):
        call(seen.append, number)
    loop.call_soon(call, seen.append, "later")
    loop.call_soon(seen.append, "between")
    loop.call_soon(loop.call_soon, loop.stop)
    loop.run_forever()
    expect(seen, [*range(BATCH), "between", "later"], "order of callbacks")


def _nothing() -> None:
    pass


def _nothing_of_three(_one: object, _two: object, _three: object) -> None:
    pass


@workload("call_soon, 1,000 in a turn", 100_000)
def do_call_soon(loop: asyncio.AbstractEventLoop, count: int) -> Clock:
    return _in_batches(loop, count, loop.call_soon, _nothing)


@workload("call_soon with 3 arguments", 100_000)
def do_call_soon_arguments(loop: asyncio.AbstractEventLoop, count: int) -> Clock:
    seen: list[object] = []
    loop.call_soon(lambda *words: seen.extend(words), 1, "two", 3.0)
    loop.call_soon(loop.stop)
    loop.run_forever()
    expect(seen, [1, "two", 3.0], "arguments")
    return _in_batches(loop, count, loop.call_soon, _nothing_of_three, 1, "two", 3.0)


@workload("call_soon, each from the one before", 50_000)
def do_call_soon_chain(loop: asyncio.AbstractEventLoop, count: int) -> Clock:
    left = count

    def callback() -> None:
        nonlocal left
        left -= 1
        if left:
            loop.call_soon(callback)
        else:
            loop.stop()

    loop.call_soon(callback)
    with Clock() as clock:
        loop.run_forever()
    expect(left, 0, "callbacks left")
    return clock


@workload("call_soon_threadsafe, same thread", 20_000)
def do_threadsafe_same(loop: asyncio.AbstractEventLoop, count: int) -> Clock:
    return _in_batches(loop, count, loop.call_soon_threadsafe, _nothing)


@workload("call_soon_threadsafe, another thread", 10_000, threads=True)
def do_threadsafe_other(loop: asyncio.AbstractEventLoop, count: int) -> Clock:
    seen: list[int] = []
    go = threading.Event()

    def feed() -> None:
        go.wait()
        for number in range(count):
            loop.call_soon_threadsafe(seen.append, number)
        loop.call_soon_threadsafe(loop.stop)

    feeder = threading.Thread(target=feed)
    feeder.start()
    with Clock() as clock:
        loop.call_soon(go.set)
        loop.run_forever()
    feeder.join()
    expect(seen, list(range(count)), "callbacks from another thread")
    return clock


@workload("add_reader: a descriptor that gets ready", 5_000)
def do_reader(loop: asyncio.AbstractEventLoop, count: int) -> Clock:
    left = count
    mine, theirs = socket.socketpair()
    mine.setblocking(False)

    def ready() -> None:
        nonlocal left
        try:
            mine.recv(1)
        except BlockingIOError:  # told once too often, which is allowed
            return
        left -= 1
        if left:
            theirs.send(b"x")
        else:
            loop.stop()

    with mine, theirs:
        loop.add_reader(mine.fileno(), ready)
        theirs.send(b"x")
        with Clock() as clock:
            loop.run_forever()
        expect(left, 0, "times that were not told")
        loop.remove_reader(mine.fileno())
    return clock


@workload("add_reader and remove_reader", 10_000)
def do_reader_registration(loop: asyncio.AbstractEventLoop, count: int) -> Clock:
    mine, theirs = socket.socketpair()
    told: list[str] = []

    async def main() -> None:
        number = mine.fileno()
        for turn in range(count):
            loop.add_reader(number, told.append, "removed")
            loop.remove_reader(number)
            if not turn % 100:  # registrations that are made lazily have to be made
                await asyncio.sleep(0)

    with mine, theirs:
        mine.setblocking(False)
        theirs.send(b"x")
        with Clock() as clock:
            loop.run_until_complete(main())
        loop.add_reader(mine.fileno(), told.append, "there")
        loop.call_later(0.005, loop.stop)
        loop.run_forever()
        loop.remove_reader(mine.fileno())
        expect(sorted(set(told)), ["there"], "readers that were told")
    return clock


@workload("getaddrinfo of 127.0.0.1", 500, threads=True)
def do_getaddrinfo(loop: asyncio.AbstractEventLoop, count: int) -> Clock:
    async def main() -> Any:
        found: Any = None
        for _ in range(count):
            found = await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
        return found

    loop.run_until_complete(loop.getaddrinfo("127.0.0.1", 80))  # starts the thread that some ask
    with Clock() as clock:
        found = loop.run_until_complete(main())
    right = socket.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
    # blazio says 0 for the protocol, which says TCP, too.
    expect([(*each[:2], each[4]) for each in found], [(*each[:2], each[4]) for each in right], "addresses")
    return clock
