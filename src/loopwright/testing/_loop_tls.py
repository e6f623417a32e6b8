"""The contract of event loops: TLS, from the start and later on."""

from __future__ import annotations

import asyncio
import os
import ssl
from typing import TYPE_CHECKING, Any

from loopwright.testing._loop_certificate import client_context, server_context
from loopwright.testing._loop_stage import LoopTests, Recorder, eventually
from loopwright.testing._watcher_apart import open_descriptors

if TYPE_CHECKING:
    from loopwright.testing._loop_stage import Stage

__all__ = ["LoopTLS"]


def _echo(self: Recorder, data: bytes) -> None:
    self.transport.write(data)


async def _server(stage: Stage, recorders: list[Recorder], **then: Any) -> Any:
    def make() -> Recorder:
        recorders.append(Recorder(**then))
        return recorders[-1]

    return await stage.loop.create_server(make, "127.0.0.1", 0, ssl=server_context())


async def _connection(stage: Stage, server: Any, recorder: Recorder, context: ssl.SSLContext | None = None) -> Any:
    transport, _ = await stage.loop.create_connection(
        lambda: recorder, *server.sockets[0].getsockname(), ssl=context or client_context(), server_hostname="localhost"
    )
    return stage.keep(transport)


async def _stop(server: Any, recorders: list[Recorder]) -> None:
    for recorder in recorders:
        if recorder.transport is not None:
            recorder.transport.abort()
    await eventually(lambda: all(recorder.count("connection_lost") for recorder in recorders))
    server.close()
    await server.wait_closed()
    await asyncio.sleep(0.001)


class LoopTLS(LoopTests):
    """The same as without, and nobody in between."""

    def test_a_conversation_by_tls(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                recorders: list[Recorder] = []
                server = await _server(stage, recorders, data_received=_echo)
                recorder = Recorder()
                transport = await _connection(stage, server, recorder)
                data = os.urandom(1_000_000)
                transport.write(data)
                assert await recorder.until_data(len(data)) == data
                assert transport.get_extra_info("ssl_object").version().startswith("TLS")
                assert transport.get_extra_info("peercert")["subject"]
                assert transport.get_extra_info("cipher")
                assert transport.get_extra_info("sslcontext")
                transport.close()
                assert await recorder.lost() is None
                assert await recorders[0].lost() is None
                await _stop(server, recorders)

            stage.run(main())

    def test_a_certificate_that_is_not_trusted(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                recorders: list[Recorder] = []
                server = await _server(stage, recorders)
                before = open_descriptors()
                strict = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                try:
                    await _connection(stage, server, Recorder(), strict)
                except ssl.SSLCertVerificationError:
                    pass
                else:
                    raise AssertionError("trusted anybody")
                await eventually(lambda: open_descriptors() <= before)
                stage.reported()
                assert all(not recorder.count("connection_made") for recorder in recorders)
                server.close()
                await server.wait_closed()

            stage.run(main())

    def test_a_handshake_that_takes_too_long(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                mine, peer = stage.pair("tcp")
                before = open_descriptors()
                recorder = Recorder()
                try:
                    await stage.loop.create_connection(
                        lambda: recorder,
                        sock=mine,
                        ssl=client_context(),
                        server_hostname="localhost",
                        ssl_handshake_timeout=0.02,
                    )
                except ConnectionAbortedError:
                    pass
                else:
                    raise AssertionError("connected to one that says nothing")
                await asyncio.sleep(0)
                assert recorder.notes == []
                assert open_descriptors() <= before
                assert await peer.rest()  # the hello, and then the end

            stage.run(main())

    def test_a_handshake_cancelled(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                mine, peer = stage.pair("tcp")
                task = asyncio.ensure_future(
                    stage.loop.create_connection(Recorder, sock=mine, ssl=client_context(), server_hostname="localhost")
                )
                assert await peer.some()
                task.cancel()
                try:
                    await task
                except asyncio.CancelledError:
                    pass
                else:
                    raise AssertionError("cancelled in vain")
                assert await peer.rest() == b""

            stage.run(main())

    def test_tls_later_on(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                ends = [stage.pair("tcp")]
                client, server = Recorder(), Recorder()
                mine, peer = ends[0]
                plain, _ = await stage.loop.create_connection(lambda: client, sock=mine)
                other, _ = await stage.loop.create_connection(lambda: server, sock=peer.sock)
                plain.write(b"STARTTLS")
                await server.until_data(8)
                inner_client, inner_server = Recorder(), Recorder(data_received=_echo)
                secure_client, secure_server = await asyncio.gather(
                    stage.loop.start_tls(plain, inner_client, client_context(), server_hostname="localhost"),
                    stage.loop.start_tls(other, inner_server, server_context(), server_side=True),
                )
                inner_server.transport = secure_server
                secure_client.write(b"secret")
                assert await inner_client.until_data(6) == b"secret"
                assert client.data == b""
                assert secure_client.get_extra_info("sslcontext")
                secure_client.close()
                await inner_client.lost()
                await inner_server.lost()

            stage.run(main())

    def test_tls_later_on_cancelled(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                transport, peer = await stage.connected(Recorder())
                inner = Recorder()
                task = asyncio.ensure_future(
                    stage.loop.start_tls(transport, inner, client_context(), server_hostname="localhost")
                )
                assert await peer.some()
                task.cancel()
                try:
                    await task
                except asyncio.CancelledError:
                    pass
                else:
                    raise AssertionError("cancelled in vain")
                assert await peer.rest() == b""
                assert transport.is_closing()

            stage.run(main())

    def test_a_reset_during_the_handshake(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                mine, peer = stage.pair("tcp")
                task = asyncio.ensure_future(
                    stage.loop.create_connection(Recorder, sock=mine, ssl=client_context(), server_hostname="localhost")
                )
                assert await peer.some()
                peer.reset()
                try:
                    await task
                except (ConnectionResetError, ConnectionAbortedError):
                    return
                raise AssertionError("connected to one that is gone")

            stage.run(main())
