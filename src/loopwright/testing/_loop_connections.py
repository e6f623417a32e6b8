# mypy: disable-error-code="no-untyped-call"
"""The contract of event loops: connections to servers, and files sent over them."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from typing import TYPE_CHECKING

from loopwright.testing._loop_props import HERE, Serving, deaf
from loopwright.testing._loop_stage import QUIET, LoopTests, Recorder, eventually
from loopwright.testing._watcher_apart import open_descriptors

if TYPE_CHECKING:
    pass

__all__ = ["LoopConnections"]


class LoopConnections(LoopTests):
    """What fails or is cancelled on the way leaves nothing."""

    # Connections

    def test_connecting_to_nobody_is_refused(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                address = deaf(stage)
                before = open_descriptors()
                for connect in (
                    lambda: stage.loop.create_connection(Recorder, *address),
                    lambda: stage.loop.create_connection(Recorder, *address, local_addr=(HERE, 0)),
                ):
                    try:
                        await connect()
                    except ConnectionRefusedError:
                        assert open_descriptors() <= before
                        continue
                    raise AssertionError("connected to nobody")

            stage.run(main())

    def test_a_connection_cancelled_at_every_pass_leaves_nothing(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                serving = Serving(stage)
                await serving.start()
                for passes in range(12):
                    before = open_descriptors()
                    made: list[Recorder] = []

                    def make(made: list[Recorder] = made) -> Recorder:
                        made.append(Recorder())
                        return made[-1]

                    task = asyncio.ensure_future(stage.loop.create_connection(make, *serving.address))
                    for _ in range(passes):
                        await asyncio.sleep(0)
                    task.cancel()
                    try:
                        transport, _ = await task
                    except asyncio.CancelledError:
                        pass
                    else:
                        transport.abort()
                    await asyncio.sleep(0.002)
                    for recorder in made:
                        if recorder.count("connection_made"):
                            assert recorder.count("connection_lost") == 1, (passes, recorder.notes)
                    await eventually(lambda: all(each.count("connection_lost") for each in serving.recorders))
                    # The server may have accepted it only now, and see its end in a moment.
                    await eventually(lambda before=before: open_descriptors() <= before)  # type: ignore[misc]
                await serving.stop()

            stage.run(main())

    def test_a_connection_cancelled_while_the_other_end_does_not_answer(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                server = stage.keep(socket.socket())
                server.bind((HERE, 0))
                server.listen(0)
                for _ in range(5):
                    client = stage.keep(socket.socket())
                    client.setblocking(False)
                    client.connect_ex(server.getsockname())
                    await asyncio.sleep(0.002)
                before = open_descriptors()
                try:
                    async with asyncio.timeout(0.01):
                        await stage.loop.create_connection(Recorder, *server.getsockname())
                except TimeoutError:
                    await asyncio.sleep(0)
                    assert open_descriptors() <= before
                    return
                raise AssertionError("connected to a full queue")

            stage.run(main())

    def test_arguments_that_contradict_each_other_are_refused(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                mine, _ = stage.pair("tcp")
                datagrams = stage.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                for call in (
                    lambda: stage.loop.create_connection(Recorder),
                    lambda: stage.loop.create_connection(Recorder, HERE, 1, sock=mine),
                    lambda: stage.loop.create_connection(Recorder, sock=datagrams),
                    lambda: stage.loop.create_connection(Recorder, HERE, 1, server_hostname="x"),
                    lambda: stage.loop.create_server(Recorder, HERE, 1, sock=mine),
                    lambda: stage.loop.create_server(Recorder),
                    lambda: stage.loop.create_unix_connection(Recorder),
                    lambda: stage.loop.create_unix_connection(Recorder, sock=datagrams),
                    lambda: stage.loop.create_datagram_endpoint(Recorder, sock=mine),
                ):
                    try:
                        await call()
                    except ValueError:
                        continue
                    raise AssertionError("took arguments that contradict each other")

            stage.run(main())

    # sendfile()

    def test_sending_a_file_between_other_data(self) -> None:
        """What uvloop lacks."""
        with self.stage() as stage, tempfile.TemporaryFile() as file:
            data = os.urandom(1_000_000)
            file.write(data)
            file.flush()

            async def main() -> None:
                for size in (10, 500_000):
                    transport, peer = await stage.connected(Recorder())
                    transport.write(b"x" * size)
                    sending = asyncio.ensure_future(stage.loop.sendfile(transport, file, 100, 800_000))
                    await asyncio.sleep(0)
                    try:
                        transport.write(b"in between")
                    except RuntimeError:
                        pass
                    else:
                        raise AssertionError("wrote while a file is being sent")
                    assert await peer.read(size + 800_000) == b"x" * size + data[100:800_100]
                    assert await sending == 800_000
                    assert file.tell() == 800_100
                    transport.write(b"after it")
                    assert await peer.read(8) == b"after it"
                    await peer.write(b"still heard")
                    await transport.get_protocol().until_data(11)

            stage.run(main())

    def test_sending_a_file_cancelled(self) -> None:
        with self.stage() as stage, tempfile.TemporaryFile() as file:
            file.truncate(50_000_000)

            async def main() -> None:
                transport, peer = await stage.connected(Recorder())
                task = asyncio.ensure_future(stage.loop.sendfile(transport, file))
                await asyncio.sleep(QUIET)
                task.cancel()
                try:
                    await task
                except asyncio.CancelledError:
                    pass
                else:
                    raise AssertionError("sent all, cancelled or not")
                transport.write(b"goes on")
                transport.close()
                received = await peer.rest()
                assert len(received) < 50_000_000
                assert received.strip(b"\0") == b"goes on"

            stage.run(main())

    def test_sending_a_file_to_a_peer_that_goes(self) -> None:
        with self.stage() as stage, tempfile.TemporaryFile() as file:
            file.truncate(50_000_000)

            async def main() -> None:
                recorder = Recorder()
                transport, peer = await stage.connected(recorder)
                task = asyncio.ensure_future(stage.loop.sendfile(transport, file))
                await asyncio.sleep(QUIET)
                peer.reset()
                try:
                    await task
                except OSError:
                    pass
                else:
                    raise AssertionError("sent all to nobody")
                transport.abort()
                await recorder.lost()

            stage.run(main())
