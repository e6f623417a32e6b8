"""The contract of event loops: stream transports whose peers go, in every way and state."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from loopwright.testing._loop_stage import (
    QUIET,
    BufferedRecorder,
    LoopTests,
    Recorder,
    eventually,
)

__all__ = ["LoopPeers"]

KINDS = ("tcp", "unix")


class LoopPeers(LoopTests):
    """Whoever loses a peer is told once and why, and what came before is not lost."""

    def test_a_reset_is_told_of_in_every_state(self) -> None:
        with self.stage() as stage:
            states: dict[str, Any] = {
                "idle": lambda transport, peer: None,
                "with data that waits to be read": lambda transport, peer: peer.sock.send(b"x"),
                "writing": lambda transport, peer: transport.write(b"x" * 10_000_000),
                "half-closed": lambda transport, peer: transport.write_eof(),
                "half-closed and writing": lambda transport, peer: (
                    transport.write(b"x" * 10_000_000),
                    transport.write_eof(),
                ),
            }

            async def main() -> None:
                for name, bring_about in states.items():
                    for recorder in (Recorder(), BufferedRecorder()):
                        transport, peer = await stage.connected(recorder)
                        bring_about(transport, peer)
                        await asyncio.sleep(0)
                        peer.reset()
                        reason = await recorder.lost()
                        assert isinstance(reason, (ConnectionResetError, BrokenPipeError)), (name, recorder.names)
                        assert recorder.count("eof_received") == 0, (name, recorder.names)
                        assert transport.is_closing()
                        transport.close()
                        transport.abort()

            stage.run(main())

    def test_a_reset_while_closing_ends_it(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                recorder = Recorder()
                transport, peer = await stage.connected(recorder)
                transport.write(b"x" * 10_000_000)
                await asyncio.sleep(0)
                transport.close()
                peer.reset()
                assert isinstance(await recorder.lost(), (ConnectionResetError, BrokenPipeError))

            stage.run(main())

    def test_a_reset_while_reading_is_paused_is_told_of_at_the_latest_when_resumed(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                recorder = Recorder()
                transport, peer = await stage.connected(recorder)
                transport.pause_reading()
                peer.reset()
                await asyncio.sleep(QUIET)
                transport.resume_reading()
                assert isinstance(await recorder.lost(), ConnectionResetError)

            stage.run(main())

    def test_a_reset_while_paused_and_writing(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                recorder = Recorder()
                transport, peer = await stage.connected(recorder)
                transport.pause_reading()
                transport.write(b"x" * 10_000_000)
                await asyncio.sleep(0)
                peer.reset()
                assert isinstance(await recorder.lost(), (ConnectionResetError, BrokenPipeError))

            stage.run(main())

    def test_a_reset_after_the_peer_half_closed(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                recorder = Recorder(eof_received=lambda self: True)
                transport, peer = await stage.connected(recorder)
                peer.end()
                await recorder.until("eof_received")
                peer.reset()
                for _ in range(100):
                    if recorder.count("connection_lost"):
                        break
                    transport.write(b"x" * 1000)
                    await asyncio.sleep(0.001)
                assert isinstance(await recorder.lost(), (ConnectionResetError, BrokenPipeError))
                assert recorder.count("eof_received") == 1

            stage.run(main())

    def test_data_before_a_peer_closes_is_not_lost(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                for kind in KINDS:
                    for recorder in (Recorder(), BufferedRecorder(1000)):
                        transport, peer = await stage.connected(recorder, kind)
                        transport.pause_reading()
                        peer.sock.send(b"x" * 50_000)
                        peer.close()
                        await asyncio.sleep(0.002)
                        transport.resume_reading()
                        assert await recorder.lost() is None
                        assert len(recorder.data) == 50_000
                        assert recorder.names[-2:] == ["eof_received", "connection_lost"]

            stage.run(main())

    def test_writing_to_a_peer_that_is_gone(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                for kind in KINDS:
                    recorder = Recorder(eof_received=lambda self: True)
                    transport, peer = await stage.connected(recorder, kind)
                    peer.close()
                    await recorder.until("eof_received")
                    for _ in range(100):
                        transport.write(b"x" * 1000)
                        if recorder.count("connection_lost"):
                            break
                        await asyncio.sleep(0.001)
                    assert isinstance(await recorder.lost(), (BrokenPipeError, ConnectionResetError))

            stage.run(main())

    def test_writing_on_and_on_after_the_connection_was_lost(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                recorder = Recorder()
                transport, _ = await stage.connected(recorder)
                transport.close()
                await recorder.lost()
                for _ in range(3):
                    transport.write(b"x")
                await asyncio.sleep(0)
                assert recorder.count("connection_lost") == 1

            stage.run(main())

    def test_writing_lists_on_and_on_after_the_connection_was_lost(self) -> None:
        """More than asyncio of 3.12 and 3.13, whose writelines() forgets to look."""
        with self.stage() as stage:

            async def main() -> None:
                for end in ("close", "peer"):
                    recorder = Recorder()
                    transport, peer = await stage.connected(recorder)
                    transport.close() if end == "close" else peer.close()
                    await recorder.lost()
                    for _ in range(3):
                        transport.writelines([b"x", b"y"])
                    await asyncio.sleep(0)
                    assert recorder.count("connection_lost") == 1

            stage.run(main())

    def test_a_socket_shut_down_behind_its_back_ends_it(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                recorder = Recorder()
                transport, _ = await stage.connected(recorder)
                transport.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
                assert await recorder.lost() is None
                assert recorder.count("eof_received") == 1

            stage.run(main())

    def test_many_connections_at_once(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                recorders = []
                for number in range(100):
                    recorder = Recorder(data_received=lambda self, data: self.transport.write(data))
                    _, peer = await stage.connected(recorder, KINDS[number % 2])
                    recorders.append((recorder, peer))
                for number, (_, peer) in enumerate(recorders):
                    peer.sock.send(b"%d" % number)
                for number, (_, peer) in enumerate(recorders):
                    assert await peer.read(len(str(number))) == b"%d" % number
                for _, peer in recorders:
                    peer.close()
                await eventually(lambda: all(recorder.count("connection_lost") for recorder, _ in recorders))

            stage.run(main())
