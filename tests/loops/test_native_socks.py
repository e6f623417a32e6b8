"""loop.sock_*() as asyncio has them: every test runs on asyncio's own loop, which says what is right, and on ours."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import io
import itertools
import logging
import os
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loopwright._native import MISSING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator
    from pathlib import Path

if MISSING is not None:
    pytest.skip(MISSING, allow_module_level=True)

from loopwright.loops._native_loop import NativeEventLoop

Loop = Any
Run = Any  # called with a function of a loop

LOOPS = {"asyncio": asyncio.SelectorEventLoop, "native": NativeEventLoop}


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    """Runs an async function of the loop on a new one."""
    return lambda main, **options: run_on(request.param, main, **options)


def run_on(name: str, main: Callable[[Loop], Coroutine[Any, Any, Any]], *, debug: bool = False) -> Any:
    async def with_loop() -> Any:
        return await main(asyncio.get_running_loop())

    with asyncio.Runner(loop_factory=LOOPS[name], debug=debug) as runner:
        return runner.run(with_loop())


@contextlib.contextmanager
def pair(kind: int = socket.SOCK_STREAM) -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair(socket.AF_UNIX, kind)
    with one, other:
        for end in (one, other):
            end.setblocking(False)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        yield one, other


@contextlib.contextmanager
def inet(kind: int = socket.SOCK_STREAM, family: int = socket.AF_INET) -> Iterator[socket.socket]:
    """A socket bound to an address of its own, listening if it can."""
    with socket.socket(family, kind) as sock:
        sock.setblocking(False)
        sock.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
        if kind == socket.SOCK_STREAM:
            sock.listen()
        yield sock


def fill(sock: socket.socket) -> int:
    """Send until nothing more is taken. How much was."""
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            sent += sock.send(b"." * 1000)
    return sent


def drain(sock: socket.socket) -> int:
    got = 0
    with contextlib.suppress(BlockingIOError):
        while data := sock.recv(65536):
            got += len(data)
    return got


async def turns(number: int = 3) -> None:
    """Enough for what was started to wait for its socket."""
    for _ in range(number):
        await asyncio.sleep(0.001)


async def cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


# What can be awaited


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


READS: dict[str, Callable[[Loop, socket.socket], Awaitable[Any]]] = {
    "recv": lambda loop, sock: loop.sock_recv(sock, 100),
    "recv_into": lambda loop, sock: received_into(loop, sock),
    "recvfrom": lambda loop, sock: first_of(loop.sock_recvfrom(sock, 100)),
    "recvfrom_into": lambda loop, sock: received_from_into(loop, sock),
}


async def first_of(pair: Awaitable[Any]) -> Any:
    return (await pair)[0]


async def received_into(loop: Loop, sock: socket.socket) -> bytes:
    buffer = bytearray(100)
    return bytes(buffer[: await loop.sock_recv_into(sock, buffer)])


async def received_from_into(loop: Loop, sock: socket.socket) -> bytes:
    buffer = bytearray(100)
    size, _ = await loop.sock_recvfrom_into(sock, memoryview(buffer)[10:])
    return bytes(buffer[10 : 10 + size])


@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["stream", "datagram"])
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
def test_what_is_refused(run: Run, call: Any) -> None:
    async def main(loop: Loop) -> None:
        with socket.socket() as blocking, pytest.raises(ValueError, match="the socket must be non-blocking"):
            await call(loop, blocking)
        with pytest.raises(AttributeError):
            await call(loop, object())
        context = ssl.create_default_context()
        with (
            context.wrap_socket(socket.socket(), server_hostname="x") as wrapped,
            pytest.raises(TypeError, match="Socket cannot be of type SSLSocket"),
        ):
            wrapped.setblocking(False)
            await call(loop, wrapped)

    run(main, debug=True)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_closed_socket(run: Run, call: Any) -> None:
    async def main(loop: Loop) -> None:
        sock = socket.socket()
        sock.setblocking(False)
        sock.close()
        with pytest.raises(OSError, match="Bad file descriptor") as caught:
            await call(loop, sock)
        assert caught.value.args == (9, "Bad file descriptor")

    run(main)


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
                fill(sock)
                with pytest.raises(RuntimeError, match="is used by transport"):
                    await loop.sock_sendall(sock, b"more")
                transport.abort()
                await turns()

    run(main)


# Connections


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


def test_connections_that_fail(run: Run, tmp_path: Path) -> None:
    async def main(loop: Loop) -> None:
        with inet() as listener:
            address = listener.getsockname()
        with socket.socket() as sock:
            sock.setblocking(False)
            with pytest.raises(ConnectionRefusedError) as caught:
                await loop.sock_connect(sock, address)
            assert caught.value.args == (111, f"Connect call failed {address}")
            with pytest.raises((ValueError, TypeError)):
                await loop.sock_connect(sock, "127.0.0.1:9")
        for family, path in ((socket.AF_UNIX, str(tmp_path / "nobody")), (socket.AF_INET, ("127.0.0.1", 70000))):
            with socket.socket(family) as sock, pytest.raises((FileNotFoundError, OverflowError)):
                sock.setblocking(False)
                await loop.sock_connect(sock, path)

    run(main)


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


# Cancelling


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_cancelled_reading_takes_nothing(run: Run, read: Any) -> None:
    async def main(loop: Loop) -> None:
        with pair() as (one, other):
            task = asyncio.ensure_future(read(loop, one))
            await turns()
            assert [key.fd for key in loop._selector.get_map().values() if key.fd == one.fileno()]
            await cancelled(task)
            await turns(1)
            assert not [key.fd for key in loop._selector.get_map().values() if key.fd == one.fileno()]
            assert loop.remove_reader(one) is False
            other.send(b"x")
            await turns()
            assert await read(loop, one) == b"x"
            task = asyncio.ensure_future(read(loop, one))  # another may start before the loop goes round
            await turns()
            task.cancel()
            again = asyncio.ensure_future(read(loop, one))
            await turns()
            other.send(b"y")
            assert await again == b"y"
            assert task.cancelled()

    run(main)


def test_cancelled_when_data_has_come_takes_nothing() -> None:
    """On asyncio's loop it is lost."""

    async def main(loop: Loop) -> None:
        for rounds in range(6):
            with pair() as (one, other):
                task = asyncio.create_task(loop.sock_recv(one, 10))
                await turns()
                other.send(b"x")
                for _ in range(rounds):
                    await asyncio.sleep(0)
                if task.cancel():
                    with pytest.raises(asyncio.CancelledError):
                        await task
                    assert one.recv(10) == b"x"
                else:
                    assert await task == b"x"

    run_on("native", main)


