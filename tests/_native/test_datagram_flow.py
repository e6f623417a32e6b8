"""Flow of datagrams on the native loop, asyncio's own transport as the oracle: full sockets, and every end."""

from __future__ import annotations

import asyncio
import gc
import logging
import re
import socket
import sys
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from tests._native.datagrams import LOCAL, Recorder, World, endpoint, is_sent, rounds, until, world

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["world"]

#: From here on asyncio counts a header for each datagram, and takes it off again.
HEADERS_ARE_COUNTED = sys.version_info >= (3, 14)


async def full(world: World, tmp_path: Path, protocol: Recorder | None = None) -> tuple[Any, Recorder, socket.socket]:
    """A transport that is connected to a Unix socket which takes no more, with datagram number 0 in its queue."""
    peer = world.socket(socket.AF_UNIX, bind=str(tmp_path / "peer"))
    transport, protocol = await endpoint(protocol, family=socket.AF_UNIX, remote_addr=str(tmp_path / "peer"))
    while not transport.get_write_buffer_size():
        transport.sendto(b"filling")
    return transport, protocol, peer


def taken(peer: socket.socket) -> list[bytes]:
    """All that a socket has, but what filled it."""
    got = []
    peer.setblocking(False)
    while True:
        try:
            data = peer.recv(100_000)
        except BlockingIOError:
            return got
        if data != b"filling":
            got.append(data)


def test_a_full_socket_is_waited_for_and_order_kept(world: World, tmp_path: Path) -> None:
    async def main() -> None:
        transport, protocol, peer = await full(world, tmp_path)
        reused = bytearray(b"mine")
        transport.sendto(reused)
        reused[:] = b"XXXX"
        for number in range(50):
            transport.sendto(b"%d" % number)
        got: list[bytes] = []
        while len(got) < 51:
            got += taken(peer)
            await asyncio.sleep(0)
        assert got == [b"mine", *[b"%d" % number for number in range(50)]]
        await until(lambda: is_sent(transport))
        assert "write=<idle" in repr(transport)
        transport.sendto(b"again")
        assert taken(peer) == [b"again"]
        assert protocol.told == [("made",)]
        transport.close()

    world.run(main)


def test_size_of_the_queue(world: World, tmp_path: Path) -> None:
    async def main() -> None:
        transport, _, peer = await full(world, tmp_path)
        assert "write=<polling" in repr(transport)
        before = transport.get_write_buffer_size()
        transport.sendto(bytes(100))
        transport.sendto(memoryview(bytes(100)))
        if world.native or HEADERS_ARE_COUNTED:
            assert before == len(b"filling") + 8
            assert transport.get_write_buffer_size() == before + 216
            transport.sendto(b"")
            assert transport.get_write_buffer_size() == before + 224
        while transport.get_write_buffer_size():
            taken(peer)
            await asyncio.sleep(0)
            assert transport.get_write_buffer_size() >= 0
        transport.close()

    world.counts()
    world.run(main)


def test_protocol_is_paused_and_resumed(world: World, tmp_path: Path) -> None:
    async def main() -> None:
        transport, protocol, peer = await full(world, tmp_path)
        transport.set_write_buffer_limits(high=3000, low=1500)
        for _ in range(3):
            transport.sendto(bytes(900))
        assert protocol.told == [("made",)]
        for _ in range(3):
            transport.sendto(bytes(900))
        assert protocol.told == [("made",), ("pause",)]
        while len(protocol.told) == 2:
            taken(peer)
            await asyncio.sleep(0)
        assert protocol.told == [("made",), ("pause",), ("resume",)]
        assert transport.get_write_buffer_size() <= 1500
        transport.abort()

    world.counts()
    world.run(main)


def test_what_is_queued_is_sent_before_the_end(world: World, tmp_path: Path) -> None:
    async def main() -> None:
        transport, protocol, peer = await full(world, tmp_path)
        transport.sendto(b"last")
        transport.close()
        transport.sendto(b"very last")  # it is not the end yet
        await rounds()
        assert protocol.told == [("made",)]
        got: list[bytes] = []
        while len(got) < 2:
            got += taken(peer)
            await asyncio.sleep(0)
        assert got == [b"last", b"very last"]
        await until(lambda: len(protocol.told) == 2)
        assert protocol.told == [("made",), ("lost", None)]
        assert "closed" in repr(transport)

    world.run(main)
    assert world.troubles == []


def test_abort_throws_away_what_is_queued(world: World, tmp_path: Path) -> None:
    async def main() -> None:
        transport, protocol, peer = await full(world, tmp_path)
        transport.sendto(b"never")
        transport.abort()
        transport.abort()
        assert protocol.told == [("made",)]
        await rounds()
        assert protocol.told == [("made",), ("lost", None)]
        if world.native:  # asyncio forgets to count it before 3.15
            assert transport.get_write_buffer_size() == 0
        assert taken(peer) == []

    world.run(main)
    assert world.troubles == []


