"""What the native loop keeps of sockets between their operations: whose descriptor it is, and when that is forgotten.

What the operations do is in tests/loops/test_native_socks.py."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import time
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from loopwright._native import MISSING

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

if MISSING is not None:
    pytest.skip(MISSING, allow_module_level=True)

from loopwright.loops import NativeEventLoop

Loop = Any


def run(main: Callable[[Loop], Coroutine[Any, Any, Any]]) -> Any:
    async def with_loop() -> Any:
        return await main(asyncio.get_running_loop())

    with asyncio.Runner(loop_factory=NativeEventLoop) as runner:
        return runner.run(with_loop())


def pair() -> tuple[socket.socket, socket.socket]:
    one, other = socket.socketpair()
    one.setblocking(False)
    other.setblocking(False)
    return one, other


async def turns(number: int = 3) -> None:
    for _ in range(number):
        await asyncio.sleep(0.001)


def in_kernel(loop: Loop, sock: socket.socket | int) -> bool:
    """Whether the loop's epoll instance has this descriptor."""
    number = sock if isinstance(sock, int) else sock.fileno()
    with open(f"/proc/self/fdinfo/{loop._poller.epoll}") as lines:
        return any(line.startswith("tfd:") and int(line.split()[1]) == number for line in lines)


def in_table(loop: Loop, fd: int) -> bool:
    return any(getattr(each, "fd", None) == fd for each in gc.get_objects() if type(each).__name__ == "SockCallbacks")


async def used(loop: Loop, one: socket.socket, other: socket.socket) -> None:
    """Have the loop wait for `one` once."""
    task = asyncio.create_task(loop.sock_recv(one, 10))
    await turns()
    other.send(b"x")
    assert await task == b"x"


def test_interest_is_kept_until_an_event_is_nobodys() -> None:
    async def main(loop: Loop) -> None:
        one, other = pair()
        with one, other:
            await used(loop, one, other)
            await turns()
            assert in_kernel(loop, one)
            assert one.fileno() not in loop._selector.get_map()
            other.send(b"y")
            await turns()
            assert not in_kernel(loop, one)
            assert await loop.sock_recv(one, 10) == b"y"
            await used(loop, one, other)

    run(main)


def test_interest_in_writing_is_dropped() -> None:
    async def main(loop: Loop) -> None:
        one, other = pair()
        with one, other:
            task = asyncio.create_task(loop.sock_sendall(one, b"!" * 1_000_000))
            await turns()
            assert in_kernel(loop, one)
            while not task.done():
                with contextlib.suppress(BlockingIOError):
                    other.recv(1 << 20)
                await asyncio.sleep(0)
            with contextlib.suppress(BlockingIOError):
                while True:
                    other.recv(1 << 20)
            await turns()
            assert not in_kernel(loop, one)

    run(main)


@pytest.mark.parametrize("again", ["recv", "add_reader", "create_connection"])
@pytest.mark.parametrize("waiting", [False, True])
def test_a_number_that_comes_back_as_another_socket(again: str, waiting: bool) -> None:
    async def main(loop: Loop) -> None:
        one, other = pair()
        await used(loop, one, other)
        task = asyncio.create_task(loop.sock_recv(one, 10)) if waiting else None
        await turns()
        number = one.fileno()
        one.close()
        fresh, peer = pair()
        if fresh.fileno() != number:
            os.dup2(fresh.fileno(), number)
            fresh.close()
            fresh = socket.socket(fileno=number)
        with other, fresh, peer:
            if again == "recv":
                await asyncio.wait_for(used(loop, fresh, peer), 10)
            elif again == "add_reader":
                done = loop.create_future()
                loop.add_reader(number, lambda: done.done() or done.set_result(fresh.recv(10)))
                peer.send(b"x")
                assert await asyncio.wait_for(done, 10) == b"x"
                assert loop.remove_reader(number)
            else:
                reader, writer = await asyncio.open_connection(sock=fresh)
                peer.send(b"x")
                assert await asyncio.wait_for(reader.read(10), 10) == b"x"
                writer.close()
                await writer.wait_closed()
            if task is None:
                return
            with pytest.raises(OSError, match="Bad file descriptor"):
                await asyncio.wait_for(task, 10)

    run(main)


