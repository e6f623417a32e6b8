"""The echo servers of a side's process: one for each kind of row."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

#: What is read at most, where the server says.
READ = 65_536
BACKLOG = 1_024
HOST = "127.0.0.1"
#: Servers, tasks and transports that have to be held by somebody.
kept: list[object] = []


class Echo(asyncio.Protocol):
    """Gives back what it is given."""

    _transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)


class BufferedEcho(asyncio.BufferedProtocol):
    """The same with a buffer of its own; what is written has to be a copy, for a transport may hold it for long."""

    _transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._view = memoryview(bytearray(READ))

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        self._transport.write(bytes(self._view[:nbytes]))


class DatagramEcho(asyncio.DatagramProtocol):
    """The same for datagrams."""

    _transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._transport.sendto(data, addr)


async def _stream_echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(READ):
        writer.write(data)
        await writer.drain()
    writer.close()


def _name(server: Any) -> str:
    kept.append(server)
    host, port = server.sockets[0].getsockname()[:2]
    return f"{host}:{port}"


async def _protocol(loop: asyncio.AbstractEventLoop, _folder: Path) -> str:
    return _name(await loop.create_server(Echo, HOST, 0, backlog=BACKLOG))


async def _buffered(loop: asyncio.AbstractEventLoop, _folder: Path) -> str:
    return _name(await loop.create_server(BufferedEcho, HOST, 0, backlog=BACKLOG))


async def _streams(_loop: asyncio.AbstractEventLoop, _folder: Path) -> str:
    return _name(await asyncio.start_server(_stream_echo, HOST, 0, backlog=BACKLOG))


async def _tls(loop: asyncio.AbstractEventLoop, folder: Path) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return _name(await loop.create_server(Echo, HOST, 0, backlog=BACKLOG, ssl=context))


async def _unix(loop: asyncio.AbstractEventLoop, folder: Path) -> str:
    path = str(folder / "socket")
    kept.append(await loop.create_unix_server(Echo, path, backlog=BACKLOG))
    return path


async def _udp(loop: asyncio.AbstractEventLoop, _folder: Path) -> str:
    listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listening.setblocking(False)
    # As much as the system lets it: what many send at once shall not be lost.
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    listening.bind((HOST, 0))
    port = listening.getsockname()[1]  # there are loops that take the descriptor out of it
    kept.extend((listening, await loop.create_datagram_endpoint(DatagramEcho, sock=listening)))
    return f"{HOST}:{port}"


async def _sock(loop: asyncio.AbstractEventLoop, _folder: Path) -> str:
    listening = socket.create_server((HOST, 0), backlog=BACKLOG)
    listening.setblocking(False)

    async def serve(connection: socket.socket) -> None:
        with connection:
            while data := await loop.sock_recv(connection, READ):
                await loop.sock_sendall(connection, data)

    async def accept() -> None:
        while True:
            connection, _ = await loop.sock_accept(listening)
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = loop.create_task(serve(connection))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    tasks: set[asyncio.Task[None]] = set()
    kept.extend((listening, tasks, loop.create_task(accept())))
    return f"{HOST}:{listening.getsockname()[1]}"


#: Each takes the loop it runs in and a folder (for a socket; of certificate and key), and gives the address.
SERVERS: dict[str, Callable[[asyncio.AbstractEventLoop, Path], Awaitable[str]]] = {
    "protocol": _protocol,
    "buffered": _buffered,
    "streams": _streams,
    "sock": _sock,
    "udp": _udp,
    "unix": _unix,
    "tls": _tls,
}
