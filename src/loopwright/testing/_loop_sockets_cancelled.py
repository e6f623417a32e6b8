# mypy: disable-error-code="no-untyped-call"
"""The contract of event loops: the `sock_*` methods, cancelled while they wait."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

from loopwright.testing._loop_props import cancelled, listening, udp
from loopwright.testing._loop_stage import QUIET, LoopTests, eventually
from loopwright.testing._watcher_apart import open_descriptors

if TYPE_CHECKING:
    from loopwright.testing._loop_stage import Stage

__all__ = ["LoopSocketsCancelled"]


class LoopSocketsCancelled(LoopTests):
    """Cancelled, they take nothing and leave nothing."""

    # Cancelled

    def test_cancelled_receipts_take_nothing(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                for kind in ("tcp", "unix"):
                    mine, peer = stage.pair(kind)
                    for call in (
                        lambda mine=mine: stage.loop.sock_recv(mine, 10),
                        lambda mine=mine: stage.loop.sock_recv_into(mine, bytearray(10)),
                    ):
                        await cancelled(call())
                        await peer.write(b"kept")
                        await asyncio.sleep(0.002)
                        assert await stage.loop.sock_recv(mine, 10) == b"kept"

            stage.run(main())

    def test_cancelled_receipts_of_datagrams_take_nothing(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                mine, other = stage.keep(udp()), stage.keep(udp())
                await cancelled(stage.loop.sock_recvfrom(mine, 10))
                await cancelled(stage.loop.sock_recvfrom_into(mine, bytearray(10)))
                other.sendto(b"kept", mine.getsockname())
                await asyncio.sleep(0.002)
                assert await stage.loop.sock_recvfrom(mine, 10) == (b"kept", other.getsockname())

            stage.run(main())

    def test_a_receipt_cancelled_in_the_very_pass_in_which_something_came(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                mine, peer = stage.pair("unix")
                received = b""
                for number in range(20):
                    task = asyncio.ensure_future(stage.loop.sock_recv(mine, 10))
                    await asyncio.sleep(0)
                    await asyncio.sleep(0)
                    peer.sock.send(bytes([number]))
                    for _ in range(number % 4):
                        await asyncio.sleep(0)
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        received += await task
                    await asyncio.sleep(0)
                while _readable(mine):
                    received += mine.recv(100)
                # Nothing comes twice or out of order. What was received for a task that is cancelled then is lost
                # with asyncio too, at most the one of that pass.
                assert list(received) == sorted(set(received))
                assert len(received) >= 10, received

            stage.run(main())

    def test_a_cancelled_sending_sends_no_more(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                mine, peer = stage.pair("tcp")
                await cancelled(stage.loop.sock_sendall(mine, b"x" * 30_000_000))
                await asyncio.sleep(QUIET)
                ending = asyncio.ensure_future(peer.rest())  # what the kernel has of it may come for a while yet
                await stage.loop.sock_sendall(mine, b"goes on")
                mine.close()
                received = await ending
                assert 7 < len(received) < 30_000_000
                assert received.strip(b"x") == b"goes on"

            stage.run(main())

    def test_a_cancelled_accept_takes_nobody(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                server = stage.keep(listening())
                await cancelled(stage.loop.sock_accept(server))
                mine = stage.keep(socket.create_connection(server.getsockname()))
                await asyncio.sleep(0.002)
                theirs, address = await stage.loop.sock_accept(server)
                theirs.close()
                assert address == mine.getsockname()

            stage.run(main())

    def test_a_cancelled_connect_leaves_nothing(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                full = await _never_accepting(stage)
                before = open_descriptors()
                mine = socket.socket()
                mine.setblocking(False)
                await cancelled(stage.loop.sock_connect(mine, full.getsockname()))
                assert stage.loop.remove_writer(mine) is False, "a writer was left"
                mine.close()
                assert open_descriptors() <= before
                # The number is free for another use at once
                again, peer = stage.pair("unix")
                await peer.write(b"x")
                assert await stage.loop.sock_recv(again, 1) == b"x"

            stage.run(main())

    def test_a_cancelled_wait_leaves_the_descriptor_free_for_a_reader(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                mine, peer = stage.pair("unix")
                await cancelled(stage.loop.sock_recv(mine, 10))
                seen: list[bytes] = []
                stage.loop.add_reader(mine, lambda: seen.append(mine.recv(10)))
                await peer.write(b"x")
                await eventually(lambda: seen == [b"x"])
                assert stage.loop.remove_reader(mine) is True
                assert stage.loop.remove_reader(mine) is False

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
