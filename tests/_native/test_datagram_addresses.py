"""What an address may look like to sendto() of the native loop: each form has the fate that it has on asyncio's own."""

from __future__ import annotations

import enum
import random
import socket
from typing import Any

import pytest

from tests._native.datagrams import LOCAL, World, endpoint, name_of, needs_ipv6, rounds, until, world

__all__ = ["world"]


class Name(str):
    __slots__ = ()


#: Of the receiver's port, what an address can look like.
FORMS: dict[str, Any] = {
    "plain": lambda port: ("127.0.0.1", port),
    "name": lambda port: ("localhost", port),
    "short": lambda port: ("127.1", port),
    "any": lambda port: ("0.0.0.0", port),
    "nothing": lambda port: ("", port),
    "bytes": lambda port: (b"127.0.0.1", port),
    "own str": lambda port: (Name("127.0.0.1"), port),
    "own int": lambda port: ("127.0.0.1", enum.IntEnum("Port", {"ours": port}).ours),
    "list": lambda port: ["127.0.0.1", port],
    "three": lambda port: ("127.0.0.1", port, 0),
    "one": lambda port: ("127.0.0.1",),
    "text": lambda port: "127.0.0.1",
    "None": lambda port: None,
    "port in words": lambda port: ("127.0.0.1", str(port)),
    "port too large": lambda port: ("127.0.0.1", 65536),
    "port far too large": lambda port: ("127.0.0.1", 1 << 80),
    "port below 0": lambda port: ("127.0.0.1", -1),
    "port 0": lambda port: ("127.0.0.1", 0),
    "NUL": lambda port: ("127.0.0.1\0", port),
    "not ASCII": lambda port: ("127.0.0.1\xa0", port),
    "surrogate": lambda port: ("\udc80", port),
    "another family": lambda port: ("::1", port),
}
FORMS6: dict[str, Any] = {
    "two": lambda port: ("::1", port),
    "three": lambda port: ("::1", port, 0),
    "four": lambda port: ("::1", port, 0, 0),
    "flow": lambda port: ("::1", port, 0xFFFFF, 0),
    "flow too large": lambda port: ("::1", port, 0x100000, 0),
    "flow below 0": lambda port: ("::1", port, -1, 0),
    "scope of loopback": lambda port: ("::1", port, 0, socket.if_nametoindex("lo")),
    "scope of nothing": lambda port: ("::1", port, 0, 0x7FFFFFFF),
    "scope too large": lambda port: ("::1", port, 0, 1 << 40),
    "five": lambda port: ("::1", port, 0, 0, 0),
    "long form": lambda port: ("0:0:0:0:0:0:0:1", port),
    "mapped": lambda port: ("::ffff:127.0.0.1", port),
    "another family": lambda port: ("127.0.0.1", port),
}


def fate(kind: str, family: int, local: Any, form: Any) -> Any:
    """What becomes of a datagram to an address of this form, sent twice: that it arrived, or what was told of it."""
    world = World(kind)

    async def main() -> Any:
        transport, protocol = await endpoint(local_addr=local, family=family)
        address = form(receiver.getsockname()[1])
        for data in (b"one", b"two"):
            if not transport.is_closing():
                transport.sendto(data, address)
        await rounds(2)
        transport.abort()
        await rounds(2)
        got = []
        while True:
            try:
                got.append(receiver.recv(10))
            except BlockingIOError:
                return got, protocol.told, [repr(context["exception"]) for context in world.troubles]

    with socket.socket(family, socket.SOCK_DGRAM) as receiver:
        receiver.bind(local)
        receiver.setblocking(False)
        return world.run(main)


@pytest.mark.parametrize("form", FORMS)
def test_forms(form: str) -> None:
    told = [fate(kind, socket.AF_INET, LOCAL, FORMS[form]) for kind in ("asyncio", "native")]
    assert told[0] == told[1]
    assert told[0] != ([], [("made",), ("lost", None)], [])  # something became of it


@needs_ipv6
@pytest.mark.parametrize("form", FORMS6)
def test_forms_of_ipv6(form: str) -> None:
    told = [fate(kind, socket.AF_INET6, ("::1", 0), FORMS6[form]) for kind in ("asyncio", "native")]
    assert told[0] == told[1]
    assert told[0] != ([], [("made",), ("lost", None)], [])


def test_every_peer_gets_its_own_answer(world: World) -> None:
    """So many peers that some are forgotten, and their answers late and in another order, to the tuples that came."""
    count = 600 if world.native else 100

    async def main() -> None:
        transport, protocol = await endpoint()
        clients = [world.socket(connect=name_of(transport)) for _ in range(count)]
        for turn in range(3):
            for client in clients:
                client.send(str(client.getsockname()[1]).encode())
                if client is clients[-1] or not client.fileno() % 50:
                    await rounds(1)
            await until(lambda turn=turn: len(protocol.data) == (turn + 1) * count)
            told = protocol.told[-count:]
            random.Random(turn).shuffle(told)
            for _, data, address in told:
                transport.sendto(data, address)
            for client in clients:
                assert client.recv(10) == str(client.getsockname()[1]).encode()
        assert {entry[2] for entry in protocol.told[1:]} == {client.getsockname() for client in clients}
        transport.close()

    world.run(main)


@needs_ipv6
def test_one_tuple_for_sockets_of_two_families(world: World) -> None:
    """What is an address to one is none to another, however often it was used."""
    receiver = world.socket(bind=LOCAL)
    address = receiver.getsockname()

    async def main() -> None:
        four, protocol = await endpoint()
        six, protocol6 = await endpoint(local_addr=("::1", 0))
        for _ in range(3):
            four.sendto(b"yes", address)
            assert receiver.recv(10) == b"yes"
            six.sendto(b"no", address)
        await rounds()
        assert protocol.told == [("made",)]
        assert protocol6.told[1:] == [("error", socket.gaierror)] * 3
        four.close()
        six.close()

    world.run(main)