@pytest.mark.parametrize("end", ["close", "abort"])
def test_ended_while_it_is_told_to_resume(world: World, tmp_path: Path, end: str) -> None:
    if not world.native:
        pytest.skip("asyncio calls connection_lost() twice, once of nobody")

    class Ending(Recorder):
        def resume_writing(self) -> None:
            super().resume_writing()
            getattr(self.transport, end)()

    async def main() -> None:
        transport, protocol, peer = await full(world, tmp_path, Ending())
        transport.set_write_buffer_limits(high=0)
        while protocol.count("lost") == 0:
            taken(peer)
            await asyncio.sleep(0)
        await rounds()
        assert protocol.told == [("made",), ("pause",), ("resume",), ("lost", None)]

    world.run(main)
    assert world.troubles == []


def test_sends_while_it_is_told_to_resume(world: World, tmp_path: Path) -> None:
    world.counts()

    class Sending(Recorder):
        def resume_writing(self) -> None:
            super().resume_writing()
            if self.count("resume") == 1:
                for number in range(20):
                    self.transport.sendto(b"%d" % number)

    async def main() -> None:
        transport, protocol, peer = await full(world, tmp_path, Sending())
        transport.set_write_buffer_limits(high=0)
        got: list[bytes] = []
        while len(got) < 20:
            got += taken(peer)
            await asyncio.sleep(0)
        assert got == [b"%d" % number for number in range(20)]
        await until(lambda: is_sent(transport))
        assert protocol.count("pause") == protocol.count("resume")
        transport.close()

    world.run(main)
    assert world.troubles == []


def test_the_peer_goes_while_it_is_full(world: World, tmp_path: Path) -> None:
    """Every datagram that is queued fails and is told of, one an event; the transport goes on."""

    async def main() -> None:
        transport, protocol, peer = await full(world, tmp_path)
        transport.sendto(b"second")
        transport.sendto(b"third")
        peer.close()
        await until(lambda: protocol.count("error") == 3)
        await until(lambda: is_sent(transport))
        await rounds()
        # The first error undoes the connection (unix_dgram_sendmsg() of the kernel), and there is none for the others.
        assert protocol.told == [("made",), ("error", ConnectionRefusedError), ("error", OSError), ("error", OSError)]
        assert not transport.is_closing()
        transport.close()
        await rounds()
        assert protocol.told[-1] == ("lost", None)

    world.run(main)
    assert world.troubles == []


def test_aborted_by_an_error_of_what_is_queued(world: World, tmp_path: Path) -> None:
    async def main() -> None:
        transport, protocol, peer = await full(world, tmp_path, Recorder(on_error=lambda _: transport.abort()))
        transport.sendto(b"second")
        peer.close()
        await until(lambda: protocol.count("lost"))
        await rounds()
        assert protocol.told == [("made",), ("error", ConnectionRefusedError), ("lost", None)]

    world.run(main)
    assert world.troubles == []


def test_sends_after_the_end(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """They are thrown away, and complained of from the sixth on."""
    peer = world.socket(bind=LOCAL)

    async def main() -> None:
        transport, protocol = await endpoint(remote_addr=peer.getsockname())
        transport.close()
        for _ in range(5):
            transport.sendto(b"late")
        assert caplog.messages.count("socket.send() raised exception.") == 1
        await rounds()
        transport.sendto(b"late")
        assert caplog.messages.count("socket.send() raised exception.") == 2
        assert protocol.told == [("made",), ("lost", None)]
        peer.setblocking(False)
        with pytest.raises(BlockingIOError):
            peer.recv(10)

    with caplog.at_level(logging.WARNING, "asyncio"):
        world.run(main)


def test_sends_after_the_end_without_connection(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Until connection_lost() there is a socket, and it sends."""
    peer = world.socket(bind=LOCAL)

    async def main() -> None:
        transport, protocol = await endpoint()
        transport.close()
        transport.sendto(b"bye", peer.getsockname())
        assert peer.recv(10) == b"bye"
        await rounds()
        if world.native:  # asyncio has neither socket nor loop any more, and AttributeErrors for both
            for _ in range(6):
                transport.sendto(b"late", peer.getsockname())
            assert caplog.messages == ["socket.send() raised exception."] * 2
        assert protocol.told == [("made",), ("lost", None)]
        transport.close()
        transport.abort()
        transport.pause_reading()
        transport.resume_reading()
        await rounds()
        assert protocol.told == [("made",), ("lost", None)]

    with caplog.at_level(logging.WARNING, "asyncio"):
        world.run(main)
    assert world.troubles == []


def test_left_open(world: World) -> None:
    async def main() -> None:
        transport, _ = await endpoint()
        transport.pause_reading()
        await rounds()
        fd = transport.get_extra_info("socket").fileno()
        del transport, _
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            gc.collect()
        # Its socket is in the same cycle, and may be the first to be asked.
        assert any(re.match(f"unclosed transport <.*fd={fd}", str(warning.message)) for warning in told)

    world.run(main)