def test_cancelled_sending(run: Run) -> None:
    async def main(loop: Loop) -> None:
        with pair() as (one, other):
            fill(one)
            task = asyncio.create_task(loop.sock_sendall(one, b"never"))
            await turns()
            await cancelled(task)
            await turns(1)
            assert loop.remove_writer(one) is False
            task = asyncio.create_task(loop.sock_sendall(one, b"!"))
            await turns()
            while not task.done():
                drain(other)
                await turns(1)
            assert one.send(b"") == 0
            await task

    run(main)


def test_cancelled_connecting_and_accepting(run: Run) -> None:
    async def main(loop: Loop) -> None:
        with inet() as listener, socket.socket() as sock:
            accepting = asyncio.create_task(loop.sock_accept(listener))
            await turns()
            await cancelled(accepting)
            sock.setblocking(False)
            connecting = asyncio.create_task(loop.sock_connect(sock, listener.getsockname()))
            await asyncio.sleep(0)
            if connecting.cancel():
                with pytest.raises(asyncio.CancelledError):
                    await connecting
            peer, _ = await asyncio.wait_for(loop.sock_accept(listener), 10)
            with peer:
                peer.send(b"x")
                assert await loop.sock_recv(sock, 10) == b"x"

    run(main)


def test_cancelled_while_a_name_is_resolved(run: Run) -> None:
    async def main(loop: Loop) -> None:
        asked = asyncio.Event()

        async def getaddrinfo(*_: Any, **__: Any) -> Any:
            asked.set()
            await asyncio.Event().wait()

        loop.getaddrinfo = getaddrinfo
        with socket.socket() as sock:
            sock.setblocking(False)
            task = asyncio.create_task(loop.sock_connect(sock, ("name.invalid", 9)))
            await asked.wait()
            await cancelled(task)
            with pytest.raises(OSError, match="not connected"):
                sock.getpeername()

    run(main)


# Beside others


