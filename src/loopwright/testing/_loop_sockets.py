# mypy: disable-error-code="no-untyped-call"
"""The contract of event loops: the `sock_*` methods."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import tempfile
from typing import TYPE_CHECKING

from loopwright.testing._loop_props import cancelled, deaf, listening, udp
from loopwright.testing._loop_stage import QUIET, LoopTests, eventually

if TYPE_CHECKING:
    from loopwright.testing._loop_stage import Stage

__all__ = ["LoopSockets"]


class LoopSockets(LoopTests):
    """They do what the socket's own methods do, without blocking; cancelled, they take nothing and leave nothing."""

    # Streams

    def test_receiving_what_is_there_and_what_comes_later(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                for kind in ("tcp", "unix"):
                    mine, peer = stage.pair(kind)
                    await peer.write(b"at once")
                    await eventually(lambda mine=mine: _readable(mine))  # type: ignore[misc]
                    assert await stage.loop.sock_recv(mine, 100) == b"at once"
                    stage.loop.call_later(0.002, peer.sock.send, b"later")
                    assert await stage.loop.sock_recv(mine, 3) == b"lat"
                    assert await stage.loop.sock_recv(mine, 3) == b"er"
                    peer.end()
                    assert await stage.loop.sock_recv(mine, 3) == b""

            stage.run(main())

    def test_receiving_into_a_buffer(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                mine, peer = stage.pair("tcp")
                buffer = bytearray(10)
                stage.loop.call_later(0.002, peer.sock.send, b"abc")
                assert await stage.loop.sock_recv_into(mine, buffer) == 3
                assert buffer[:3] == b"abc"
                await peer.write(b"defg")
                assert await stage.loop.sock_recv_into(mine, memoryview(buffer)[8:]) == 2
                assert buffer[8:] == b"de"
                peer.close()
                assert await stage.loop.sock_recv_into(mine, buffer) == 2
                assert await stage.loop.sock_recv_into(mine, buffer) == 0

            stage.run(main())

    def test_sending_all_of_much(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                data = os.urandom(3_000_000)
                for kind in ("tcp", "unix"):
                    for shape in (data, bytearray(data), memoryview(data)):
                        mine, peer = stage.pair(kind)
                        sending = asyncio.ensure_future(stage.loop.sock_sendall(mine, shape))
                        assert await peer.read(len(data)) == data
                        assert await sending is None
                mine, peer = stage.pair("tcp")
                await stage.loop.sock_sendall(mine, b"")
                await stage.loop.sock_sendall(mine, b"x")
                assert await peer.read(1) == b"x"

            stage.run(main())

    def test_sending_to_one_that_is_gone(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                for kind in ("tcp", "unix"):
                    mine, peer = stage.pair(kind)
                    peer.reset()
                    try:
                        for _ in range(100):
                            await stage.loop.sock_sendall(mine, b"x" * 100_000)
                            await asyncio.sleep(0)
                    except (ConnectionResetError, BrokenPipeError):
                        continue
                    raise AssertionError("sent to nobody")

            stage.run(main())

    def test_a_reset_while_it_waits(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                for call in (
                    lambda sock: stage.loop.sock_recv(sock, 10),
                    lambda sock: stage.loop.sock_recv_into(sock, bytearray(10)),
                    lambda sock: stage.loop.sock_sendall(sock, b"x" * 10_000_000),
                ):
                    mine, peer = stage.pair("tcp")
                    stage.loop.call_later(0.002, peer.reset)
                    try:
                        await call(mine)
                    except (ConnectionResetError, BrokenPipeError):
                        continue
                    raise AssertionError("a reset connection went on")

            stage.run(main())

    def test_receiving_and_sending_at_the_same_time(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                mine, peer = stage.pair("tcp")
                receiving = asyncio.ensure_future(stage.loop.sock_recv(mine, 10))
                await asyncio.sleep(0)
                data = b"x" * 3_000_000
                sending = asyncio.ensure_future(stage.loop.sock_sendall(mine, data))
                await asyncio.sleep(0.001)
                await peer.write(b"hello")
                assert await receiving == b"hello"
                assert await peer.read(len(data)) == data
                await sending

            stage.run(main())

    # Connections

    def test_connecting_and_accepting(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                server = stage.keep(listening())
                accepting = asyncio.ensure_future(stage.loop.sock_accept(server))
                await asyncio.sleep(0)
                mine = stage.keep(socket.socket())
                mine.setblocking(False)
                await stage.loop.sock_connect(mine, server.getsockname())
                theirs, address = await accepting
                stage.keep(theirs)
                assert address == mine.getsockname()
                assert theirs.gettimeout() == 0
                await stage.loop.sock_sendall(theirs, b"hello")
                assert await stage.loop.sock_recv(mine, 10) == b"hello"

            stage.run(main())

    def test_connecting_to_a_name(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                server = stage.keep(listening())
                mine = stage.keep(socket.socket())
                mine.setblocking(False)
                await stage.loop.sock_connect(mine, ("localhost", server.getsockname()[1]))
                assert mine.getpeername() == server.getsockname()
                await stage.loop.shutdown_default_executor()

            stage.run(main())

    def test_connecting_to_a_unix_socket(self) -> None:
        with self.stage() as stage, tempfile.TemporaryDirectory() as folder:

            async def main() -> None:
                server = stage.keep(socket.socket(socket.AF_UNIX))
                server.bind(f"{folder}/socket")
                server.listen()
                server.setblocking(False)
                mine = stage.keep(socket.socket(socket.AF_UNIX))
                mine.setblocking(False)
                await stage.loop.sock_connect(mine, f"{folder}/socket")
                theirs, _ = await stage.loop.sock_accept(server)
                theirs.close()

            stage.run(main())

    def test_connecting_to_nobody(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                mine = stage.keep(socket.socket())
                mine.setblocking(False)
                try:
                    await stage.loop.sock_connect(mine, deaf(stage))
                except ConnectionRefusedError:
                    return
                raise AssertionError("connected to nobody")

            stage.run(main())

    # Datagrams

    def test_datagrams(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                one, other = stage.keep(udp()), stage.keep(udp())
                receiving = asyncio.ensure_future(stage.loop.sock_recvfrom(one, 100))
                await asyncio.sleep(0)
                assert await stage.loop.sock_sendto(other, b"hello", one.getsockname()) == 5
                assert await receiving == (b"hello", other.getsockname())
                assert await stage.loop.sock_sendto(one, b"", other.getsockname()) == 0
                assert await stage.loop.sock_recvfrom(other, 100) == (b"", one.getsockname())
                await stage.loop.sock_sendto(one, b"into", other.getsockname())
                buffer = bytearray(10)
                assert await stage.loop.sock_recvfrom_into(other, buffer) == (4, one.getsockname())
                await stage.loop.sock_sendto(one, b"into", other.getsockname())
                assert await stage.loop.sock_recvfrom_into(other, buffer, 2) == (2, one.getsockname())
                assert buffer == b"into" + bytes(6)

            stage.run(main())

    # Misuse

    def test_datagrams_of_tls_and_sockets_without_are_told_apart(self) -> None:
        with self.stage() as stage:
            mine, _ = stage.pair("tcp")
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            wrapped = stage.keep(context.wrap_socket(mine, do_handshake_on_connect=False))

            async def main() -> None:
                for call in (
                    lambda: stage.loop.sock_recv(wrapped, 1),
                    lambda: stage.loop.sock_recv_into(wrapped, bytearray(1)),
                    lambda: stage.loop.sock_sendall(wrapped, b"x"),
                    lambda: stage.loop.sock_connect(wrapped, ("127.0.0.1", 9)),
                    lambda: stage.loop.sock_accept(wrapped),
                ):
                    try:
                        await call()
                    except TypeError:
                        continue
                    raise AssertionError("took a socket of TLS")

            stage.run(main())

    def test_sock_sendfile(self) -> None:
        with self.stage() as stage, tempfile.TemporaryFile() as file:
            data = os.urandom(700_000)
            file.write(data)
            file.flush()
            file.seek(0)

            async def main() -> None:
                mine, peer = stage.pair("tcp")
                sending = asyncio.ensure_future(stage.loop.sock_sendfile(mine, file))
                assert await peer.read(len(data)) == data
                assert await sending == len(data)
                assert file.tell() == len(data)
                sending = asyncio.ensure_future(stage.loop.sock_sendfile(mine, file, 1000, 5000))
                assert await peer.read(5000) == data[1000:6000]
                assert await sending == 5000
                assert file.tell() == 6000

            stage.run(main())

    def test_a_cancelled_sock_sendfile(self) -> None:
        with self.stage() as stage, tempfile.TemporaryFile() as file:
            file.truncate(50_000_000)

            async def main() -> None:
                mine, peer = stage.pair("tcp")
                await cancelled(stage.loop.sock_sendfile(mine, file), passes=5)
                await asyncio.sleep(QUIET)
                ending = asyncio.ensure_future(peer.rest())
                await stage.loop.sock_sendall(mine, b"goes on")
                mine.close()
                received = await ending
                assert len(received) < 50_000_000
                assert received.strip(b"\0") == b"goes on"

            stage.run(main())


def _readable(sock: socket.socket) -> bool:
    try:
        return bool(sock.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False


async def _never_accepting(stage: Stage) -> socket.socket:
    """A listening socket whose queue is full, so that the next to connect has to wait (tcp(7))."""
    server = stage.keep(socket.socket())
    server.bind(("127.0.0.1", 0))
    server.listen(0)
    for _ in range(5):
        client = stage.keep(socket.socket())
        client.setblocking(False)
        client.connect_ex(server.getsockname())
        await asyncio.sleep(0.002)
    return server
