"""Datagrams there and back on the native loop, asyncio's own transport as the oracle: addresses, data, connections."""

from __future__ import annotations

import array
import asyncio
import contextvars
import os
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests._native.datagrams import LOCAL, Recorder, World, endpoint, name_of, needs_ipv6, rounds, until, world

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["world"]

#: From here on asyncio sends an empty datagram where it is given nothing.
EMPTY_IS_SENT = sys.version_info >= (3, 13)


def echo(world: World, family: int, local: Any, client: socket.socket, **options: Any) -> Any:
    """Have an echo server answer three datagrams of this client; what the server was told as the client's address."""

    async def main() -> Any:
        protocol = Recorder(lambda data, address: transport.sendto(data[::-1], address))
        options.setdefault("local_addr", local)
        transport, _ = await endpoint(protocol, family=family, **options)
        for count in range(1, 4):
            await asyncio.to_thread(client.sendto, b"to and fro", name_of(transport))
            await until(lambda count=count: len(protocol.data) == count)
            answer, address = client.recvfrom(100)
            assert answer == b"orf dna ot"
            assert address == name_of(transport)
        transport.close()
        addresses = [entry[2] for entry in protocol.told if entry[0] == "datagram"]
        assert addresses == addresses[:1] * 3
        return addresses[0]

    return world.run(main)


def test_echo(world: World) -> None:
    client = world.socket(bind=LOCAL)
    assert echo(world, socket.AF_INET, LOCAL, client) == client.getsockname()
    assert world.troubles == []


@needs_ipv6
def test_echo_ipv6(world: World) -> None:
    client = world.socket(socket.AF_INET6, bind=("::1", 0))
    address = echo(world, socket.AF_INET6, ("::1", 0), client)
    assert address == client.getsockname()
    assert [type(part) for part in address] == [str, int, int, int]


@needs_ipv6
def test_ipv4_client_of_an_ipv6_socket(world: World) -> None:
    async def main() -> None:
        sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(("::", 0))
        protocol = Recorder(lambda data, address: transport.sendto(data, address))
        transport, _ = await endpoint(protocol, sock=sock)
        client = world.socket(connect=("127.0.0.1", sock.getsockname()[1]))
        client.send(b"four")
        await until(lambda: protocol.data)
        assert client.recv(10) == b"four"
        assert protocol.told[1] == ("datagram", b"four", ("::ffff:127.0.0.1", client.getsockname()[1], 0, 0))
        transport.close()

    world.run(main)


def link_local() -> tuple[str, int] | None:
    """An address of this machine that means nothing without an interface, and the number of that."""
    try:
        with open("/proc/net/if_inet6") as table:
            for line in table:
                number, index, _, scope, flags, _ = line.split()
                if scope == "20" and not int(flags, 16) & 0x40:
                    return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(number)), int(index, 16)
    except OSError:
        pass
    return None


@pytest.mark.skipif(link_local() is None, reason="no interface has a link-local IPv6 address")
def test_scope_of_a_link_local_address(world: World) -> None:
    found = link_local()
    assert found is not None
    host, index = found
    client = world.socket(socket.AF_INET6, bind=(host, 0, 0, index))

    async def main() -> None:
        sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        sock.bind((host, 0, 0, index))
        protocol = Recorder(lambda data, address: transport.sendto(data, address))
        transport, _ = await endpoint(protocol, sock=sock)
        client.sendto(b"near", name_of(transport))
        await until(lambda: protocol.data)
        assert client.recv(10) == b"near"
        assert protocol.told[1] == ("datagram", b"near", client.getsockname())
        assert protocol.told[1][2] == (host, client.getsockname()[1], 0, index)
        transport.sendto(b"named", (f"{host}%{socket.if_indextoname(index)}", client.getsockname()[1]))
        assert client.recv(10) == b"named"
        transport.close()

    world.run(main)


