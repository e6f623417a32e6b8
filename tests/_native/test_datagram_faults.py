"""What goes wrong with datagrams on the native loop, asyncio's own transport as the oracle: errors and protocols that
raise."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests._native.datagrams import LOCAL, Recorder, World, endpoint, name_of, rounds, until, world

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["world"]


def fail(*_: Any) -> None:
    raise ZeroDivisionError


def fail_at(what: bytes, error: type[BaseException] = ZeroDivisionError) -> Any:
    def check(data: bytes, _: Any) -> None:
        if data == what:
            raise error

    return check


async def refusing(world: World, protocol: Recorder | None = None) -> tuple[Any, Recorder, socket.socket]:
    """An endpoint that is connected to a port where nobody hears it: the socket there is connected to itself, and keeps
    the port from others."""
    deaf = world.socket(bind=LOCAL)
    deaf.connect(deaf.getsockname())
    return *await endpoint(protocol, remote_addr=deaf.getsockname()), deaf


def test_refused(world: World) -> None:
    """ICMP says so, by the time of the next event or the next sendto(); either way the transport goes on."""

    async def main() -> None:
        transport, protocol, peer = await refusing(world)
        transport.sendto(b"1")
        await until(lambda: protocol.count("error"))
        assert protocol.told == [("made",), ("error", ConnectionRefusedError)]
        transport.sendto(b"2")
        transport.sendto(b"3")  # is told what became of the second, and not sent
        assert protocol.told[2:] == [("error", ConnectionRefusedError)]
        peer.connect(name_of(transport))
        transport.sendto(b"4")
        assert peer.recv(10) == b"4"
        peer.send(b"5")
        await until(lambda: protocol.data)
        assert protocol.told[3:] == [("datagram", b"5", peer.getsockname())]
        transport.close()

    world.run(main)
    assert world.troubles == []


def test_refused_while_reading_is_paused(world: World) -> None:
    """Nobody is told, and the loop does not spin over it."""

    async def main() -> None:
        transport, protocol, _ = await refusing(world)
        transport.pause_reading()
        transport.sendto(b"1")
        before = os.times()
        await asyncio.sleep(0.1)
        after = os.times()
        assert after.user - before.user + after.system - before.system < 0.08
        assert protocol.told == [("made",)]
        transport.resume_reading()
        await until(lambda: protocol.count("error"))
        transport.close()

    world.run(main)


@pytest.mark.parametrize("size", [65508, 100_000])
def test_too_long(world: World, size: int) -> None:
    seen: list[OSError] = []

    async def main() -> None:
        transport, protocol = await endpoint(Recorder(on_error=seen.append), local_addr=LOCAL)
        for data in (bytes(size), bytearray(size), memoryview(bytes(size))):
            transport.sendto(data, name_of(transport))
        assert protocol.told == [("made",), *[("error", OSError)] * 3]
        assert [error.errno for error in seen] == [errno.EMSGSIZE] * 3
        assert str(seen[0]) == f"[Errno {errno.EMSGSIZE}] Message too long"
        assert not transport.is_closing()
        transport.close()

    world.run(main)


def test_no_such_unix_socket(world: World, tmp_path: Path) -> None:
    async def main() -> None:
        transport, protocol = await endpoint(family=socket.AF_UNIX, local_addr=str(tmp_path / "one"))
        transport.sendto(b"x", str(tmp_path / "two"))
        transport.sendto(b"x", os.fsencode(tmp_path / "two"))
        transport.sendto(b"x", str(tmp_path / "ü"))
        transport.sendto(b"x", bytearray(b"\0nobody"))
        transport.sendto(b"x", b"\0nobody")
        transport.sendto(b"x", str(tmp_path / ("x" * 108)))
        assert protocol.told[1:] == [
            *[("error", FileNotFoundError)] * 3,
            *[("error", ConnectionRefusedError)] * 2,
            ("error", OSError),
        ]
        transport.sendto(b"x", "")
        transport.sendto(b"x", b"")
        assert protocol.told[7:] == [protocol.told[7]] * 2
        assert not transport.is_closing()
        transport.sendto(b"x", ("127.0.0.1", 1))
        await rounds()
        assert protocol.told[-1] == ("lost", TypeError)

    world.run(main)
    assert world.raised() == [TypeError]
    assert world.troubles[0]["message"] == "Fatal write error on datagram transport"


def test_raises_at_a_datagram(world: World) -> None:
    """The loop's exception handler hears of it, and the datagrams after it come."""

    async def main() -> None:
        protocol = Recorder(fail_at(b"3"))
        transport, _ = await endpoint(protocol, local_addr=LOCAL)
        client = world.socket(connect=name_of(transport))
        for number in range(30):
            client.send(b"%d" % number)
        await until(lambda: len(protocol.data) == 30)
        assert protocol.data == [b"%d" % number for number in range(30)]
        transport.close()

    world.run(main)
    assert world.raised() == [ZeroDivisionError]


def test_raises_at_an_error(world: World) -> None:
    async def main() -> None:
        transport, protocol, _ = await refusing(world, Recorder(on_error=fail))
        transport.sendto(b"1")
        await until(lambda: world.troubles)
        assert protocol.told == [("made",), ("error", ConnectionRefusedError)]
        assert not transport.is_closing()
        with pytest.raises(ZeroDivisionError):  # to whoever sends
            transport.sendto(bytes(70_000))
        assert not transport.is_closing()
        transport.close()

    world.run(main)
    assert world.raised() == [ZeroDivisionError]


