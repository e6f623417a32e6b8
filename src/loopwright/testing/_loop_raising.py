"""The contract of event loops: protocols that raise, in each of their methods."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

from loopwright.testing._loop_props import deaf_udp
from loopwright.testing._loop_stage import BufferedRecorder, DatagramRecorder, LoopTests, Notes, Recorder, eventually

if TYPE_CHECKING:
    from loopwright.testing._loop_stage import Peer, Stage

__all__ = ["LoopRaising"]


class OnPurposeError(Exception):
    """What the protocols of these tests raise."""


def _raise(*_: Any) -> None:
    raise OnPurposeError


class LoopRaising(LoopTests):
    """An exception in a protocol is reported, with the transport and the protocol; it ends that connection, and no
    other, and `connection_lost()` is called all the same."""

    def test_raising_in_connection_made(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                recorder = Recorder(connection_made=_raise)
                transport, peer = await stage.connected(recorder)
                self._check_reported(stage)
                assert not transport.is_closing()  # asyncio's own way: it is a callback like any other
                peer.sock.send(b"x")
                await recorder.until_data(1)

            stage.run(main())

    def test_raising_in_data_received(self) -> None:
        self._check_fatal(Recorder(data_received=_raise), lambda peer: peer.sock.send(b"x"), "data_received")

    def test_raising_in_eof_received(self) -> None:
        self._check_fatal(Recorder(eof_received=_raise), lambda peer: peer.end(), "eof_received")

    def test_raising_in_get_buffer(self) -> None:
        self._check_fatal(BufferedRecorder(get_buffer=_raise), lambda peer: peer.sock.send(b"x"), "get_buffer")

    def test_raising_in_buffer_updated(self) -> None:
        self._check_fatal(BufferedRecorder(buffer_updated=_raise), lambda peer: peer.sock.send(b"x"), "buffer_updated")

    def test_raising_in_eof_received_of_a_buffered_protocol(self) -> None:
        self._check_fatal(BufferedRecorder(eof_received=_raise), lambda peer: peer.end(), "eof_received")

    def test_a_buffer_without_room_is_an_error(self) -> None:
        with self.stage() as stage:
            stage.run(self._get_buffer_gives(stage, lambda *_: bytearray(), RuntimeError))

    def test_a_buffer_that_is_none_is_an_error(self) -> None:
        for wrong in (None, 1, "text"):
            with self.stage() as stage:
                stage.run(self._get_buffer_gives(stage, lambda *_, wrong=wrong: wrong, TypeError))

    def test_a_buffer_that_cannot_be_written_is_an_error(self) -> None:
        with self.stage() as stage:
            stage.run(self._get_buffer_gives(stage, lambda *_: b"read-only", (TypeError, BufferError)))

    async def _get_buffer_gives(self, stage: Stage, get_buffer: Any, error: Any) -> None:
        recorder = BufferedRecorder(get_buffer=get_buffer)
        _, peer = await stage.connected(recorder)
        await peer.write(b"x")
        assert isinstance(await recorder.lost(), error)
        context = stage.the_report()
        assert isinstance(context["exception"], error)

    def test_raising_in_connection_lost(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                for end in ("close", "abort", "peer closes", "peer resets"):
                    recorder = Recorder(connection_lost=_raise)
                    transport, peer = await stage.connected(recorder)
                    number = transport.get_extra_info("socket").fileno()
                    if end == "peer closes":
                        peer.close()
                    elif end == "peer resets":
                        peer.reset()
                    else:
                        getattr(transport, end)()
                    await recorder.lost()
                    await asyncio.sleep(0)
                    self._check_reported(stage)
                    again, _ = stage.pair("unix")
                    numbers = [again.fileno()]
                    while numbers[-1] < number:
                        numbers.append(stage.pair("unix")[0].fileno())
                    assert peer is not None

            stage.run(main())

    def test_raising_in_pause_writing_is_reported_and_nothing_more(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                recorder = Recorder(pause_writing=_raise)
                transport, peer = await stage.connected(recorder)
                transport.write(b"x" * 5_000_000)
                transport.write(b"more")
                await recorder.until("pause_writing")
                context = self._check_reported(stage)
                assert context["transport"] is transport
                assert context["protocol"] is recorder
                assert "pause_writing" in context["message"]
                assert len(await peer.read(5_000_004)) == 5_000_004
                await recorder.until("resume_writing")

            stage.run(main())

    def test_raising_in_resume_writing_is_reported_and_nothing_more(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                recorder = Recorder(resume_writing=_raise)
                transport, peer = await stage.connected(recorder)
                transport.write(b"x" * 5_000_000)
                assert len(await peer.read(5_000_000)) == 5_000_000
                await recorder.until("resume_writing")
                context = self._check_reported(stage)
                assert context["transport"] is transport
                assert context["protocol"] is recorder
                assert "resume_writing" in context["message"]
                transport.write(b"goes on")
                assert await peer.read(7) == b"goes on"

            stage.run(main())

    def test_one_that_raises_disturbs_no_other(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                bad, good = Recorder(data_received=_raise), Recorder()
                _, bad_peer = await stage.connected(bad)
                _, good_peer = await stage.connected(good)
                bad_peer.sock.send(b"x")
                good_peer.sock.send(b"x")
                await good.until_data(1)
                await bad.lost()
                self._check_reported(stage)
                good_peer.sock.send(b"y")
                await good.until_data(2)

            stage.run(main())

    # Datagrams

    def test_raising_in_datagram_received(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                recorder = DatagramRecorder(datagram_received=_raise)
                transport, _ = await stage.loop.create_datagram_endpoint(lambda: recorder, local_addr=("127.0.0.1", 0))
                stage.keep(transport)
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                    for count in (1, 2):
                        sender.sendto(b"x", transport.get_extra_info("sockname"))
                        await recorder.until("datagram_received", count)
                await asyncio.sleep(0)
                reported = stage.reported()
                assert len(reported) == 2
                assert all(isinstance(context["exception"], OnPurposeError) for context in reported)
                assert not transport.is_closing()

            stage.run(main())

    def test_raising_in_error_received(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                address = deaf_udp(stage).getsockname()
                recorder = DatagramRecorder(error_received=_raise)
                transport, _ = await stage.loop.create_datagram_endpoint(lambda: recorder, remote_addr=address)
                stage.keep(transport)
                transport.sendto(b"to nobody")
                await recorder.until("error_received")
                await asyncio.sleep(0)
                self._check_reported(stage)

            stage.run(main())

    # Pipes

    def test_raising_in_a_protocol_of_a_pipe(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                for method in ("data_received", "eof_received", "connection_lost"):
                    read, write = stage.pipe()
                    recorder = Recorder(**{method: _raise})
                    transport, _ = await stage.loop.connect_read_pipe(lambda recorder=recorder: recorder, read)
                    stage.keep(transport)
                    write.write(b"x")
                    await recorder.until(method if method == "data_received" else "connection_made")
                    write.close()
                    if method == "data_received":
                        await asyncio.sleep(0.005)
                        transport.close()  # as a callback like any other: asyncio does not close it
                    await recorder.lost()
                    await eventually(lambda: stage.contexts)
                    await asyncio.sleep(0)
                    reported = stage.reported()
                    assert all(isinstance(context["exception"], OnPurposeError) for context in reported), reported

            stage.run(main())

    def test_raising_in_a_protocol_of_a_pipe_written_to(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                for method in ("pause_writing", "resume_writing", "connection_lost"):
                    read, write = stage.pipe()
                    recorder = Recorder(**{method: _raise})
                    transport, _ = await stage.loop.connect_write_pipe(lambda recorder=recorder: recorder, write)
                    stage.keep(transport)
                    transport.write(b"x" * 200_000)
                    received = 0
                    while received < 200_000:
                        received += len(read.read(65536) or b"")
                        await asyncio.sleep(0)
                    if method == "connection_lost":
                        transport.close()
                    await recorder.until(method)
                    await asyncio.sleep(0)
                    self._check_reported(stage)
                    transport.close()
                    await recorder.lost()
                    stage.reported()

            stage.run(main())

    # How it is tried

    def _check_fatal(self, recorder: Notes, provoke: Any, method: str) -> None:
        with self.stage() as stage:

            async def main() -> None:
                transport, peer = await stage.connected(recorder)
                provoke(peer)
                assert isinstance(await recorder.lost(), OnPurposeError)
                context = self._check_reported(stage)
                assert context["transport"] is transport
                assert context["protocol"] is recorder
                assert method in context["message"], context
                assert transport.is_closing()
                await self._check_ended(peer)

            stage.run(main())

    def _check_reported(self, stage: Stage) -> dict[str, Any]:
        context = stage.the_report()
        assert isinstance(context["exception"], OnPurposeError)
        assert context["message"]
        return context

    async def _check_ended(self, peer: Peer) -> None:
        try:
            assert await peer.rest() == b""
        except ConnectionResetError:
            return  # it had not read all
