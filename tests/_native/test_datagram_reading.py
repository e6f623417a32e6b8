"""Reading of datagrams by the native loop, asyncio's own transport as the oracle: what protocols do between two."""

from __future__ import annotations

import asyncio
import itertools
import socket
from typing import Any

import pytest

from tests._native.datagrams import LOCAL, Recorder, World, endpoint, rounds, until, world

__all__ = ["world"]


async def burst(world: World, protocol: Recorder, count: int = 40) -> Any:
    """An endpoint that has so many datagrams before it reads the first of them."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(LOCAL)
    client = world.socket(connect=sock.getsockname())
    # Those of a busy socket are read several at a time; so it is one first.
    for _ in range(200):
        client.send(b"first")
    transport, _ = await endpoint(protocol, sock=sock)
    await until(lambda: len(protocol.data) == 200)
    for number in range(count):
        client.send(b"%d" % number)
    return transport


def wanted(protocol: Recorder) -> list[bytes]:
    return [data for data in protocol.data if data != b"first"]


def test_pauses_when_it_is_told(world: World) -> None:
    protocol = Recorder(lambda data, _: data == b"5" and protocol.transport.pause_reading())

    async def main() -> None:
        transport = await burst(world, protocol)
        await rounds()
        assert wanted(protocol) == [b"%d" % number for number in range(6)]
        assert not transport.is_reading()
        transport.pause_reading()
        transport.resume_reading()
        transport.resume_reading()
        await until(lambda: len(wanted(protocol)) == 40)
        assert wanted(protocol) == [b"%d" % number for number in range(40)]
        transport.close()

    world.run(main)


@pytest.mark.parametrize("end", ["close", "abort"])
def test_ends_within_a_datagram(world: World, end: str) -> None:
    protocol = Recorder(lambda data, _: data == b"5" and getattr(protocol.transport, end)())

    async def main() -> None:
        await burst(world, protocol)
        await rounds()
        assert wanted(protocol) == [b"%d" % number for number in range(6)]
        assert protocol.told[-1] == ("lost", None)
        assert protocol.count("lost") == 1

    world.run(main)
    assert world.troubles == []


def test_another_protocol_within_a_datagram(world: World) -> None:
    second = Recorder()
    first = Recorder(lambda data, _: data == b"5" and first.transport.set_protocol(second))

    async def main() -> None:
        transport = await burst(world, first)
        await until(lambda: len(second.data) == 34)
        assert [*wanted(first), *second.data] == [b"%d" % number for number in range(40)]
        assert transport.get_protocol() is second
        transport.close()
        await rounds()
        assert second.told[-1] == ("lost", None)
        assert first.count("lost") == 0

    world.run(main)


def test_a_method_that_is_replaced(world: World) -> None:
    """A protocol's methods are looked up each time, as a test that puts another in its place expects."""
    other: list[bytes] = []

    async def main() -> None:
        protocol = Recorder()
        transport = await burst(world, protocol)
        protocol.datagram_received = lambda data, _: other.append(data)  # type: ignore[method-assign]
        await until(lambda: len(other) == 40)
        assert wanted(protocol) == []
        transport.close()

    world.run(main)


def test_a_busy_socket_leaves_others_their_turn(world: World) -> None:
    between: list[int] = []

    def next_turn() -> None:
        between.append(len(wanted(protocol)))
        if between[-1] < 200:
            asyncio.get_running_loop().call_soon(next_turn)

    protocol = Recorder()

    async def main() -> None:
        transport = await burst(world, protocol, 200)
        next_turn()
        await until(lambda: len(wanted(protocol)) == 200)
        transport.close()

    world.run(main)
    steps = [after - before for before, after in itertools.pairwise(between)]
    assert max(steps) <= 16
    if world.native:
        assert max(steps) > 1  # it was read by more than ones
