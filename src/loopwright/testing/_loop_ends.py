# mypy: disable-error-code="no-untyped-call"
"""The contract of event loops: how stream transports end."""

from __future__ import annotations

import asyncio
import contextvars

from loopwright.testing._loop_stage import QUIET, BufferedRecorder, LoopTests, Recorder

__all__ = ["LoopEnds"]

KINDS = ("tcp", "unix")
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


class LoopEnds(LoopTests):
    """They end once, in order, and say so."""

    # Ends

    def test_close_sends_what_was_written_and_then_tells_once(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                for kind in KINDS:
                    recorder = Recorder()
                    transport, peer = await stage.connected(recorder, kind)
                    transport.write(b"x" * 3_000_000)
                    assert not transport.is_closing()
                    transport.close()
                    transport.close()
                    assert transport.is_closing()
                    assert len(await peer.rest()) == 3_000_000
                    assert await recorder.lost() is None
                    transport.close()
                    assert transport.is_closing()

            stage.run(main())

    def test_whatever_is_done_to_a_lost_connection_does_nothing(self) -> None:
        """More than asyncio before 3.15, whose abort() raises after close() had to wait for a buffer."""
        with self.stage() as stage:

            async def main() -> None:
                for kind in KINDS:
                    for size in (1, 3_000_000):
                        recorder = Recorder()
                        transport, peer = await stage.connected(recorder, kind)
                        transport.write(b"x" * size)
                        transport.close()
                        await peer.rest()
                        await recorder.lost()
                        transport.close()
                        transport.abort()
                        transport.pause_reading()
                        transport.resume_reading()
                        transport.write(b"x")
                        assert not transport.is_reading()
                        assert transport.get_write_buffer_size() == 0
                        await asyncio.sleep(QUIET)
                        assert recorder.count("connection_lost") == 1

            stage.run(main())

    def test_connection_lost_is_not_called_within_close(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                for end in ("close", "abort"):
                    recorder = Recorder()
                    transport, _ = await stage.connected(recorder)
                    getattr(transport, end)()
                    assert recorder.count("connection_lost") == 0
                    assert await recorder.lost() is None

            stage.run(main())

    def test_abort_drops_what_was_not_sent(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                for kind in KINDS:
                    recorder = Recorder()
                    transport, peer = await stage.connected(recorder, kind)
                    transport.write(b"x" * 10_000_000)
                    transport.abort()
                    transport.abort()
                    assert transport.get_write_buffer_size() == 0
                    assert await recorder.lost() is None
                    assert len(await peer.rest()) < 10_000_000

            stage.run(main())

    def test_nothing_is_received_after_close(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                for kind in KINDS:
                    recorder = Recorder()
                    transport, peer = await stage.connected(recorder, kind)
                    await peer.write(b"too late")
                    transport.close()
                    await recorder.lost()
                    assert recorder.names == ["connection_made", "connection_lost"]

            stage.run(main())

    def test_closing_within_data_received(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                for recorder in (
                    Recorder(data_received=lambda self, _: self.transport.close()),
                    BufferedRecorder(2, buffer_updated=lambda self, _: self.transport.close()),
                ):
                    _, peer = await stage.connected(recorder)
                    await peer.write(b"data")
                    await recorder.lost()
                    assert recorder.names == ["connection_made", "data_received", "connection_lost"]

            stage.run(main())

    def test_half_closing(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                for kind, size in ((kind, size) for kind in KINDS for size in (0, 10, 1_000_000)):
                    recorder = Recorder()
                    transport, peer = await stage.connected(recorder, kind)
                    assert transport.can_write_eof()
                    transport.write(b"x" * size)
                    transport.write_eof()
                    transport.write_eof()
                    for write, data in ((transport.write, b"more"), (transport.writelines, [b"more"])):
                        try:
                            write(data)
                        except RuntimeError:
                            continue
                        raise AssertionError("wrote after write_eof()")
                    assert len(await peer.rest()) == size
                    await peer.write(b"still heard")
                    assert await recorder.until_data(11) == b"still heard"
                    peer.close()
                    assert await recorder.lost() is None

            stage.run(main())

    def test_a_peer_that_half_closes_can_be_written_to(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                for kind in KINDS:
                    recorder = Recorder(eof_received=lambda self: True)
                    transport, peer = await stage.connected(recorder, kind)
                    await peer.write(b"last words")
                    peer.end()
                    await recorder.until("eof_received")
                    await asyncio.sleep(QUIET)
                    assert recorder.names == ["connection_made", "data_received", "eof_received"]
                    assert not transport.is_closing()
                    transport.write(b"y" * 1_000_000)
                    transport.close()
                    assert len(await peer.rest()) == 1_000_000
                    assert await recorder.lost() is None

            stage.run(main())