def test_reading_and_sending_at_once(run: Run) -> None:
    async def main(loop: Loop) -> None:
        with pair() as (one, other):
            filled = fill(one)
            reading = asyncio.create_task(loop.sock_recv(one, 10))
            sending = asyncio.create_task(loop.sock_sendall(one, b"!" * 50000))
            await turns()
            other.send(b"x")
            assert await reading == b"x"
            assert not sending.done()
            reading = asyncio.create_task(loop.sock_recv(one, 10))
            await turns(1)
            got = 0
            while not sending.done() or got < filled + 50000:
                got += drain(other)
                await turns(1)
            await sending
            assert got == filled + 50000
            assert not reading.done()
            other.send(b"y")
            assert await reading == b"y"

    run(main)


def test_the_newest_of_several_reads_first(run: Run) -> None:
    async def main(loop: Loop) -> None:
        with pair() as (one, other):
            older = asyncio.create_task(loop.sock_recv(one, 1))
            await turns()
            newer = asyncio.create_task(loop.sock_recv(one, 1))
            await turns()
            other.send(b"x")
            assert await asyncio.wait_for(newer, 10) == b"x"
            await turns()
            assert not older.done()
            await cancelled(older)
            other.send(b"y")
            assert await loop.sock_recv(one, 1) == b"y"

    run(main)


def test_all_of_several_read() -> None:
    """On asyncio's loop only the newest ever does."""

    async def main(loop: Loop) -> None:
        with pair() as (one, other), inet() as listener:
            tasks = [asyncio.create_task(loop.sock_recv(one, 1)) for _ in range(5)]
            await turns()
            await cancelled(tasks.pop(2))
            await cancelled(tasks.pop())
            for _ in range(3):
                other.send(b"x")
                await turns()
            assert await asyncio.wait_for(asyncio.gather(*tasks), 10) == [b"x"] * 3
            filled = fill(one)
            tasks = [asyncio.create_task(loop.sock_sendall(one, b"yy")) for _ in range(3)]
            await turns()
            got = 0
            while got < filled + 6:
                got += drain(other)
                await turns(1)
            await asyncio.gather(*tasks)
            accepting = [asyncio.create_task(loop.sock_accept(listener)) for _ in range(3)]
            await turns()
            for _ in range(3):
                with socket.create_connection(listener.getsockname()):
                    await turns()
            for peer, _ in await asyncio.gather(*accepting):
                peer.close()

    run_on("native", main)


def test_with_add_reader_the_newer_has_the_descriptor(run: Run) -> None:
    async def main(loop: Loop) -> None:
        with pair() as (one, other):
            told: list[bytes] = []
            task = asyncio.create_task(loop.sock_recv(one, 10))
            await turns()
            loop.add_reader(one, lambda: told.append(one.recv(10)))
            other.send(b"x")
            await turns()
            assert told == [b"x"]
            assert not task.done()
            await cancelled(task)  # which must leave the callback alone
            other.send(b"y")
            await turns()
            assert told == [b"x", b"y"]
            task = asyncio.create_task(loop.sock_recv(one, 10))
            await turns()
            other.send(b"z")
            assert await task == b"z"
            await turns(1)
            assert loop.remove_reader(one) is False
            task = asyncio.create_task(loop.sock_recv(one, 10))
            await turns()
            assert loop.remove_reader(one.fileno()) is True
            other.send(b"!")
            await turns()
            assert not task.done()
            await cancelled(task)
            assert told == [b"x", b"y"]
            assert await loop.sock_recv(one, 10) == b"!"

    run(main)


def test_with_add_writer_of_the_other_direction(run: Run) -> None:
    async def main(loop: Loop) -> None:
        with pair() as (one, other):
            told: list[None] = []
            task = asyncio.create_task(loop.sock_recv(one, 10))
            await turns()
            loop.add_writer(one, told.append, None)
            await turns()
            assert told
            other.send(b"x")
            assert await task == b"x"
            await turns(1)
            told.clear()
            await turns()
            assert told
            task = asyncio.create_task(loop.sock_recv(one, 10))
            await turns()
            assert loop.remove_writer(one) is True
            await turns()
            told.clear()
            await turns()
            assert not told
            other.send(b"y")
            assert await task == b"y"
            loop.add_reader(one, lambda: told.append(one.recv(10)))  # type: ignore[arg-type, func-returns-value]
            other.send(b"z")
            await turns()
            assert told == [b"z"]
            loop.remove_reader(one)

    run(main)


