"""The contract of event loops: stream transports of sockets while all goes well."""

from __future__ import annotations

import array
import asyncio
import contextvars
import os
import socket
from typing import Any

from loopwright.testing._loop_stage import QUIET, BufferedRecorder, LoopTests, Recorder, eventually

__all__ = ["LoopStreams"]

KINDS = ("tcp", "unix")
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


class LoopStreams(LoopTests):
    """What is written arrives, whole and in order, and what is said of a transport is so."""

    def test_a_conversation(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                for kind in KINDS:
                    for recorder in (Recorder(), BufferedRecorder()):
                        transport, peer = await stage.connected(recorder, kind)
                        assert recorder.names == ["connection_made"]
                        assert recorder.transport is transport
                        transport.write(b"question")
                        assert await peer.read(8) == b"question"
                        await peer.write(b"answer")
                        assert await recorder.until_data(6) == b"answer"
                        peer.end()
                        assert await recorder.lost() is None
                        assert recorder.names == ["connection_made", "data_received", "eof_received", "connection_lost"]
                        assert await peer.rest() == b""

            stage.run(main())

    def test_received_data_is_bytes_of_its_own(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                recorder = Recorder()
                _, peer = await stage.connected(recorder)
                for number in range(20):
                    await peer.write(bytes([number]) * 1000)
                    await recorder.until_data(1000 * (number + 1))
                assert all(type(note[1]) is bytes for note in recorder.notes if note[0] == "data_received")
                assert recorder.data == b"".join(bytes([number]) * 1000 for number in range(20))

            stage.run(main())

    def test_writing_every_shape_of_data(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                for kind in KINDS:
                    transport, peer = await stage.connected(Recorder(), kind)
                    for data in (b"bytes", bytearray(b"bytearray"), memoryview(b"view"), memoryview(b"a part")[2:]):
                        transport.write(data)
                        assert await peer.read(len(data)) == bytes(data)
                    transport.write(b"")
                    transport.write(memoryview(b""))
                    integers = array.array("I", range(50))
                    transport.write(memoryview(integers))
                    assert await peer.read(200) == integers.tobytes()
                    transport.writelines([b"a", bytearray(b"b"), memoryview(b"c"), b"", b"d"])
                    assert await peer.read(4) == b"abcd"
                    transport.writelines(item for item in (b"from ", b"a ", b"generator"))
                    assert await peer.read(16) == b"from a generator"
                    transport.writelines([])
                    transport.writelines([b"", b""])
                    transport.writelines([b"%d " % number for number in range(3000)])  # more than one system call takes
                    expected = b"".join(b"%d " % number for number in range(3000))
                    assert await peer.read(len(expected)) == expected

            stage.run(main())

    def test_what_is_no_data_is_refused(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                for kind in KINDS:
                    transport, peer = await stage.connected(Recorder(), kind)
                    wrong: Any
                    for wrong in ("text", None, 1, [b"list"]):
                        try:
                            transport.write(wrong)
                        except TypeError:
                            continue
                        raise AssertionError(f"wrote {wrong!r}")
                    transport.write(b"goes on")
                    assert await peer.read(7) == b"goes on"

            stage.run(main())

    def test_a_view_with_gaps_is_sent_right_or_refused(self) -> None:
        """asyncio ends the connection, which is a refusal as well."""
        with self.stage() as stage:

            async def main() -> None:
                recorder = Recorder()
                transport, peer = await stage.connected(recorder)
                try:
                    transport.write(memoryview(b"a-b-c-")[::2])
                except (BufferError, TypeError, ValueError):
                    transport.close()
                await asyncio.sleep(0.002)
                transport.close()
                assert await peer.rest() in (b"abc", b"")
                stage.reported()

            stage.run(main())

    def test_what_is_written_may_be_changed_afterwards(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                for kind in KINDS:
                    transport, peer = await stage.connected(Recorder(), kind)
                    buffer = bytearray(b"x" * 5_000_000)
                    transport.write(bytes(buffer))
                    small = bytearray(b"small")
                    transport.write(small)
                    await peer.read(len(buffer))
                    assert await peer.read(5) == b"small"

            stage.run(main())

    def test_much_in_order_both_ways(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                data = os.urandom(2_000_000)
                for kind in KINDS:
                    for recorder in (Recorder(), BufferedRecorder(7777)):
                        transport, peer = await stage.connected(recorder, kind)
                        for start in range(0, len(data), 100_000):
                            transport.write(data[start : start + 100_000])
                        sending = asyncio.ensure_future(peer.write(data))
                        assert await peer.read(len(data)) == data
                        await sending
                        assert await recorder.until_data(len(data)) == data
                        transport.close()
                        assert await peer.rest() == b""

            stage.run(main())

    def test_writing_within_connection_made(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                recorder = Recorder(connection_made=lambda self: self.transport.write(b"hello"))
                _, peer = await stage.connected(recorder)
                assert await peer.read(5) == b"hello"

            stage.run(main())

    # What is told of a transport

    def test_what_a_transport_says_of_itself(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                mine, peer = stage.pair("tcp")
                name, number = mine.getsockname(), mine.fileno()
                recorder = Recorder()
                transport, _ = await stage.loop.create_connection(lambda: recorder, sock=mine)
                stage.keep(transport)
                assert isinstance(transport, asyncio.Transport)
                assert transport.get_extra_info("sockname") == name
                assert transport.get_extra_info("peername") == peer.sock.getsockname()
                inner = transport.get_extra_info("socket")
                assert inner.fileno() == number
                assert inner.family == socket.AF_INET
                assert inner.type == socket.SOCK_STREAM
                assert inner.getsockname() == name
                assert inner.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                assert transport.get_extra_info("sslcontext") is None
                assert transport.get_extra_info("nonsense", "default") == "default"
                assert transport.get_protocol() is recorder
                assert transport.get_write_buffer_size() == 0
                assert transport.get_write_buffer_limits() == (16384, 65536)
                assert str(number) in repr(transport), repr(transport)
                transport.close()
                assert "closing" in repr(transport), repr(transport)
                await recorder.lost()
                assert "closed" in repr(transport), repr(transport)
                assert transport.get_extra_info("sockname") == name

            stage.run(main())

    def test_reading_can_be_paused_and_resumed(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                for kind in KINDS:
                    for recorder in (Recorder(), BufferedRecorder()):
                        transport, peer = await stage.connected(recorder, kind)
                        assert transport.is_reading()
                        transport.pause_reading()
                        transport.pause_reading()
                        assert not transport.is_reading()
                        await peer.write(b"held")
                        await asyncio.sleep(QUIET)
                        assert recorder.data == b""
                        transport.resume_reading()
                        transport.resume_reading()
                        assert transport.is_reading()
                        assert await recorder.until_data(4) == b"held"
                        transport.close()
                        assert not transport.is_reading()
                        transport.pause_reading()
                        transport.resume_reading()
                        assert not transport.is_reading()
                        await recorder.lost()

            stage.run(main())

    def test_reading_can_be_paused_within_connection_made_and_data_received(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                recorder = Recorder(
                    connection_made=lambda self: self.transport.pause_reading(),
                    data_received=lambda self, _: self.transport.pause_reading(),
                )
                transport, peer = await stage.connected(recorder)
                await peer.write(b"first")
                await asyncio.sleep(QUIET)
                assert recorder.data == b""
                transport.resume_reading()
                await recorder.until_data(5)
                await peer.write(b"second")
                peer.end()
                await asyncio.sleep(QUIET)
                assert recorder.data == b"first"
                transport.resume_reading()
                await recorder.until_data(11)
                transport.resume_reading()
                await recorder.lost()

            stage.run(main())

    def test_the_protocol_can_be_changed_to_and_fro_between_the_kinds(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                plain, buffered, last = Recorder(), BufferedRecorder(100), Recorder()
                plain._then["data_received"] = lambda self, _: self.transport.set_protocol(buffered)
                buffered._then["buffer_updated"] = lambda self, _: plain.transport.set_protocol(last)
                transport, peer = await stage.connected(plain)
                await peer.write(b"plain")
                await eventually(lambda: transport.get_protocol() is buffered)
                await peer.write(b"buffered")
                await eventually(lambda: transport.get_protocol() is last)
                await peer.write(b"last")
                await last.until_data(4)
                assert (plain.data, buffered.data, last.data) == (b"plain", b"buffered", b"last")
                peer.close()
                await last.lost()
                assert last.names == ["data_received", "eof_received", "connection_lost"]
                assert plain.count("connection_lost") == buffered.count("connection_lost") == 0

            stage.run(main())

    def test_a_protocol_is_called_in_the_context_the_transport_was_made_in(self) -> None:
        with self.stage() as stage:
            seen: list[str] = []

            def look(*_: Any) -> None:
                seen.append(variable.get())

            async def main() -> None:
                recorder = Recorder(connection_made=look, data_received=look, eof_received=look, connection_lost=look)
                variable.set("made in")
                transport, peer = await stage.connected(recorder)
                variable.set("changed")
                await peer.write(b"x")
                await recorder.until_data(1)
                peer.end()
                await recorder.lost()
                del transport

            stage.run(main())
            assert seen[:3] == ["made in"] * 3
            assert set(seen) <= {"made in"}, seen

    def test_streams_on_top(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                mine, peer = stage.pair("tcp")
                reader, writer = await asyncio.open_connection(sock=mine)
                writer.write(b"line one\n")
                await writer.drain()
                assert await peer.read(9) == b"line one\n"
                await peer.write(b"one\ntwo\nrest")
                peer.end()
                assert await reader.readline() == b"one\n"
                assert await reader.readuntil(b"o\n") == b"two\n"
                assert await reader.read() == b"rest"
                writer.close()
                await writer.wait_closed()

            stage.run(main())
