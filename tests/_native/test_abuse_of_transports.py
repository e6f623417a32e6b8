"""What nobody should give to compiled transports, and what then is an error and no crash."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from loopwright._native import MISSING

if TYPE_CHECKING:
    from collections.abc import Iterator

if MISSING is not None:
    pytest.skip(MISSING, allow_module_level=True)

Loop = Any


def test_writelines_queues_nothing_if_one_of_them_is_not_bytes(loop: Loop) -> None:
    async def main() -> None:
        one, other = socket.socketpair()
        other.setblocking(False)
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=one)
        with pytest.raises(TypeError):
            transport.writelines([b"abc", 5])
        assert transport.get_write_buffer_size() == 0
        transport.close()  # and so it has nothing to wait for
        assert await loop.sock_recv(other, 10) == b""
        other.close()

    loop.run_until_complete(asyncio.wait_for(main(), 5))


def test_writelines_of_what_aborts_the_transport_sends_nothing(loop: Loop) -> None:
    async def main() -> None:
        one, other = socket.socketpair()
        other.setblocking(False)
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=one)

        def chunks() -> Iterator[bytes]:
            yield b"abc"
            transport.abort()
            yield b"def"

        transport.writelines(chunks())
        assert await loop.sock_recv(other, 10) == b""
        other.close()

    loop.run_until_complete(asyncio.wait_for(main(), 5))


@pytest.mark.parametrize("size", [-1, -(2**62)])
def test_a_negative_max_size_of_a_pipe_is_an_error(loop: Loop, size: int) -> None:
    async def main() -> None:
        told: list[Any] = []
        lost = loop.create_future()
        loop.set_exception_handler(lambda _, report: told.append(report["exception"]))
        one, other = socket.socketpair()  # whose recv() would take any size
        other.setblocking(False)
        other.send(bytes(100_000))

        class Lost(asyncio.Protocol):
            def connection_lost(self, exception: BaseException | None) -> None:
                lost.set_result(exception)

        transport, _ = await loop.connect_read_pipe(Lost, one)
        transport.max_size = size
        assert isinstance(await lost, OSError)
        other.close()
        assert [error.errno for error in told] == [22]

    loop.run_until_complete(asyncio.wait_for(main(), 5))


def test_a_max_size_beyond_memory_reads(loop: Loop) -> None:
    async def main() -> None:
        got = loop.create_future()
        reading, writing = os.pipe()

        class Reads(asyncio.Protocol):
            def data_received(self, data: bytes) -> None:
                got.set_result(data)

        transport, _ = await loop.connect_read_pipe(Reads, os.fdopen(reading, "rb", 0))
        transport.max_size = 2**62
        os.write(writing, b"abc")
        assert await got == b"abc"
        transport.close()
        os.close(writing)
        await asyncio.sleep(0)

    loop.run_until_complete(asyncio.wait_for(main(), 5))


def test_a_buffer_that_shrinks_is_not_read_beyond_its_end() -> None:
    from loopwright._native._socks import send_now

    one, other = socket.socketpair()
    with one, other, pytest.raises(ValueError, match="shrunk to 2 bytes, of which 5 were sent"):
        send_now(one, b"ab", 5)