def test_sendfile_beside_reading(run: Run, tmp_path: Path) -> None:
    data = os.urandom(300_000)
    (tmp_path / "file").write_bytes(data)

    async def main(loop: Loop) -> None:
        with pair() as (one, other), (tmp_path / "file").open("rb") as file:
            reading = asyncio.create_task(loop.sock_recv(one, 10))
            await turns()
            sending = asyncio.create_task(loop.sock_sendfile(one, file))
            got = b""
            while len(got) < len(data):
                got += await loop.sock_recv(other, 65536)
            assert got == data
            assert await sending == len(data)
            other.send(b"x")
            assert await reading == b"x"
            sending = asyncio.create_task(loop.sock_sendfile(one, file, 0))
            await turns()
            await cancelled(sending)
            drain(other)
            await turns(1)
            drain(other)
            await loop.sock_sendall(one, b"after")
            assert await loop.sock_recv(other, 10) == b"after"

    run(main)


def test_sendfile_of_what_is_no_file(run: Run) -> None:
    """It goes by sock_sendall()."""

    async def main(loop: Loop) -> None:
        with pair() as (one, other):
            task = asyncio.create_task(loop.sock_sendfile(one, io.BytesIO(b"0123456789" * 10000), 5))
            got = b""
            while len(got) < 99995:
                got += await loop.sock_recv(other, 65536)
            assert await task == 99995
            assert got == (b"0123456789" * 10000)[5:]

    run(main)


class Counting(socket.socket):
    """With a method of its own, which is to be called."""

    calls = 0

    def recv(self, *args: Any) -> bytes:
        self.calls += 1
        return super().recv(*args)


def test_sockets_of_other_classes(run: Run) -> None:
    async def main(loop: Loop) -> None:
        with pair() as (one, other):
            sock = Counting(fileno=one.detach())
            with sock:
                task = asyncio.create_task(loop.sock_recv(sock, 10))
                await turns()
                other.send(b"x")
                assert await task == b"x"
                assert sock.calls >= 2

    run(main)


# Interleavings

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["send", "recv", "cancel recv", "cancel send", "turn", "close", "reader", "raw"]),
        st.integers(0, 1),
        st.integers(1, 30_000),
    ),
    max_size=40,
)


async def interleave(loop: Loop, steps: list[tuple[str, int, int]]) -> None:
    """What one end was given to send comes to the other, in order and once, whatever was cancelled there."""
    with pair() as ends:
        stamps = itertools.cycle(range(251))
        sent, got = [bytearray(), bytearray()], [bytearray(), bytearray()]
        sends: list[asyncio.Task[None] | None] = [None, None]
        recvs: list[asyncio.Task[bytes] | None] = [None, None]
        broken = [False, False]  # a send was cut short: what comes is a beginning of it
        closed = False

        async def receive(at: int, size: int) -> None:
            got[at] += await loop.sock_recv(ends[at], size)

        for what, at, size in steps:
            sending, receiving = sends[at], recvs[at]
            if what == "send" and (sending is None or sending.done()) and not broken[at]:
                data = bytes(next(stamps) for _ in range(size))
                sent[at] += data
                sends[at] = asyncio.create_task(loop.sock_sendall(ends[at], data))
            elif what == "recv" and (receiving is None or receiving.done()):
                recvs[at] = asyncio.create_task(receive(at, size))  # type: ignore[arg-type]
            elif what == "raw" and (receiving is None or receiving.done()):
                with contextlib.suppress(OSError):
                    got[at] += ends[at].recv(size)
            elif what == "cancel recv" and receiving is not None:
                receiving.cancel()
                await asyncio.wait([receiving])
            elif what == "cancel send" and sending is not None and not sending.done():
                broken[at] = True
                sending.cancel()
                await asyncio.wait([sending])
            elif what == "reader" and (receiving is None or receiving.done()):
                loop.add_reader(ends[at], lambda at=at: got[at].extend(ends[at].recv(10)))
                await turns(1)
                loop.remove_reader(ends[at])
            elif what == "close" and not closed:
                closed = True
                ends[at].shutdown(socket.SHUT_WR)
                broken[at] = True
            await asyncio.sleep(0.0003 if what == "turn" else 0)
        # What is under way comes to its end, once the other side takes everything.
        for at in (0, 1):
            receiving = recvs[at]
            if receiving is not None and not receiving.done():
                receiving.cancel()
                await asyncio.wait([receiving])
        for at in (0, 1):
            sending = sends[at]
            while sending is not None and not sending.done():
                with contextlib.suppress(BlockingIOError):
                    got[1 - at] += ends[1 - at].recv(1 << 20)
                await asyncio.sleep(0.0002)
            if sending is not None and not sending.cancelled() and not closed:
                assert sending.exception() is None
            elif sending is not None and not sending.cancelled():
                sending.exception()
            with contextlib.suppress(BlockingIOError):
                while data := ends[1 - at].recv(1 << 20):
                    got[1 - at] += data
            if broken[at]:
                assert sent[at].startswith(got[1 - at])
            else:
                assert got[1 - at] == sent[at]
        for end in ends:
            assert loop.remove_reader(end) is False
            assert loop.remove_writer(end) is False
            assert end.fileno() not in loop._selector.get_map()