@pytest.mark.parametrize("method", ["connection_made", "connection_lost"])
def test_raises_at_its_beginning_or_end(world: World, method: str) -> None:
    async def main() -> None:
        protocol = Recorder()
        setattr(protocol, method, fail)
        transport, _ = await endpoint(protocol, local_addr=LOCAL)
        client = world.socket(connect=name_of(transport))
        client.send(b"1")
        await until(lambda: protocol.data)
        transport.close()
        await rounds()
        assert "closed" in repr(transport)

    world.run(main)
    assert world.raised() == [ZeroDivisionError]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_program(world: World, error: type[BaseException]) -> None:
    """It ends the run; what else there was to read is there in the next."""
    protocol = Recorder(fail_at(b"3", error))

    async def begin() -> Any:
        transport, _ = await endpoint(protocol, local_addr=LOCAL)
        client = world.socket(connect=name_of(transport))
        for number in range(30):
            client.send(b"%d" % number)
        return transport

    async def go_on() -> None:
        await until(lambda: len(protocol.data) == 30)
        transport.close()
        await rounds()

    loop = world.new_loop()
    transport = loop.run_until_complete(begin())
    with pytest.raises(error):
        loop.run_forever()
    loop.run_until_complete(go_on())
    loop.close()
    assert protocol.data == [b"%d" % number for number in range(30)]
    assert world.troubles == []


def test_raises_when_it_is_paused(world: World, tmp_path: Path) -> None:
    world.counts()

    class Raising(Recorder):
        pause_writing = fail
        resume_writing = fail

    async def main() -> None:
        path = str(tmp_path / "peer")
        peer = world.socket(socket.AF_UNIX, bind=path)
        peer.setblocking(False)
        transport, _ = await endpoint(Raising(), family=socket.AF_UNIX, remote_addr=path)
        transport.set_write_buffer_limits(high=0)
        while not transport.get_write_buffer_size():
            transport.sendto(b"filling")
        assert world.raised() == [ZeroDivisionError]
        assert world.troubles[0]["message"] == "protocol.pause_writing() failed"
        while transport.get_write_buffer_size():
            peer.recv(100)
            await asyncio.sleep(0)
        await rounds()
        assert not transport.is_closing()
        transport.close()

    world.run(main)
    assert [context["message"] for context in world.troubles[1:]] == ["protocol.resume_writing() failed"]


def test_closed_at_once(world: World) -> None:
    """Before it was told that it is connected; it is told both."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.bind(LOCAL)
        protocol = Recorder()
        waiter = loop.create_future()
        transport = loop._make_datagram_transport(sock, protocol, None, waiter)  # type: ignore[attr-defined]
        transport.close()
        await waiter
        await rounds()
        assert protocol.told == [("made",), ("lost", None)]

    world.run(main)
    assert world.troubles == []


def test_cancelled_while_it_is_made(world: World) -> None:
    async def main() -> None:
        protocol = Recorder()
        task = asyncio.create_task(endpoint(protocol, local_addr=LOCAL))
        while "made" not in [entry[0] for entry in protocol.told] and not task.done():
            await asyncio.sleep(0)
            if hasattr(protocol, "transport"):
                break
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()[0].close()
        await rounds()
        assert protocol.told == [("made",), ("lost", None)]

    world.run(main)
    assert world.troubles == []


def test_one_descriptor_for_two_transports(world: World) -> None:
    async def main() -> None:
        transport, _ = await endpoint()
        sock = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
        second, _ = await endpoint(sock=sock)  # a descriptor of its own
        same = socket.socket(fileno=sock.fileno())
        with pytest.raises(RuntimeError, match="is used by transport"):
            await endpoint(sock=same)
        same.detach()
        transport.close()
        second.close()

    if not world.native and sys.version_info < (3, 12):
        pytest.skip("asyncio does not look before 3.12")
    world.run(main)


def test_in_debug_mode(world: World, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        protocol = Recorder(lambda data, address: transport.sendto(data, address))
        transport, _ = await endpoint(protocol, local_addr=LOCAL)
        client = world.socket(connect=name_of(transport))
        client.send(b"there")
        await until(lambda: protocol.data)
        assert client.recv(10) == b"there"
        transport.pause_reading()
        transport.resume_reading()
        transport.close()

    with caplog.at_level(logging.DEBUG, "asyncio"):
        world.run(main, debug=True)
    assert sum("reading" in message for message in caplog.messages) == 2
    assert world.troubles == []


def test_an_event_of_what_was_closed_before_it(world: World) -> None:
    """Two endpoints become ready in one look, and the first that is told closes the other."""
    pair: list[Any] = []

    def close_both(*_: Any) -> None:
        for transport in pair:
            transport.abort()

    async def main() -> None:
        protocols = [Recorder(close_both), Recorder(close_both)]
        for protocol in protocols:
            transport, _ = await endpoint(protocol, local_addr=LOCAL)
            pair.append(transport)
        await rounds()
        client = world.socket()
        for transport in pair:
            client.sendto(b"x", name_of(transport))
        await until(lambda: all(protocol.count("lost") for protocol in protocols))
        assert sum(len(protocol.data) for protocol in protocols) == 1

    world.run(main)
    assert world.troubles == []


def test_an_endpoint_that_cannot_be_watched(world: World) -> None:
    """A regular file cannot: whoever waits for the transport is not left waiting, and the exception handler is told."""

    async def main() -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with open(__file__, "rb") as file:  # noqa: ASYNC230 - it is there
            os.dup2(file.fileno(), sock.fileno())
        async with asyncio.timeout(10):
            transport, protocol = await endpoint(sock=sock)
        assert world.raised() == [PermissionError]
        transport.close()
        await until(lambda: protocol.count("lost"))

    world.run(main)