@pytest.mark.parametrize("name", ["plain", "Straße"])
def test_echo_unix(world: World, tmp_path: Path, name: str) -> None:
    client = world.socket(socket.AF_UNIX, bind=str(tmp_path / name))
    assert echo(world, socket.AF_UNIX, str(tmp_path / "server"), client) == str(tmp_path / name)


def test_echo_unix_longest_path(world: World, tmp_path: Path) -> None:
    path = str(tmp_path / "x")
    path += "x" * (107 - len(path))
    client = world.socket(socket.AF_UNIX, bind=path)
    assert echo(world, socket.AF_UNIX, str(tmp_path / "server"), client) == path


@pytest.mark.parametrize("name", [b"\0abstract %d", b"\0with\0more\0%d", b"\0%d " + b"long" * 27])
def test_echo_unix_abstract(world: World, name: bytes) -> None:
    name = (name % os.getpid())[:108]  # nobody else's, and the longest there can be (unix(7))
    client = world.socket(socket.AF_UNIX, bind=name)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(b"\0server" + name[:50])
    # Neither family nor address may come along with a socket.
    assert echo(world, 0, None, client, sock=sock) == name


def test_unnamed_unix_client(world: World, tmp_path: Path) -> None:
    client = world.socket(socket.AF_UNIX)

    async def main() -> None:
        transport, protocol = await endpoint(family=socket.AF_UNIX, local_addr=str(tmp_path / "server"))
        client.sendto(b"", name_of(transport))
        client.sendto(b"who?", name_of(transport))
        await until(lambda: len(protocol.data) == 2)
        assert protocol.told[1:] == [("datagram", b"", None), ("datagram", b"who?", None)]
        transport.close()

    world.run(main)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_kinds_of_data(world: World, kind: Any) -> None:
    receiver = world.socket(bind=LOCAL)

    async def main() -> None:
        transport, _ = await endpoint()
        transport.sendto(kind(b"seven"), receiver.getsockname())
        assert receiver.recv(10) == b"seven"
        transport.close()

    world.run(main)


def test_views(world: World) -> None:
    receiver = world.socket(bind=LOCAL)

    async def main() -> None:
        transport, protocol = await endpoint()
        transport.sendto(memoryview(b"a part of it")[2:6], receiver.getsockname())
        assert receiver.recv(10) == b"part"
        numbers = array.array("I", [1, 2, 3])
        transport.sendto(memoryview(numbers), receiver.getsockname())
        assert receiver.recv(100) == numbers.tobytes()
        if world.native:  # which asyncio ends the transport for
            transport.sendto(memoryview(b"abcdef")[::2], receiver.getsockname())
            assert receiver.recv(10) == b"ace"
        if not world.native and not EMPTY_IS_SENT:  # which asked whether it was empty, and raised for that
            transport.close()
            return
        view = memoryview(b"gone")
        view.release()
        transport.sendto(view, receiver.getsockname())
        await rounds()
        assert protocol.told == [("made",), ("lost", ValueError)]
        assert world.raised() == [ValueError]

    world.run(main)


@pytest.mark.parametrize("data", ["text", None, 5, [b"list"], array.array("b", [1])])
def test_what_is_no_data(world: World, data: Any) -> None:
    async def main() -> str:
        transport, _ = await endpoint()
        with pytest.raises(TypeError, match="data argument must be a bytes-like object, not") as caught:
            transport.sendto(data, ("127.0.0.1", 9))
        assert not transport.is_closing()
        transport.close()
        return str(caught.value)

    assert world.run(main).endswith(repr(type(data).__name__))


def test_empty_datagram(world: World) -> None:
    if not world.native and not EMPTY_IS_SENT:
        pytest.skip("asyncio before 3.13 sends none")
    receiver = world.socket(bind=LOCAL)

    async def main() -> None:
        transport, _ = await endpoint()
        for empty in (b"", bytearray(), memoryview(b"")):
            transport.sendto(empty, receiver.getsockname())
            assert receiver.recvfrom(10) == (b"", name_of(transport))
        transport.close()

    world.run(main)