@pytest.mark.slow
@pytest.mark.parametrize("debug", [False, True])
def test_random_interleavings(debug: bool) -> None:
    @settings(max_examples=300, deadline=None)
    @given(STEPS)
    def interleavings(steps: list[tuple[str, int, int]]) -> None:
        run_on("native", lambda loop: interleave(loop, steps), debug=debug)

    interleavings()


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_some_random_interleavings(steps: list[tuple[str, int, int]]) -> None:
    run_on("native", lambda loop: interleave(loop, steps))


# Names

HOSTS = ["127.0.0.1", "::1", "0.0.0.0", "::", "::ffff:1.2.3.4", b"127.0.0.1", "127.1", "::1%lo", None]
PORTS = [80, 0, "443", None, "", b"80", 65536, -1, " 80", "http", "²"]
TYPES = [0, socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW]
PROTOS = [0, socket.IPPROTO_TCP, socket.IPPROTO_UDP]
FAMILIES = [socket.AF_UNSPEC, socket.AF_INET, socket.AF_INET6, socket.AF_UNIX]
FLAGS = [0, socket.AI_PASSIVE, socket.AI_NUMERICHOST, socket.AI_V4MAPPED | socket.AI_ALL, socket.AI_CANONNAME]


def outcome(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except (OSError, TypeError, OverflowError, UnicodeError) as error:
        return type(error), str(error)


@pytest.mark.parametrize(
    "hosts", [pytest.param(HOSTS[:1], id="some"), pytest.param(HOSTS, id="all", marks=pytest.mark.slow)]
)
def test_getaddrinfo_of_addresses(hosts: list[Any]) -> None:
    async def main(loop: Loop) -> None:
        for host, port, *rest in itertools.product(hosts, PORTS, FAMILIES, TYPES, PROTOS, FLAGS):
            expected = outcome(lambda: socket.getaddrinfo(host, port, *rest))  # noqa: B023
            names = dict(zip(("family", "type", "proto", "flags"), rest, strict=True))
            try:
                got = await loop.getaddrinfo(host, port, **names)
            except (OSError, TypeError, OverflowError, UnicodeError) as error:
                got = type(error), str(error)
            assert got == expected, (host, port, rest)

    run_on("native", main)


def test_an_address_needs_no_thread() -> None:
    async def main(loop: Loop) -> None:
        def refused(*_: Any) -> None:
            raise AssertionError("a thread was asked for")

        loop.run_in_executor = refused
        for host in ("127.0.0.1", "::1", b"127.0.0.1", None):
            for port in (80, "80"):
                assert await loop.getaddrinfo(host, port) == socket.getaddrinfo(host, port)
        for host, port in (("localhost", 80), ("::1%lo", 80), ("127.1", 80), ("", 80), ("127.0.0.1", "http")):
            with pytest.raises(AssertionError, match="a thread was asked for"):
                await loop.getaddrinfo(host, port)

    run_on("native", main)


def test_debug_mode_logs_it(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main(loop: Loop) -> None:
        await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)

    with caplog.at_level(logging.DEBUG, "asyncio"):
        run(main, debug=True)
    assert "Get address info 127.0.0.1:80, type=<SocketKind.SOCK_STREAM: 1>" in caplog.text
    assert "Getting address info 127.0.0.1:80, type=<SocketKind.SOCK_STREAM: 1> took " in caplog.text
