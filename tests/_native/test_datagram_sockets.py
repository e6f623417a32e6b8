"""Sockets under datagrams of the native loop, asyncio's own transport as the oracle: connected ones, pairs, odd classes
and families."""

from __future__ import annotations

import asyncio
import socket
import struct
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests._native.datagrams import LOCAL, World, endpoint, name_of, until, world

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["world"]


def test_connected(world: World) -> None:
    peer = world.socket(bind=LOCAL)
    name = peer.getsockname()

    async def main() -> None:
        transport, protocol = await endpoint(remote_addr=name)
        assert transport.get_extra_info("peername") == name
        transport.sendto(b"1")
        transport.sendto(b"2", None)
        transport.sendto(b"3", (str(name[0]), int(name[1])))
        assert [peer.recvfrom(10) for _ in range(3)] == [(data, name_of(transport)) for data in (b"1", b"2", b"3")]
        with pytest.raises(ValueError, match="Invalid address: must be None or ") as caught:
            transport.sendto(b"4", ("127.0.0.1", 9))
        assert str(caught.value) == f"Invalid address: must be None or {name}"
        peer.sendto(b"5", name_of(transport))
        await until(lambda: protocol.data)
        assert protocol.told[1:] == [("datagram", b"5", name)]
        transport.close()

    world.run(main)


def test_connected_by_whoever_made_the_socket(world: World) -> None:
    """Then the address does not matter: whatever it is, the peer gets it."""
    peer = world.socket(bind=LOCAL)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect(peer.getsockname())

    async def main() -> None:
        transport, _ = await endpoint(sock=sock)
        for address in (None, ("127.0.0.1", 9), "nonsense"):
            transport.sendto(b"here", address)
            assert peer.recv(10) == b"here"
        transport.close()

    world.run(main)


def test_address_without_connection(world: World) -> None:
    """What allow_broadcast makes of remote_addr."""
    peer = world.socket(bind=LOCAL)

    async def main() -> None:
        transport, _ = await endpoint(remote_addr=peer.getsockname(), allow_broadcast=True)
        assert transport.get_extra_info("peername") is None
        transport.sendto(b"1")
        transport.sendto(b"2", peer.getsockname())
        assert [peer.recv(10), peer.recv(10)] == [b"1", b"2"]
        with pytest.raises(ValueError, match="Invalid address"):
            transport.sendto(b"3", ("127.0.0.1", 9))
        transport.close()

    world.run(main)


def test_socketpair(world: World, tmp_path: Path) -> None:
    """Its ends have no names, but peers."""
    if not world.native:
        pytest.skip("asyncio ends the transport, for want of an address")
    peer, sock = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    world.sockets.append(peer)
    other = world.socket(socket.AF_UNIX, bind=str(tmp_path / "other"))

    async def main() -> None:
        transport, protocol = await endpoint(sock=sock)
        peer.send(b"in")
        transport.sendto(b"out")
        assert peer.recv(10) == b"out"
        transport.sendto(b"elsewhere", str(tmp_path / "other"))
        assert other.recv(10) == b"elsewhere"
        await until(lambda: protocol.data)
        assert protocol.told == [("made",), ("datagram", b"in", None)]
        transport.close()

    world.run(main)


def test_a_socket_closed_under_its_transport_sends_to_nobody(world: World) -> None:
    """Not to whoever's socket has the number by then."""
    peer = world.socket(bind=LOCAL)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    number = sock.fileno()

    async def main() -> None:
        transport, protocol = await endpoint(sock=sock)
        sock.close()
        other = world.socket(bind=LOCAL)
        assert other.fileno() == number
        transport.sendto(b"astray", peer.getsockname())
        await until(lambda: len(protocol.told) > 1)
        assert protocol.told[1] == ("error", OSError)
        transport.abort()
        await asyncio.sleep(0)
        peer.setblocking(False)
        with pytest.raises(BlockingIOError):
            peer.recv(10)

    world.run(main)


AUDITED = """
import socket, sys
from tests._native.datagrams import *
told = []
async def main():
    transport, _ = await endpoint(sock=sock)
    for _ in range(2):
        transport.sendto(b"data", name)
        assert sock.recv(10) == b"data"
    told.clear()
    transport.sendto(b"refused", ("127.0.0.1", 9))
    await rounds()
    transport.close()
def hook(event, args):
    if event == "socket.sendto":
        told.append(args)
        if args[1][1] == 9:
            raise RuntimeError("refused")
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(LOCAL)
name = sock.getsockname()
world = World(sys.argv[1])
sys.addaudithook(hook)
world.run(main)
assert told == [(sock, ("127.0.0.1", 9))], told
print(world.raised())
"""


@pytest.mark.slow
def test_audit_hooks_are_asked(world: World) -> None:
    done = subprocess.run([sys.executable, "-c", AUDITED, world.kind], capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.stderr) == ("[<class 'RuntimeError'>]\n", "")


class Own(socket.socket):
    """With a way to send and receive of its own, as those that talk to a proxy have."""

    def recvfrom(self, *args: Any) -> Any:
        data, address = super().recvfrom(*args)
        return b"own " + data, ("proxied", *address)

    def sendto(self, data: Any, address: Any) -> int:  # type: ignore[override]  # flags are never given
        return super().sendto(b"own " + bytes(data), address)


def test_socket_with_methods_of_its_own(world: World) -> None:
    peer = world.socket(bind=LOCAL)

    async def main() -> None:
        sock = Own(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(LOCAL)
        transport, protocol = await endpoint(sock=sock)
        transport.sendto(b"data", peer.getsockname())
        assert peer.recv(100) == b"own data"
        peer.sendto(b"back", name_of(transport))
        await until(lambda: protocol.data)
        assert protocol.told[1:] == [("datagram", b"own back", ("proxied", *peer.getsockname()))]
        transport.close()

    world.run(main)


def test_another_family(world: World) -> None:
    """Netlink: ask the kernel for the loopback interface (rtnetlink(7))."""
    question = struct.pack("=IHHII", 32, 18, 1, 7, 0) + struct.pack("=BxHiII", 0, 0, 1, 0, 0)

    async def main() -> None:
        sock = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 0)
        transport, protocol = await endpoint(sock=sock)
        transport.sendto(question, (0, 0))
        await until(lambda: protocol.data)
        assert protocol.told[1][2] == (0, 0)
        assert b"lo\0" in protocol.data[0]
        transport.close()

    world.run(main)
