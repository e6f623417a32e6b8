"""The contract of event loops: transports of pipes, FIFOs and pseudo-terminals, and subprocesses."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tty
from typing import TYPE_CHECKING, Any

from loopwright.testing._loop_stage import QUIET, LoopTests, Recorder, eventually, unix_pair

if TYPE_CHECKING:
    from loopwright.testing._loop_stage import Stage

__all__ = ["LoopPipes"]


async def _reading(stage: Stage, file: Any, recorder: Any = None) -> tuple[Any, Any]:
    recorder = Recorder() if recorder is None else recorder
    transport, _ = await stage.loop.connect_read_pipe(lambda: recorder, file)
    return stage.keep(transport), recorder


async def _writing(stage: Stage, file: Any, recorder: Any = None) -> tuple[Any, Any]:
    recorder = Recorder() if recorder is None else recorder
    transport, _ = await stage.loop.connect_write_pipe(lambda: recorder, file)
    return stage.keep(transport), recorder


async def _drain(file: Any, count: int) -> bytes:
    parts = b""
    while len(parts) < count:
        part = file.read(count - len(parts))
        if part == b"":
            break
        if part is None:
            await asyncio.sleep(0.0005)
        else:
            parts += part
    return parts


class LoopPipes(LoopTests):
    """Pipes are transports like others, one way each."""

    def test_reading_a_pipe(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                read, write = stage.pipe()
                number = read.fileno()
                transport, recorder = await _reading(stage, read)
                assert recorder.names == ["connection_made"]
                write.write(b"hello")
                assert await recorder.until_data(5) == b"hello"
                assert isinstance(transport, asyncio.ReadTransport)
                assert transport.get_extra_info("pipe") is read
                assert str(number) in repr(transport)
                write.close()
                assert await recorder.lost() is None
                assert recorder.names == ["connection_made", "data_received", "eof_received", "connection_lost"]
                assert read.closed

            stage.run(main())

    def test_reading_a_pipe_can_be_paused(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                read, write = stage.pipe()
                transport, recorder = await _reading(stage, read)
                transport.pause_reading()
                write.write(b"held")
                await asyncio.sleep(QUIET)
                assert recorder.data == b""
                transport.resume_reading()
                assert await recorder.until_data(4) == b"held"
                transport.pause_reading()
                write.write(b"more")
                write.close()
                await asyncio.sleep(QUIET)
                assert recorder.names == ["connection_made", "data_received"]
                transport.resume_reading()
                await recorder.lost()
                assert recorder.data == b"heldmore"

            stage.run(main())

    def test_closing_a_pipe_that_is_read(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                read, write = stage.pipe()
                transport, recorder = await _reading(stage, read)
                write.write(b"too late")
                transport.close()
                transport.close()
                assert transport.is_closing()
                assert await recorder.lost() is None
                assert recorder.names == ["connection_made", "connection_lost"]
                try:
                    write.write(b"x")
                except BrokenPipeError:
                    return
                raise AssertionError("the pipe is still open")

            stage.run(main())

    def test_writing_a_pipe(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                read, write = stage.pipe()
                transport, recorder = await _writing(stage, write)
                assert isinstance(transport, asyncio.WriteTransport)
                assert transport.get_extra_info("pipe") is write
                for data in (b"bytes", bytearray(b"bytearray"), memoryview(b"a view")[2:]):
                    transport.write(data)
                    assert await _drain(read, len(data)) == bytes(data)
                transport.writelines([b"a", b"b", b""])
                assert await _drain(read, 2) == b"ab"
                assert transport.can_write_eof()
                transport.write_eof()
                await recorder.lost()
                assert read.read(1) == b""

            stage.run(main())

    def test_much_through_a_pipe(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                read, write = stage.pipe()
                sending, sender = await _writing(stage, write)
                _, receiver = await _reading(stage, read)
                data = os.urandom(2_000_000)
                sending.write(data)
                assert sender.count("pause_writing") == 1
                sending.write(b"last")
                sending.close()
                assert await receiver.until_data(len(data) + 4) == data + b"last"
                assert await sender.lost() is None
                assert await receiver.lost() is None
                assert sender.names[:2] == ["connection_made", "pause_writing"]

            stage.run(main())

    def test_aborting_a_pipe_that_is_written(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                read, write = stage.pipe()
                transport, recorder = await _writing(stage, write)
                transport.write(b"x" * 1_000_000)
                transport.abort()
                assert await recorder.lost() is None
                assert len(await _drain(read, 1_000_000)) < 1_000_000

            stage.run(main())

    def test_a_reader_that_closes_its_end_is_told_of_while_nothing_is_written(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                read, write = stage.pipe()
                transport, recorder = await _writing(stage, write)
                await asyncio.sleep(0)
                read.close()
                await recorder.lost()
                assert transport.is_closing()
                assert write.closed

            stage.run(main())

    def test_a_reader_that_closes_its_end_while_much_is_written(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                read, write = stage.pipe()
                transport, recorder = await _writing(stage, write)
                transport.write(b"x" * 1_000_000)
                await asyncio.sleep(0.001)
                read.close()
                reason = await recorder.lost()
                assert reason is None or isinstance(reason, BrokenPipeError)
                assert write.closed

            stage.run(main())

    def test_writing_to_a_pipe_that_nobody_reads_any_more(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                read, write = stage.pipe()
                transport, recorder = await _writing(stage, write)
                read.close()
                transport.write(b"x")
                reason = await recorder.lost()
                assert reason is None or isinstance(reason, BrokenPipeError)
                for _ in range(3):
                    transport.write(b"x")

            stage.run(main())

    def test_a_socket_as_a_pipe(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                mine, theirs = unix_pair()
                stage.keep(theirs)
                transport, recorder = await _reading(stage, mine)
                theirs.send(b"x")
                await recorder.until_data(1)
                theirs.close()
                await recorder.lost()
                mine, theirs = unix_pair()
                stage.keep(theirs)
                transport, recorder = await _writing(stage, mine)
                transport.write(b"y")
                await eventually(lambda: theirs.recv(1) == b"y")
                theirs.close()
                await recorder.lost()

            stage.run(main())

    def test_a_pseudo_terminal(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                master, terminal = os.openpty()
                tty.setraw(terminal)
                there = stage.keep(open(terminal, "rb", 0))  # noqa: PTH123, SIM115, ASYNC230 - kept
                os.set_blocking(master, False)
                reading = stage.keep(open(os.dup(master), "rb", 0))  # noqa: PTH123, SIM115, ASYNC230 - kept
                writing = stage.keep(open(master, "wb", 0))  # noqa: PTH123, SIM115, ASYNC230 - kept
                source, heard = await _reading(stage, reading)
                sink, _ = await _writing(stage, writing)
                os.write(terminal, b"from the terminal")
                await heard.until_data(17)
                sink.write(b"to the terminal")
                assert await _drain(there, 15) == b"to the terminal"
                sink.close()
                source.close()
                await heard.lost()

            stage.run(main())

    def test_a_terminal_that_is_hung_up(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                master, terminal = os.openpty()
                tty.setraw(terminal)
                reading = stage.keep(open(master, "rb", 0))  # noqa: PTH123, SIM115, ASYNC230 - kept
                _, heard = await _reading(stage, reading)
                os.write(terminal, b"last words")
                await heard.until_data(10)
                os.close(terminal)
                reason = await heard.lost()  # Linux says EIO where others say end of file
                assert reason is None or isinstance(reason, OSError)

            stage.run(main())

    def test_what_is_no_pipe_is_refused(self) -> None:
        with self.stage() as stage, open(__file__, "rb", 0) as file:  # noqa: PTH123 - its descriptor is what is wanted

            async def main() -> None:
                for connect in (stage.loop.connect_read_pipe, stage.loop.connect_write_pipe):
                    duplicate = open(os.dup(file.fileno()), "rb", 0)  # noqa: PTH123, SIM115, ASYNC230
                    with contextlib.closing(duplicate):
                        try:
                            await connect(Recorder, duplicate)
                        except ValueError:
                            continue
                        raise AssertionError("took a regular file for a pipe")

            stage.run(main())

    def test_a_cancelled_connection_to_a_pipe_closes_it(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                for connect, index in ((stage.loop.connect_read_pipe, 0), (stage.loop.connect_write_pipe, 1)):
                    ends = stage.pipe()
                    task = asyncio.ensure_future(connect(Recorder, ends[index]))
                    await asyncio.sleep(0)
                    task.cancel()
                    try:
                        transport, _ = await task
                    except asyncio.CancelledError:
                        pass
                    else:
                        transport.close()
                    await eventually(lambda end=ends[index]: end.closed)  # type: ignore[misc]

            stage.run(main())

    # Subprocesses

    def test_a_subprocess_is_written_to_and_read_from(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                process = await asyncio.create_subprocess_exec(
                    "cat", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
                )
                data = os.urandom(500_000)
                assert (await process.communicate(data))[0] == data
                assert process.returncode == 0

            asyncio.set_event_loop(stage.loop)  # where asyncio's watcher up to 3.11 looks for it
            try:
                stage.run(main())
            finally:
                asyncio.set_event_loop(None)
