"""Operations of sockets that are cancelled, or that are not alone: with others, with callbacks, with sendfile()."""

from __future__ import annotations

import asyncio
import io
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from tests.loops.socks import READS, Loop, Run, cancelled, drain, fill, inet, on_both, pair, run_on, turns

if TYPE_CHECKING:
    from pathlib import Path

# Cancelling


@pytest.mark.parametrize("read", READS.values(), ids=READS)
@on_both
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


@on_both
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


@on_both
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


@on_both
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


@on_both
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


@on_both
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


@on_both
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


@on_both
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


@on_both
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


@on_both
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


@on_both
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
