"""The contract of event loops: datagram transports."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from typing import TYPE_CHECKING, Any

from loopwright.testing._loop_props import deaf_udp
from loopwright.testing._loop_stage import QUIET, DatagramRecorder, LoopTests, Peer, eventually

if TYPE_CHECKING:
    from loopwright.testing._loop_stage import Stage

__all__ = ["LoopDatagrams"]

HERE = ("127.0.0.1", 0)


async def _endpoint(stage: Stage, recorder: Any = None, **options: Any) -> tuple[Any, DatagramRecorder]:
    recorder = DatagramRecorder() if recorder is None else recorder
    transport, _ = await stage.loop.create_datagram_endpoint(lambda: recorder, **options)
    return stage.keep(transport), recorder


def _peer(stage: Stage) -> Peer:
    sock = stage.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    sock.bind(HERE)
    sock.setblocking(False)
    return Peer(sock)


async def _receive(peer: Peer) -> tuple[bytes, Any]:
    found: list[tuple[bytes, Any]] = []

    def try_it() -> bool:
        try:
            found.append(peer.sock.recvfrom(1 << 16))
        except BlockingIOError:
            return False
        return True

    await eventually(try_it)
    return found[0]


class LoopDatagrams(LoopTests):
    """Datagrams arrive whole, one by one, with their sender; errors are told of, and end nothing."""

    def test_datagrams_to_and_from_anybody(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                transport, recorder = await _endpoint(stage, local_addr=HERE)
                assert recorder.names == ["connection_made"]
                mine = transport.get_extra_info("sockname")
                peers = [_peer(stage) for _ in range(3)]
                for number, peer in enumerate(peers):
                    peer.sock.sendto(b"from %d" % number, mine)
                await recorder.until("datagram_received", 3)
                names = [peer.sock.getsockname() for peer in peers]
                assert recorder.notes[1:] == [
                    ("datagram_received", b"from %d" % number, name) for number, name in enumerate(names)
                ]
                for number, peer in enumerate(peers):
                    transport.sendto(b"to %d" % number, names[number])
                    assert await _receive(peer) == (b"to %d" % number, mine)
                transport.close()
                assert await recorder.lost() is None

            stage.run(main())

    def test_datagrams_of_every_shape_and_size(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                transport, recorder = await _endpoint(stage, local_addr=HERE)
                peer = _peer(stage)
                name = peer.sock.getsockname()
                for data in (b"bytes", bytearray(b"bytearray"), memoryview(b"a view")[2:], b"x" * 60_000):
                    transport.sendto(data, name)
                    assert (await _receive(peer))[0] == bytes(data)
                big = os.urandom(60_000)
                peer.sock.sendto(big, transport.get_extra_info("sockname"))
                await recorder.until("datagram_received")
                assert recorder.notes[-1][1] == big
                assert type(recorder.notes[-1][1]) is bytes
                wrong: Any
                for wrong in ("text", 1, None):
                    try:
                        transport.sendto(wrong, name)
                    except TypeError:
                        continue
                    raise AssertionError(f"sent {wrong!r}")

            stage.run(main())

    def test_an_empty_datagram_is_received(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                transport, recorder = await _endpoint(stage, local_addr=HERE)
                peer = _peer(stage)
                peer.sock.sendto(b"", transport.get_extra_info("sockname"))
                await recorder.until("datagram_received")
                assert recorder.notes[-1] == ("datagram_received", b"", peer.sock.getsockname())

            stage.run(main())

    def test_an_empty_datagram_is_sent(self) -> None:
        """More than asyncio before 3.13, which sends none."""
        with self.stage() as stage:

            async def main() -> None:
                transport, _ = await _endpoint(stage, local_addr=HERE)
                peer = _peer(stage)
                transport.sendto(b"", peer.sock.getsockname())
                transport.sendto(b"after it", peer.sock.getsockname())
                assert (await _receive(peer))[0] == b""
                assert (await _receive(peer))[0] == b"after it"

            stage.run(main())

    def test_a_connected_endpoint(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                peer, stranger = _peer(stage), _peer(stage)
                name = peer.sock.getsockname()
                transport, recorder = await _endpoint(stage, remote_addr=name)
                assert transport.get_extra_info("peername") == name
                transport.sendto(b"without an address")
                assert (await _receive(peer))[0] == b"without an address"
                transport.sendto(b"with it", name)
                assert (await _receive(peer))[0] == b"with it"
                try:
                    transport.sendto(b"elsewhere", stranger.sock.getsockname())
                except ValueError:
                    pass
                else:
                    raise AssertionError("sent elsewhere by a connected endpoint")
                mine = transport.get_extra_info("sockname")
                stranger.sock.sendto(b"from a stranger", mine)
                peer.sock.sendto(b"from the peer", mine)
                await recorder.until("datagram_received")
                assert recorder.notes[-1][1:] == (b"from the peer", name)

            stage.run(main())

    def test_sending_to_nobody_is_told_of_and_ends_nothing(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                nobody = deaf_udp(stage)
                transport, recorder = await _endpoint(stage, remote_addr=nobody.getsockname())
                transport.sendto(b"to nobody")
                assert isinstance(await recorder.until("error_received"), ConnectionRefusedError)
                assert not transport.is_closing()
                nobody.connect(transport.get_extra_info("sockname"))  # and so is somebody
                for _ in range(3):  # one may be answered with the error of the one before
                    transport.sendto(b"to somebody")
                assert (await _receive(Peer(nobody)))[0] == b"to somebody"

            stage.run(main())

    def test_one_too_big_is_told_of_and_ends_nothing(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                transport, recorder = await _endpoint(stage, local_addr=HERE)
                peer = _peer(stage)
                transport.sendto(b"x" * 70_000, peer.sock.getsockname())
                assert isinstance(await recorder.until("error_received"), OSError)
                transport.sendto(b"goes on", peer.sock.getsockname())
                assert (await _receive(peer))[0] == b"goes on"

            stage.run(main())

    def test_closing_forgets_nothing_that_was_sent(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                transport, recorder = await _endpoint(stage, local_addr=HERE)
                peer = _peer(stage)
                for number in range(10):
                    transport.sendto(b"%d" % number, peer.sock.getsockname())
                transport.close()
                transport.close()
                assert transport.is_closing()
                assert await recorder.lost() is None
                assert [(await _receive(peer))[0] for _ in range(10)] == [b"%d" % number for number in range(10)]
                transport.abort()

            stage.run(main())

    def test_aborting(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                transport, recorder = await _endpoint(stage, local_addr=HERE)
                transport.abort()
                transport.abort()
                assert await recorder.lost() is None

            stage.run(main())

    def test_what_does_not_fit_is_kept_and_writing_paused(self) -> None:
        """Over a Unix socket, whose kernel says when the receiver is full."""
        with self.stage() as stage, tempfile.TemporaryDirectory() as folder:

            async def main() -> None:
                receiver = stage.keep(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
                receiver.bind(f"{folder}/receiver")
                receiver.setblocking(False)
                sender = stage.keep(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
                sender.setblocking(False)
                sender.connect(f"{folder}/receiver")
                transport, recorder = await _endpoint(stage, sock=sender)
                transport.set_write_buffer_limits(high=20_000, low=1000)
                sent = 0
                while not recorder.count("pause_writing"):
                    transport.sendto(b"%06d" % sent + b"x" * 1000)
                    sent += 1
                    assert sent < 10_000, "never paused"
                assert transport.get_write_buffer_size() > 20_000
                transport.close()
                for number in range(sent):
                    data, _ = await _receive(Peer(receiver))
                    assert data[:6] == b"%06d" % number
                assert await recorder.lost() is None

            stage.run(main())

    def test_reading_can_be_closed_within_datagram_received(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                recorder = DatagramRecorder(datagram_received=lambda self, *_: self.transport.close())
                transport, _ = await _endpoint(stage, recorder, local_addr=HERE)
                peer = _peer(stage)
                for _ in range(3):
                    peer.sock.sendto(b"x", transport.get_extra_info("sockname"))
                await recorder.lost()
                assert recorder.names == ["connection_made", "datagram_received", "connection_lost"]

            stage.run(main())

    def test_a_crowd_of_datagrams(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                transport, recorder = await _endpoint(stage, local_addr=HERE)
                peer = _peer(stage)
                for number in range(300):
                    peer.sock.sendto(b"%d" % number, transport.get_extra_info("sockname"))
                    if number % 50 == 49:
                        await recorder.until("datagram_received", number + 1)
                assert [note[1] for note in recorder.notes[1:]] == [b"%d" % number for number in range(300)]

            stage.run(main())

    def test_what_a_datagram_transport_says_of_itself(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                transport, recorder = await _endpoint(stage, local_addr=HERE)
                inner = transport.get_extra_info("socket")
                assert inner.type == socket.SOCK_DGRAM
                assert transport.get_extra_info("sockname") == inner.getsockname()
                assert transport.get_extra_info("peername") is None
                assert transport.get_write_buffer_size() == 0
                assert transport.get_protocol() is recorder
                assert str(inner.fileno()) in repr(transport)
                transport.close()
                assert "clos" in repr(transport)

            stage.run(main())

    def test_sending_after_closing_is_harmless(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                peer = _peer(stage)
                transport, recorder = await _endpoint(stage, remote_addr=peer.sock.getsockname())
                transport.close()
                transport.sendto(b"too late")
                await recorder.lost()
                assert recorder.names == ["connection_made", "connection_lost"]
                await asyncio.sleep(QUIET)

            stage.run(main())
