"""loop.sock_*() as asyncio has them: every test runs on asyncio's own loop, which says what is right, and on ours."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import os
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest

from tests.loops.socks import READS, Loop, Run, cancelled, fill, inet, on_both, pair, turns

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

# What can be awaited


@on_both
def test_they_are_coroutines(run: Run) -> None:
    async def main(loop: Loop) -> None:
        with pair() as (one, other):
            other.send(b"now")
            coroutine = loop.sock_recv(one, 10)
            assert asyncio.iscoroutine(coroutine)
            assert inspect.iscoroutine(coroutine)
            with pytest.raises(StopIteration, match="now"):  # at once, since it is there
                coroutine.send(None)
            task = asyncio.create_task(loop.sock_recv(one, 10))
            await turns()
            other.send(b"later")
            assert await task == b"later"

    run(main)


@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["stream", "datagram"])
@on_both
def test_reading(run: Run, read: Any, kind: int) -> None:
    async def main(loop: Loop) -> None:
        with pair(kind) as (one, other):
            other.send(b"one")
            assert await read(loop, one) == b"one"
            for text in (b"two", b"three"):
                task = asyncio.ensure_future(read(loop, one))
                await turns()
                assert not task.done()
                other.send(text)
                assert await task == text
            if kind == socket.SOCK_STREAM:
                task = asyncio.ensure_future(read(loop, one))
                await turns()
                other.close()
                assert await task == b""
                assert await read(loop, one) == b""

    run(main)


@on_both
def test_sizes_and_buffers(run: Run) -> None:
    async def main(loop: Loop) -> None:
        with pair() as (one, other):
            assert await loop.sock_recv(one, 0) == b""
            assert await loop.sock_recv_into(one, bytearray()) == 0
            with pytest.raises(ValueError, match="negative buffersize in recv"):
                await loop.sock_recv(one, -1)
            with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
                await loop.sock_recv(one, "10")
            with pytest.raises(TypeError, match="read-write"):
                await loop.sock_recv_into(one, b"constant")
            with pytest.raises(TypeError, match="bytes-like object is required"):
                await loop.sock_sendall(one, "text")
            with pytest.raises(BufferError):
                await loop.sock_sendall(one, memoryview(b"striped")[::2])
            await loop.sock_sendall(one, b"")
            await loop.sock_sendall(one, bytearray(b"ab"))
            await loop.sock_sendall(one, memoryview(b"-cd-")[1:3])
            assert await loop.sock_recv(other, 1 << 20) == b"abcd"
            other.send(b"0123456789")
            view = memoryview(bytearray(8)).cast("I")
            assert await loop.sock_recv_into(one, view) == 8
            assert bytes(view) == b"01234567"
            assert await loop.sock_recv(one, 1) == b"8"
            assert await loop.sock_recv(one, 1000) == b"9"

    run(main)


@pytest.mark.parametrize("size", [1000, 262144, 262145, 1 << 21])
@on_both
def test_large_pieces(run: Run, size: int) -> None:
    async def main(loop: Loop) -> None:
        sent = os.urandom(1 << 20)
        with pair() as (one, other):
            task = asyncio.create_task(loop.sock_sendall(one, bytearray(sent)))
            got = b""
            while len(got) < len(sent):
                got += await loop.sock_recv(other, size)
            assert await task is None
            assert got == sent

    run(main)


@on_both
def test_a_buffer_cannot_be_resized_while_it_is_sent(run: Run) -> None:
    async def main(loop: Loop) -> None:
        with pair() as (one, _):
            data = bytearray(1 << 20)
            task = asyncio.create_task(loop.sock_sendall(one, data))
            await turns()
            with pytest.raises(BufferError):
                data.clear()
            await cancelled(task)
            data.clear()

    run(main)


# What is refused


CALLS: dict[str, Callable[[Loop, Any], Awaitable[Any]]] = {
    **READS,
    "sendall": lambda loop, sock: loop.sock_sendall(sock, b"x"),
    "sendto": lambda loop, sock: loop.sock_sendto(sock, b"x", ("127.0.0.1", 9)),
    "connect": lambda loop, sock: loop.sock_connect(sock, ("127.0.0.1", 9)),
    "accept": lambda loop, sock: loop.sock_accept(sock),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@on_both
def test_what_is_refused(run: Run, call: Any) -> None:
    async def main(loop: Loop) -> None:
        with socket.socket() as blocking, pytest.raises(ValueError, match="the socket must be non-blocking"):
            await call(loop, blocking)
        with pytest.raises(AttributeError):
            await call(loop, object())
        context = ssl.create_default_context()
        with context.wrap_socket(socket.socket(), server_hostname="x") as wrapped:
            wrapped.setblocking(False)
            with pytest.raises(TypeError, match="Socket cannot be of type SSLSocket"):
                await call(loop, wrapped)

    run(main, debug=True)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@on_both
def test_a_closed_socket(run: Run, call: Any) -> None:
    async def main(loop: Loop) -> None:
        sock = socket.socket()
        sock.setblocking(False)
        sock.close()
        with pytest.raises(OSError, match="Bad file descriptor") as caught:
            await call(loop, sock)
        assert caught.value.args == (9, "Bad file descriptor")

    run(main)


@on_both
def test_errors_of_the_peer(run: Run) -> None:
    async def main(loop: Loop) -> None:
        with pair() as (one, other):
            fill(one)
            task = asyncio.create_task(loop.sock_sendall(one, b"more"))
            await turns()
            other.close()
            with pytest.raises((BrokenPipeError, ConnectionResetError)):
                await task
            with pytest.raises(BrokenPipeError):
                await loop.sock_sendall(one, b"more")
        with inet() as listener, socket.socket() as sock:
            sock.setblocking(False)
            await loop.sock_connect(sock, listener.getsockname())
            peer, _ = await loop.sock_accept(listener)
            task = asyncio.create_task(loop.sock_recv(sock, 10))
            await turns()
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            peer.close()
            with pytest.raises(ConnectionResetError):
                await task

    run(main)


@on_both
def test_a_descriptor_of_a_transport(run: Run) -> None:
    async def main(loop: Loop) -> None:
        with inet() as listener:
            sock = socket.socket()
            sock.setblocking(False)
            await loop.sock_connect(sock, listener.getsockname())
            peer, _ = await loop.sock_accept(listener)
            with peer:
                transport, _ = await loop.create_connection(asyncio.Protocol, sock=sock)
                transport.pause_reading()
                with pytest.raises(RuntimeError, match=f"File descriptor {sock.fileno()} is used by transport <"):
                    await loop.sock_recv(sock, 10)
                with pytest.raises(RuntimeError, match="is used by transport"):
                    await loop.sock_sendall(sock, bytes(1 << 26))  # more than any kernel takes at once
                transport.abort()
                await turns()

    run(main)


# Connections


@on_both
def test_connect_and_accept(run: Run) -> None:
    async def main(loop: Loop) -> None:
        for family in (socket.AF_INET, socket.AF_INET6):
            with inet(family=family) as listener:
                accepting = asyncio.create_task(loop.sock_accept(listener))
                await turns()
                with socket.socket(family) as sock:
                    sock.setblocking(False)
                    assert await loop.sock_connect(sock, listener.getsockname()) is None
                    peer, address = await accepting
                    with peer:
                        assert not peer.getblocking()
                        assert address == sock.getsockname()
                        await loop.sock_sendall(sock, b"hello")
                        assert await loop.sock_recv(peer, 10) == b"hello"
                    await loop.sock_connect(sock, listener.getsockname())  # how Linux tells that it is connected
                    with pytest.raises(OSError, match="already connected"):
                        await loop.sock_connect(sock, listener.getsockname())

    run(main)


@on_both
def test_connect_resolves_names(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    real = socket.getaddrinfo

    def getaddrinfo(host: str, port: Any, *rest: Any) -> Any:
        asked.append(host)
        return real("127.0.0.1", port, *rest)

    async def main(loop: Loop) -> None:
        with inet() as listener, socket.socket() as sock:
            sock.setblocking(False)
            await loop.sock_connect(sock, ("name.invalid", listener.getsockname()[1]))
            assert sock.getpeername() == listener.getsockname()

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    run(main)
    assert asked == ["name.invalid"]


@on_both
def test_connections_that_fail(run: Run, tmp_path: Path) -> None:
    async def main(loop: Loop) -> None:
        with socket.socket() as deaf, socket.socket() as sock:
            deaf.bind(("127.0.0.1", 0))  # and does not listen, but keeps the port from others
            address = deaf.getsockname()
            sock.setblocking(False)
            with pytest.raises(ConnectionRefusedError) as caught:
                await loop.sock_connect(sock, address)
            assert caught.value.args == (111, f"Connect call failed {address}")
            with pytest.raises((ValueError, TypeError)):
                await loop.sock_connect(sock, "127.0.0.1:9")
        for family, path in ((socket.AF_UNIX, str(tmp_path / "nobody")), (socket.AF_INET, ("127.0.0.1", 70000))):
            with socket.socket(family) as sock:
                sock.setblocking(False)
                with pytest.raises((FileNotFoundError, OverflowError)):
                    await loop.sock_connect(sock, path)

    run(main)


@on_both
def test_unix_connections(run: Run, tmp_path: Path) -> None:
    async def main(loop: Loop) -> None:
        with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as sock:
            listener.bind(str(tmp_path / "socket"))
            listener.listen()
            for each in (listener, sock):
                each.setblocking(False)
            await loop.sock_connect(sock, str(tmp_path / "socket"))
            peer, address = await loop.sock_accept(listener)
            with peer:
                assert address == ""
                await loop.sock_sendall(peer, b"x")
                assert await loop.sock_recv(sock, 10) == b"x"

    run(main)


@on_both
def test_datagrams(run: Run) -> None:
    async def main(loop: Loop) -> None:
        for family in (socket.AF_INET, socket.AF_INET6):
            with inet(socket.SOCK_DGRAM, family) as one, inet(socket.SOCK_DGRAM, family) as other:
                task = asyncio.create_task(loop.sock_recvfrom(other, 100))
                await turns()
                assert await loop.sock_sendto(one, b"hello", other.getsockname()) == 5
                assert await task == (b"hello", one.getsockname())
                buffer = bytearray(10)
                assert await loop.sock_sendto(one, bytearray(b"more"), other.getsockname()) == 4
                assert await loop.sock_recvfrom_into(other, buffer, 2) == (2, one.getsockname())
                assert buffer == b"mo" + bytes(8)
                with pytest.raises(ValueError, match="nbytes is greater than the length of the buffer"):
                    await loop.sock_recvfrom_into(other, buffer, 11)

    run(main)


@on_both
def test_datagrams_wait_for_room(run: Run) -> None:
    async def main(loop: Loop) -> None:
        path = f"\0loopwright-{os.getpid()}-{next(numbers)}"
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one,
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other,
        ):
            one.setblocking(False)
            other.setblocking(False)
            other.bind(path)
            one.connect(path)
            fill(one)
            task = asyncio.create_task(loop.sock_sendall(one, b"more"))
            await turns()
            assert not task.done()
            while not task.done():
                other.recv(1000)
                await turns(1)
            await task

    run(main)


numbers = itertools.count()