@pytest.mark.parametrize("size", [1, 1024, 9000, 65507])
def test_sizes(world: World, size: int) -> None:
    data = bytes(range(256)) * 256
    client = world.socket(bind=LOCAL)

    async def main() -> None:
        protocol = Recorder(lambda data, address: transport.sendto(data, address))
        transport, _ = await endpoint(protocol, local_addr=LOCAL)
        client.sendto(data[:size], name_of(transport))
        await until(lambda: protocol.data)
        assert protocol.data == [data[:size]]
        assert client.recv(100_000) == data[:size]
        transport.close()

    world.run(main)


def test_what_is_too_long_is_cut_off(world: World) -> None:
    """At 256 KiB, which only Unix sockets can exceed."""
    sender, sock = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    world.sockets.append(sender)
    try:
        sender.setsockopt(socket.SOL_SOCKET, 32, 1 << 20)  # SO_SNDBUFFORCE
        sender.send(b"x" * 300_000)
    except OSError as error:
        sock.close()
        pytest.skip(f"no datagram so long: {error}")

    async def main() -> None:
        transport, protocol = await endpoint(sock=sock)
        sender.send(b"next")
        await until(lambda: len(protocol.data) == 2)
        assert protocol.data == [b"x" * 262144, b"next"]
        transport.close()

    world.run(main)


def test_what_a_transport_says_of_itself(world: World) -> None:
    async def main() -> None:
        transport, protocol = await endpoint()
        assert isinstance(transport, asyncio.Transport)
        assert isinstance(transport, asyncio.DatagramTransport) or (not world.native and sys.version_info < (3, 12))
        assert transport.get_protocol() is protocol
        assert protocol.transport is transport
        assert transport.get_extra_info("socket").type == socket.SOCK_DGRAM
        assert transport.get_extra_info("peername", "nobody") is None
        assert transport.get_extra_info("cipher", "none") == "none"
        assert transport.is_reading()
        assert not transport.is_closing()
        assert transport.get_write_buffer_size() == 0
        assert transport.get_write_buffer_limits() == (16384, 65536)
        fd = transport.get_extra_info("socket").fileno()
        await rounds()
        assert f"DatagramTransport fd={fd} read=polling write=<idle, bufsize=0>" in repr(transport)
        transport.close()
        assert transport.is_closing()
        assert not transport.is_reading()
        assert f"closing fd={fd}" in repr(transport)
        await rounds()
        assert f"closed fd={fd}" in repr(transport)
        assert protocol.told == [("made",), ("lost", None)]

    world.run(main)


def test_context(world: World) -> None:
    """All that a protocol is told in the loop's time is told in the context of whoever made the endpoint."""
    who = contextvars.ContextVar("who", default="nobody")
    seen: list[tuple[str, str]] = []

    class Protocol(Recorder):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            seen.append(("made", who.get()))

        def datagram_received(self, data: bytes, addr: Any) -> None:
            super().datagram_received(data, addr)
            seen.append(("datagram", who.get()))

        def connection_lost(self, exc: BaseException | None) -> None:
            seen.append(("lost", who.get()))

    async def maker() -> tuple[Any, Recorder]:
        who.set("maker")
        return await endpoint(Protocol(), local_addr=LOCAL)

    async def main() -> None:
        transport, protocol = await asyncio.create_task(maker())
        client = world.socket(connect=name_of(transport))
        client.send(b"")
        await until(lambda: protocol.data)
        transport.close() if world.native else await asyncio.create_task(closer(transport))
        await rounds()

    async def closer(transport: Any) -> None:
        who.set("maker")  # before 3.14 connection_lost() is told in the context of whoever closes
        transport.close()

    world.run(main)
    assert seen == [("made", "maker"), ("datagram", "maker"), ("lost", "maker")]
