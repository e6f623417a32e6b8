# mypy: disable-error-code="func-returns-value"
"""The contract of event loops: readers, writers and signals, and descriptors that change behind the loop's back."""

from __future__ import annotations

import asyncio
import contextvars
import socket
import time
from typing import TYPE_CHECKING, Any

from loopwright.testing._loop_stage import QUIET, WOKEN, LoopTests, Recorder, eventually

if TYPE_CHECKING:
    from loopwright.testing._loop_stage import Stage

__all__ = ["LoopReadiness"]

#: For what comes at once or never. Seconds.
SOON = WOKEN

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


class LoopReadiness(LoopTests):
    """What is ready is told of, and only that, whatever else goes on."""

    # Readers and writers

    def test_a_reader_is_called_while_there_is_something(self) -> None:
        with self.stage() as stage:
            mine, peer = stage.pair("unix")
            seen: list[bytes] = []
            stage.loop.add_reader(mine.fileno(), lambda *args: seen.append(mine.recv(1)), "argument")
            peer.sock.send(b"abc")  # one byte a call: what is left over must be told of again
            stage.run(eventually(lambda: len(seen) == 3))
            stage.run(asyncio.sleep(QUIET))
            assert seen == [b"a", b"b", b"c"]
            assert stage.loop.remove_reader(mine.fileno()) is True
            assert stage.loop.remove_reader(mine.fileno()) is False
            peer.sock.send(b"d")
            stage.run(asyncio.sleep(QUIET))
            assert len(seen) == 3

    def test_reader_and_writer_of_one_descriptor_are_apart(self) -> None:
        with self.stage() as stage:
            mine, peer = stage.pair("unix")
            seen: list[str] = []
            stage.loop.add_reader(mine, lambda: (seen.append("reader"), mine.recv(10)))
            stage.loop.add_writer(mine, lambda: (seen.append("writer"), stage.loop.remove_writer(mine)))
            stage.run(eventually(lambda: seen == ["writer"]))
            assert stage.loop.remove_writer(mine) is False
            peer.sock.send(b"x")
            stage.run(eventually(lambda: seen == ["writer", "reader"]))
            stage.loop.add_writer(mine, lambda: (seen.append("again"), stage.loop.remove_writer(mine)))
            assert stage.loop.remove_reader(mine) is True
            stage.run(eventually(lambda: seen[-1] == "again"))

    def test_a_second_reader_replaces_the_first(self) -> None:
        with self.stage() as stage:
            mine, peer = stage.pair("unix")
            seen: list[str] = []
            stage.loop.add_reader(mine, seen.append, "first")
            stage.loop.add_reader(mine, lambda: (seen.append("second"), mine.recv(10)))
            peer.sock.send(b"x")
            stage.run(asyncio.sleep(QUIET))
            assert seen == ["second"]
            stage.loop.remove_reader(mine)

    def test_a_reader_removed_by_another_callback_of_the_same_pass_is_not_called(self) -> None:
        with self.stage() as stage:
            pairs = [stage.pair("unix") for _ in range(2)]
            seen: list[int] = []

            def ready(number: int) -> None:
                seen.append(number)
                for mine, _ in pairs:
                    stage.loop.remove_reader(mine)

            for number, (mine, peer) in enumerate(pairs):
                peer.sock.send(b"x")
                stage.loop.add_reader(mine, ready, number)
            stage.run(asyncio.sleep(QUIET))
            assert len(seen) == 1

    def test_a_reader_keeps_the_context_it_was_made_in(self) -> None:
        with self.stage() as stage:
            mine, peer = stage.pair("unix")
            seen: list[str] = []

            def ready() -> None:
                mine.recv(1)
                seen.append(variable.get())

            context = contextvars.copy_context()
            context.run(variable.set, "the reader's")
            context.run(stage.loop.add_reader, mine, ready)
            peer.sock.send(b"ab")
            stage.run(eventually(lambda: len(seen) == 2))
            stage.loop.remove_reader(mine)
            assert seen == ["the reader's"] * 2

    def test_what_a_reader_raises_is_reported_and_it_stays(self) -> None:
        with self.stage() as stage:
            mine, peer = stage.pair("unix")

            def ready() -> None:
                raise LookupError(mine.recv(1))

            stage.loop.add_reader(mine, ready)
            peer.sock.send(b"ab")
            stage.run(eventually(lambda: len(stage.contexts) == 2))
            stage.loop.remove_reader(mine)
            assert all(isinstance(context["exception"], LookupError) for context in stage.reported())

    def test_readiness_is_looked_at_while_callbacks_never_stop(self) -> None:
        with self.stage() as stage:
            mine, peer = stage.pair("unix")
            seen: list[bytes] = []

            def again() -> None:
                if not seen:
                    stage.loop.call_soon(again)

            stage.loop.add_reader(mine, lambda: seen.append(mine.recv(1)))
            stage.loop.call_soon(again)
            stage.loop.call_later(0.005, peer.sock.send, b"x")
            start = time.monotonic()
            stage.run(eventually(lambda: seen))
            assert time.monotonic() - start < WOKEN
            stage.loop.remove_reader(mine)

    def test_a_hang_up_wakes_readers_and_writers(self) -> None:
        with self.stage() as stage:
            for what in ("add_reader", "add_writer"):
                mine, peer = stage.pair("tcp")
                seen: list[str] = []
                peer.reset()
                getattr(stage.loop, what)(mine, seen.append, what)
                stage.run(eventually(lambda seen=seen: seen))  # type: ignore[misc]
                getattr(stage.loop, what.replace("add", "remove"))(mine)

    def test_descriptors_of_transports_are_refused(self) -> None:
        with self.stage() as stage:
            mine, _ = stage.pair("tcp")
            number = mine.fileno()

            async def main() -> None:
                transport, _ = await stage.loop.create_connection(Recorder, sock=mine)
                stage.keep(transport)
                for call in (stage.loop.add_reader, stage.loop.add_writer):
                    try:
                        call(number, print)
                    except RuntimeError:
                        continue
                    raise AssertionError(f"{call!r} took the descriptor of a transport")

            stage.run(main())

    def test_wrong_descriptors_are_refused(self) -> None:
        with self.stage() as stage:
            wrong: Any
            for wrong in (-1, "text", None):
                try:
                    stage.loop.add_reader(wrong, print)
                except (ValueError, TypeError, OSError):
                    continue
                raise AssertionError(f"took {wrong!r} for a descriptor")

    def test_a_file_that_cannot_be_polled_is_refused_and_leaves_nothing(self) -> None:
        with self.stage() as stage, open(__file__, "rb") as file:  # noqa: PTH123 - its descriptor is what is wanted
            try:
                stage.loop.add_reader(file, print)
            except OSError:
                assert stage.loop.remove_reader(file) is False
            else:
                raise AssertionError("took a regular file, which epoll(7) does not")

    # Descriptors closed and used anew behind the loop's back

    def test_a_number_used_anew_after_it_was_closed_unannounced(self) -> None:
        """More than asyncio, which believes that the kernel still polls a number that it once registered."""
        with self.stage() as stage:
            seen: list[str] = []
            mine, peer = stage.pair("unix")
            stage.loop.add_reader(mine, seen.append, "the old one")
            stage.run(asyncio.sleep(0))
            number = mine.fileno()
            mine.close()  # without remove_reader(): wrong, and common
            other, other_peer = stage.pair("unix")
            assert other.fileno() == number
            stage.loop.add_reader(other, lambda: (seen.append("the new one"), other.recv(1)))
            other_peer.sock.send(b"x")
            stage.run(eventually(lambda: seen), within=SOON)
            assert seen == ["the new one"]
            stage.loop.remove_reader(other)
            peer.close()

    def test_a_number_used_anew_by_a_transport_after_it_was_closed_unannounced(self) -> None:
        """More than asyncio, which believes that the kernel still polls a number that it once registered."""
        with self.stage() as stage:
            mine, _ = stage.pair("unix")
            stage.loop.add_reader(mine, print)
            stage.run(asyncio.sleep(0))
            number = mine.fileno()
            mine.close()
            recorder = Recorder()
            other, peer = stage.pair("unix")
            assert other.fileno() == number

            async def main() -> None:
                transport, _ = await stage.loop.create_unix_connection(lambda: recorder, sock=other)
                stage.keep(transport)
                peer.sock.send(b"heard")
                await recorder.until_data(5)
                transport.write(b"answered")
                assert await peer.read(8) == b"answered"

            stage.run(main(), within=SOON)

    def test_a_number_used_anew_by_sock_calls_after_it_was_closed_unannounced(self) -> None:
        """More than asyncio, which believes that the kernel still polls a number that it once registered."""
        with self.stage() as stage:
            mine, _ = stage.pair("unix")
            stage.loop.add_reader(mine, print)
            stage.run(asyncio.sleep(0))
            number = mine.fileno()
            mine.close()
            other, peer = stage.pair("unix")
            assert other.fileno() == number
            stage.loop.call_later(0.002, peer.sock.send, b"heard")
            assert stage.run(stage.loop.sock_recv(other, 10), within=SOON) == b"heard"

    def test_what_is_written_after_the_socket_was_closed_reaches_nobody_else(self) -> None:
        """Whoever has the number by then; and the connection is lost, with the reason."""
        with self.stage() as stage:
            self._write_after_the_socket_was_closed(stage, waiting=b"")

    def test_what_waits_when_the_socket_is_closed_reaches_nobody_else(self) -> None:
        """More than asyncio, whose selector raises where the kernel no longer knows a number that it is to forget."""
        with self.stage() as stage:
            self._write_after_the_socket_was_closed(stage, waiting=b"w" * 5_000_000)

    @staticmethod
    def _write_after_the_socket_was_closed(stage: Stage, waiting: bytes) -> None:
        recorder = Recorder()
        mine, _ = stage.pair("unix")

        async def main() -> None:
            transport, _ = await stage.loop.create_unix_connection(lambda: recorder, sock=mine)
            stage.keep(transport)
            transport.write(waiting)
            mine.close()  # it is the transport's: wrong, and common
            other, other_peer = stage.pair("unix")  # which has its number, if it is free
            transport.write(b"secret")
            transport.writelines([b"more", b"of it"])
            if waiting:
                transport.abort()
            reason = await recorder.lost()
            assert waiting or isinstance(reason, OSError), recorder.names
            other.send(b"the end")
            assert await other_peer.read(7) == b"the end"

        stage.run(main(), within=SOON)

    def test_one_closed_unannounced_disturbs_no_other(self) -> None:
        with self.stage() as stage:
            victim, victim_peer = stage.pair("unix")
            kept, kept_peer = stage.pair("unix")
            seen: list[bytes] = []
            stage.loop.add_reader(victim, print)
            stage.loop.add_reader(kept, lambda: seen.append(kept.recv(1)))
            stage.run(asyncio.sleep(0))
            victim.close()
            victim_peer.close()
            kept_peer.sock.send(b"x")
            stage.run(eventually(lambda: seen))
            stage.loop.remove_reader(kept)

    def test_descriptors_pass_quickly_from_one_use_to_the_next(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                for number in range(60):
                    mine, theirs = socket.socketpair()
                    mine.setblocking(False)
                    theirs.send(b"%d" % number)
                    if number % 3 == 0:
                        assert await stage.loop.sock_recv(mine, 10) == b"%d" % number
                        mine.close()
                    elif number % 3 == 1:
                        seen: list[bytes] = []
                        stage.loop.add_reader(mine, lambda seen=seen, mine=mine: seen.append(mine.recv(10)))
                        await eventually(lambda seen=seen: seen)  # type: ignore[misc]
                        assert seen == [b"%d" % number]
                        stage.loop.remove_reader(mine)
                        mine.close()
                    else:
                        recorder = Recorder()
                        transport, _ = await stage.loop.create_unix_connection(lambda: recorder, sock=mine)  # noqa: B023
                        await recorder.until_data(1)
                        assert recorder.data == b"%d" % number
                        transport.close()
                        await recorder.lost()
                    theirs.close()

            stage.run(main())
