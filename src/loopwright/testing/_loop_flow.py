"""The contract of event loops: stream transports under pressure."""

from __future__ import annotations

import asyncio
import resource
from typing import Any

from loopwright.testing._loop_stage import (
    PATIENCE,
    LoopTests,
    Recorder,
    Stage,
    slow,
)

__all__ = ["LoopFlow"]

KINDS = ("tcp", "unix")


class LoopFlow(LoopTests):
    """Who writes is told when to pause; nobody waits for a peer that is gone; memory stays within bounds."""

    # Flow control

    def test_writing_is_paused_above_and_resumed_below_the_limits(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                for kind in KINDS:
                    recorder = Recorder()
                    transport, peer = await stage.connected(recorder, kind)
                    transport.set_write_buffer_limits(high=100_000, low=20_000)
                    assert transport.get_write_buffer_limits() == (20_000, 100_000)
                    total = 0
                    while not recorder.count("pause_writing"):
                        assert transport.get_write_buffer_size() <= 100_000
                        transport.write(b"x" * 50_000)
                        total += 50_000
                        await asyncio.sleep(0)
                    assert transport.get_write_buffer_size() > 100_000
                    transport.write(b"x" * 50_000)
                    assert recorder.count("pause_writing") == 1
                    assert len(await peer.read(total + 50_000)) == total + 50_000
                    await recorder.until("resume_writing")
                    assert recorder.names == ["connection_made", "pause_writing", "resume_writing"]
                    assert transport.get_write_buffer_size() <= 20_000

            stage.run(main())

    def test_resumed_only_once_it_is_down_to_the_low_limit(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                sizes: list[int] = []
                recorder = Recorder(resume_writing=lambda self: sizes.append(self.transport.get_write_buffer_size()))
                transport, peer = await stage.connected(recorder)
                transport.set_write_buffer_limits(high=3_000_000, low=1_000)
                transport.write(b"x" * 8_000_000)
                await peer.read(8_000_000)
                await recorder.until("resume_writing")
                assert sizes[0] <= 1_000

            stage.run(main())

    def test_limits_that_make_no_sense_are_refused(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                transport, _ = await stage.connected(Recorder())
                for high, low in ((1, 2), (-1, None), (10, -1), (-5, -10)):
                    try:
                        transport.set_write_buffer_limits(high=high, low=low)
                    except ValueError:
                        continue
                    raise AssertionError(f"took {high=} and {low=}")
                for given, expected in (
                    ({"high": 0}, (0, 0)),
                    ({"high": 400}, (100, 400)),
                    ({"low": 100}, (100, 400)),
                    ({}, (16384, 65536)),
                ):
                    transport.set_write_buffer_limits(**given)
                    assert transport.get_write_buffer_limits() == expected

            stage.run(main())

    def test_a_limit_of_nothing_pauses_at_the_first_byte_kept(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                recorder = Recorder()
                transport, peer = await stage.connected(recorder)
                transport.set_write_buffer_limits(high=0)
                transport.write(b"x" * 10_000_000)
                await recorder.until("pause_writing")
                await peer.read(10_000_000)
                await recorder.until("resume_writing")

            stage.run(main())

    def test_lowering_the_limits_pauses_at_once(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                recorder = Recorder()
                transport, _ = await stage.connected(recorder)
                transport.set_write_buffer_limits(high=1 << 30)
                transport.write(b"x" * 10_000_000)
                await asyncio.sleep(0)
                assert recorder.count("pause_writing") == 0
                transport.set_write_buffer_limits(high=1000)
                assert recorder.count("pause_writing") == 1

            stage.run(main())

    def test_writing_more_within_resume_writing(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                rounds = 5

                def more(self: Recorder) -> None:
                    if self.count("resume_writing") < rounds:
                        self.transport.write(b"x" * 3_000_000)

                recorder = Recorder(resume_writing=more)
                transport, peer = await stage.connected(recorder)
                transport.write(b"x" * 3_000_000)
                assert len(await peer.read(rounds * 3_000_000)) == rounds * 3_000_000
                await recorder.until("resume_writing", rounds)
                assert recorder.names == ["connection_made", *["pause_writing", "resume_writing"] * rounds]

            stage.run(main())

    def test_fifty_megabytes_through_a_slow_reader(self) -> None:
        with self.stage() as stage:
            stage.run(self._through_a_slow_reader(stage, 50_000_000, pauses=10), within=PATIENCE)

    @slow
    def test_a_gigabyte_through_a_slow_reader(self) -> None:
        with self.stage() as stage:
            stage.run(self._through_a_slow_reader(stage, 1_000_000_000, pauses=200), within=PATIENCE)

    async def _through_a_slow_reader(self, stage: Stage, total: int, pauses: int) -> None:
        block = bytes(range(256)) * 256
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        mine, theirs = stage.pair("tcp")
        server = await _streams(mine)
        client = await _streams(theirs.sock)

        async def write() -> None:
            for _ in range(total // len(block)):
                server[1].write(block)
                await server[1].drain()
                kept.append(server[1].transport.get_write_buffer_size())
            server[1].write_eof()

        kept = [0]
        writing = asyncio.ensure_future(write())
        received, pause = 0, total // pauses
        while data := await client[0].read(1 << 18):
            assert data[0] == received % 256
            assert data[-1] == (received + len(data) - 1) % 256
            received += len(data)
            if received > pause:
                pause += total // pauses
                await asyncio.sleep(0.002)
        await writing
        assert received == total // len(block) * len(block)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        assert grown < 20, f"grew by {grown:.0f} MiB for a transfer that is to be bounded"
        assert max(kept) <= 65536 + len(block)
        for _, writer in (server, client):
            writer.close()
            await writer.wait_closed()


async def _streams(sock: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(sock=sock)