def test_a_transport_takes_the_descriptor() -> None:
    """On asyncio's loop the one that reads waits for ever."""

    async def main(loop: Loop) -> None:
        one, other = pair()
        with other:
            reading = asyncio.create_task(loop.sock_recv(one, 10))
            sending = asyncio.create_task(loop.sock_sendall(one, b"!" * 1_000_000))
            await turns()
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=one)
            for task in (reading, sending):
                with pytest.raises(RuntimeError, match="is used by transport"):
                    await asyncio.wait_for(task, 10)
            transport.abort()
            await turns()

    run(main)


def test_a_descriptor_that_gets_another_socket_object() -> None:
    async def main(loop: Loop) -> None:
        one, other = pair()
        await used(loop, one, other)
        one = socket.socket(fileno=one.detach())
        with one, other:
            await used(loop, one, other)
            await turns()
            assert in_kernel(loop, one)

    run(main)


def test_what_is_gone_is_forgotten() -> None:
    async def main(loop: Loop) -> None:
        one, other = pair()
        with other:
            await used(loop, one, other)
            number = one.fileno()
            assert in_table(loop, number)
            reference = weakref.ref(one)
            one.close()
            del one
            assert reference() is None
            assert not in_table(loop, number)

    run(main)


def test_a_callback_outlives_the_socket_object() -> None:
    async def main(loop: Loop) -> None:
        one, other = pair()
        with other:
            await used(loop, one, other)
            number = one.detach()
            told = loop.create_future()
            loop.add_reader(number, lambda: told.done() or told.set_result(None))
            del one
            other.send(b"x")
            await asyncio.wait_for(told, 10)
            assert loop.remove_reader(number)
            os.close(number)

    run(main)


@pytest.mark.parametrize("reused", [False, True])
def test_closed_here_and_alive_elsewhere(reused: bool) -> None:
    """Nobody can take it out of the kernel's set any longer; the loop must not spin for it."""

    async def main(loop: Loop) -> None:
        one, other = pair()
        with other, one.dup() as copy:
            await used(loop, one, other)
            one.close()
            fresh, peer = pair() if reused else (None, None)
            if fresh is not None and peer is not None:
                await used(loop, fresh, peer)
            other.send(b"x")
            await turns(30)
            before = time.process_time()
            await asyncio.sleep(0.2)
            assert time.process_time() - before < 0.1
            assert copy.recv(10) == b"x"
            if fresh is not None and peer is not None:
                await used(loop, fresh, peer)
                fresh.close()
                peer.close()

    run(main)


def test_a_loop_that_is_closed_lets_go() -> None:
    loop: Loop = NativeEventLoop()
    one, other = pair()
    with one, other:
        loop.run_until_complete(used(loop, one, other))
        loop.close()
        with pytest.raises(BlockingIOError):
            one.recv(10)
        other.send(b"x")
    del one
    gc.collect()


def test_a_task_that_never_runs_again_does_not_make_the_loop_spin() -> None:
    """A scheduler may hold back what was woken."""

    async def main(loop: Loop) -> None:
        one, other = pair()
        with one, other:
            coroutine = loop.sock_recv(one, 10)
            future = coroutine.send(None)
            other.send(b"x")
            await turns()
            assert future.done()
            before = time.process_time()
            await asyncio.sleep(0.2)
            assert time.process_time() - before < 0.1
            with pytest.raises(StopIteration, match="x"):
                coroutine.send(None)

    run(main)


@pytest.mark.parametrize("count", [50, pytest.param(20_000, marks=pytest.mark.slow)])
def test_nothing_is_left_of_many(count: int) -> None:
    async def one_of_them(loop: Loop) -> None:
        one, other = pair()
        with one, other:
            task = asyncio.create_task(loop.sock_recv(one, 10))
            await asyncio.sleep(0)
            other.send(b"x")
            assert await task == b"x"

    async def main(loop: Loop) -> None:
        await one_of_them(loop)
        gc.collect()
        before = len(gc.get_objects())
        for _ in range(count):
            await one_of_them(loop)
        gc.collect()
        assert len(gc.get_objects()) - before < 20

    run(main)
