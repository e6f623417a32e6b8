# mypy: disable-error-code="no-untyped-call"
"""The contract of event loops: servers and connections to them, also when the machine has no descriptor left."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import tempfile
import time
import warnings
from typing import TYPE_CHECKING

from loopwright.testing._loop_props import HERE, Serving, echo
from loopwright.testing._loop_stage import LoopTests, Recorder, eventually, slow
from loopwright.testing._watcher_apart import no_descriptor_left

if TYPE_CHECKING:
    pass

__all__ = ["LoopServers"]


class LoopServers(LoopTests):
    """Who connects is served; nobody is dropped for want of a descriptor; what is cancelled leaves none."""

    def test_serving(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                serving = Serving(stage, data_received=echo)
                server = await serving.start()
                assert server.is_serving()
                assert server.get_loop() is stage.loop
                clients = [serving.client() for _ in range(20)]
                for number, client in enumerate(clients):
                    await client.write(b"%02d" % number)
                for number, client in enumerate(clients):
                    assert await client.read(2) == b"%02d" % number
                names = {recorder.transport.get_extra_info("peername") for recorder in serving.recorders}
                assert names == {client.sock.getsockname() for client in clients}
                await serving.stop()
                assert not server.is_serving()
                assert server.sockets == ()

            stage.run(main())

    def test_a_closed_server_takes_nobody_and_keeps_whom_it_has(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                serving = Serving(stage, data_received=echo)
                server = await serving.start()
                client = serving.client()
                await eventually(lambda: serving.recorders and serving.recorders[0].transport)
                server.close()
                server.close()
                await asyncio.sleep(0)
                with socket.socket() as late:
                    assert late.connect_ex(serving.address) != 0
                await client.write(b"still here")
                assert await client.read(10) == b"still here"
                await serving.stop()

            stage.run(main())

    def test_a_server_that_starts_later(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                serving = Serving(stage)
                server = await serving.start(start_serving=False)
                assert not server.is_serving()
                await server.start_serving()
                assert server.is_serving()
                serving.client()
                await eventually(lambda: serving.recorders)
                task = asyncio.ensure_future(server.serve_forever())
                await asyncio.sleep(0)
                serving.recorders[0].transport.abort()  # or asyncio's of some Pythons, cancelled, waits for it
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
                assert not server.is_serving()
                await serving.stop()

            stage.run(main())

    def test_a_protocol_factory_that_raises_drops_that_connection_only(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                serving = Serving(stage, data_received=echo)
                make, calls = serving.make, []

                def sometimes() -> Recorder:
                    calls.append(1)
                    if len(calls) == 1:
                        raise LookupError("on purpose")
                    return make()

                serving.make = sometimes  # type: ignore[method-assign]  # for the first
                await serving.start()
                first = serving.client()
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ResourceWarning)  # asyncio leaves the socket to the collector
                    await eventually(lambda: calls)
                    await asyncio.sleep(0)
                    gc.collect()
                assert await first.rest() == b""
                second = serving.client()
                await second.write(b"x")
                assert await second.read(1) == b"x"
                stage.reported()  # only in debug mode does asyncio tell
                await serving.stop()

            stage.run(main())

    def test_a_unix_server(self) -> None:
        with self.stage() as stage, tempfile.TemporaryDirectory() as folder:

            async def main() -> None:
                path = f"{folder}/socket"
                server = await stage.loop.create_unix_server(lambda: Recorder(data_received=echo), path)
                transport, recorder = await stage.loop.create_unix_connection(Recorder, path)
                transport.write(b"hello")
                assert await recorder.until_data(5) == b"hello"
                assert transport.get_extra_info("peername") == path
                transport.close()
                await recorder.lost()
                server.close()
                await server.wait_closed()
                await asyncio.sleep(0.001)

            stage.run(main())

    # No descriptor left

    @slow
    def test_nobody_is_dropped_for_want_of_a_descriptor(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                serving = Serving(stage, data_received=echo)
                await serving.start()
                first = serving.client()
                await first.write(b"a")
                assert await first.read(1) == b"a"
                clients = [serving.client() for _ in range(5)]  # in the kernel's queue; the loop has not run since
                ticks = 0
                used = time.process_time()
                with no_descriptor_left():
                    deadline = time.monotonic() + 0.3
                    while time.monotonic() < deadline:
                        await asyncio.sleep(0.01)
                        ticks += 1
                    await first.write(b"b")
                    assert await first.read(1) == b"b"  # who is served already is served on
                used = time.process_time() - used
                reported = stage.reported()
                assert reported, "nobody was told"
                for context in reported:
                    assert isinstance(context["exception"], OSError)
                    assert context["socket"].getsockname() == serving.address
                assert ticks > 5, "the loop stood still"
                assert used < 0.25, f"turned in circles: {used:g} s of processor time in 0.3 s"
                for number, client in enumerate(clients):
                    await client.write(b"%d" % number)
                for number, client in enumerate(clients):
                    assert await client.read(1) == b"%d" % number  # after the pause, asyncio's is 1 s
                await serving.stop()
                await asyncio.sleep(1.1)  # what was to try again finds a closed server
                stage.reported()

            stage.run(main())

    def test_a_server_closed_while_it_waits_for_a_descriptor(self) -> None:
        """The timer that is to try again must not bring the server back."""
        with self.stage() as stage:

            async def main() -> None:
                serving = Serving(stage)
                await serving.start()
                client = serving.client()
                with no_descriptor_left():
                    await eventually(lambda: stage.contexts)
                stage.reported()
                serving.server.close()
                await asyncio.sleep(0)
                with socket.socket() as late:
                    assert late.connect_ex(serving.address) != 0
                await serving.stop()
                del client

            stage.run(main())
            # asyncio's own timer raises ValueError for a closed socket, which is nobody's concern any more
            stage.reported()

    def test_connections_without_a_descriptor_fail_and_leave_nothing(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                serving = Serving(stage)
                await serving.start()
                with no_descriptor_left():
                    for connect in (
                        lambda: stage.loop.create_connection(Recorder, *serving.address),
                        lambda: stage.loop.create_datagram_endpoint(Recorder, local_addr=(HERE, 0)),
                    ):
                        try:
                            await connect()
                        except OSError:
                            continue
                        raise AssertionError("connected without a descriptor")
                transport, _ = await stage.loop.create_connection(Recorder, *serving.address)
                transport.abort()
                await serving.stop()

            stage.run(main())
