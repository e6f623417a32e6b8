"""Two loops that are put through the same, one as the oracle of the other.

Theory of operation. An actor is a loop of its own with one transport, one protocol that takes notes, and the other end
as a plain socket. A machine has two actors, does every step to both, lets both loops run until nothing happens any
more, and then compares what can be seen: the calls of the protocol with their data, however that was divided; what was
raised; what the transport says of itself; what the other end has read.

How much the kernel takes at once is nobody's promise, so nothing that is compared may hang on it: writes are either so
small that they always fit or so big that they never do, and the other end reads either little or all. What it has
read after an abort or a reset is only checked to be a beginning of what was written. Why a connection was lost is
compared as an error or none: who meets a reset by reading and who by writing is a matter of chance.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import TYPE_CHECKING, Any

from loopwright.testing._loop_stage import (
    BufferedRecorder,
    DatagramRecorder,
    Notes,
    Peer,
    Recorder,
    tcp_pair,
    unix_pair,
)

if TYPE_CHECKING:
    from collections.abc import Callable

BIG = 4_000_000
SHAPES = {"bytes": bytes, "bytearray": bytearray, "view": memoryview}


class End:
    """The other end, be it a socket or one of a pipe."""

    def __init__(self, file: Any) -> None:
        self.file = file
        os.set_blocking(file.fileno(), False)

    def read(self, count: int) -> bytes | None:
        """None where there is nothing yet."""
        try:
            return os.read(self.file.fileno(), count)
        except BlockingIOError:
            return None

    def write(self, data: bytes) -> None:
        os.write(self.file.fileno(), data)

    def close(self) -> None:
        self.file.close()


def _file(descriptor: int, mode: str) -> Any:
    return open(descriptor, mode, 0)


class Actor:
    """One loop, one transport; its methods are the steps."""

    def __init__(self, loop: asyncio.AbstractEventLoop, kind: str, *, keeps: bool, buffered: bool) -> None:
        self.loop = loop
        self.kind = kind
        self.reported: list[str] = []
        loop.set_exception_handler(lambda _, context: self.reported.append(type(context.get("exception")).__name__))
        self.read = b""
        self.written = b""
        self.unsure = False
        self.peer_gone = False
        self._make = BufferedRecorder if buffered else Recorder
        self.recorder: Notes = self._make(eof_received=lambda _: keeps)
        self._keeps = keeps
        self.earlier: list[Notes] = []
        self.transport, self.end = self._connect()

    def _connect(self) -> tuple[Any, End]:
        def make() -> Any:
            return self.recorder

        if self.kind in ("tcp", "unix"):
            mine, theirs = tcp_pair() if self.kind == "tcp" else unix_pair()
            # asyncio's own name for both is create_connection(); create_unix_connection() asks for a Unix socket
            connect = self.loop.create_connection if self.kind == "tcp" else self.loop.create_unix_connection
            transport, _ = self.loop.run_until_complete(connect(make, sock=mine))  # type: ignore[operator]
            return transport, End(theirs)
        read, write = os.pipe()
        if self.kind == "read pipe":
            transport, _ = self.loop.run_until_complete(self.loop.connect_read_pipe(make, _file(read, "rb")))
            return transport, End(_file(write, "wb"))
        transport, _ = self.loop.run_until_complete(self.loop.connect_write_pipe(make, _file(write, "wb")))
        return transport, End(_file(read, "rb"))

    @property
    def lost(self) -> bool:
        return self.recorder.count("connection_lost") > 0

    # Steps

    def do(self, step: str, *args: Any) -> str:
        """What came of a step: the name of the exception, or nothing."""
        try:
            getattr(self, step)(*args)
        except Exception as error:
            return type(error).__name__
        return ""

    def write(self, data: bytes, shape: str) -> None:
        self.transport.write(SHAPES[shape](data))
        self.written += data

    def writelines(self, parts: list[bytes]) -> None:
        self.transport.writelines(parts)
        self.written += b"".join(parts)

    def pause(self) -> None:
        self.transport.pause_reading()

    def resume(self) -> None:
        self.transport.resume_reading()

    def close(self) -> None:
        self.transport.close()

    def abort(self) -> None:
        self.unsure = True
        self.transport.abort()

    def write_eof(self) -> None:
        self.transport.write_eof()

    def set_limits(self, high: int | None, low: int | None) -> None:
        self.transport.set_write_buffer_limits(high=high, low=low)

    def change_protocol(self, buffered: bool) -> None:
        self.earlier.append(self.recorder)
        self.recorder = (BufferedRecorder if buffered else Recorder)(eof_received=lambda _: self._keeps)
        self.transport.set_protocol(self.recorder)

    def peer_writes(self, data: bytes) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.end.write(data)

    def peer_ends(self) -> None:
        with contextlib.suppress(OSError):
            self.end.file.shutdown(socket.SHUT_WR)

    def peer_closes(self) -> None:
        self.unsure = self.peer_gone = True
        self.end.close()

    def peer_resets(self) -> None:
        self.unsure = self.peer_gone = True
        Peer(self.end.file).reset()

    def peer_reads(self, count: int) -> None:
        try:
            self.read += self.end.read(count) or b""
        except ConnectionResetError:
            self.unsure = True

    def peer_reads_all(self) -> None:
        self.loop.run_until_complete(self._all())

    async def _all(self) -> None:
        quiet = 0
        while quiet < 4:
            try:
                data = self.end.read(1 << 20)
            except ConnectionResetError:
                self.unsure = True
                return
            if data == b"":
                return
            self.read += data or b""
            quiet = 0 if data or (not self.lost and self.transport.get_write_buffer_size()) else quiet + 1
            await asyncio.sleep(0 if data else 0.0005)

    def settle(self) -> None:
        self.loop.run_until_complete(self._settle())

    async def _settle(self) -> None:
        before = None
        for _ in range(50):
            for _ in range(3):
                await asyncio.sleep(0)
            await asyncio.sleep(0.0005)
            now = self.seen()
            if now == before:
                return
            before = now

    # What is compared

    def seen(self) -> list[Any]:
        found: list[Any] = []
        for recorder in (*self.earlier, self.recorder):
            found.append("protocol")
            for name, *args in recorder.notes:
                if name == "connection_lost":
                    found.append((name, args[0] is not None))
                elif name == "data_received" and found[-1][0] == name:
                    found[-1] = (name, found[-1][1] + args[0])
                else:
                    found.append((name, *args))
        return found

    def said(self) -> dict[str, Any]:
        said = {"closing": self.transport.is_closing(), "reported": sorted(self.reported)}
        if not self.lost and self.kind != "write pipe":
            said["reading"] = self.transport.is_reading()
        if not self.lost and self.kind != "read pipe":
            said["all sent"] = self.transport.get_write_buffer_size() == 0
        return said

    def check_read(self) -> None:
        assert self.written.startswith(self.read), "the other end read what was not written so"

    def strike(self) -> None:
        with contextlib.suppress(Exception):
            (self.transport.close if self.kind == "read pipe" else self.transport.abort)()
        self.settle()
        self.end.close()
        self.loop.close()


class DatagramActor:
    """The same for datagrams: a bound endpoint, and a socket that sends to and receives from it."""

    def __init__(self, make_loop: Callable[[], asyncio.AbstractEventLoop], *, connected: bool) -> None:
        self.loop = make_loop()
        self.recorder = DatagramRecorder()
        self.peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.peer.bind(("127.0.0.1", 0))
        self.peer.setblocking(False)
        self.address = self.peer.getsockname()
        where: dict[str, Any] = {"remote_addr": self.address} if connected else {"local_addr": ("127.0.0.1", 0)}
        self.transport, _ = self.loop.run_until_complete(
            self.loop.create_datagram_endpoint(lambda: self.recorder, **where)
        )
        self.name = self.transport.get_extra_info("sockname")
        self.got: list[bytes] = []

    def do(self, step: str, *args: Any) -> str:
        try:
            getattr(self, step)(*args)
        except Exception as error:
            return type(error).__name__
        return ""

    def sendto(self, data: bytes, shape: str, addressed: bool) -> None:
        self.transport.sendto(SHAPES[shape](data), self.address if addressed else None)

    def peer_sends(self, data: bytes) -> None:
        self.peer.sendto(data, self.name)

    def peer_receives(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                self.got.append(self.peer.recv(1 << 16))

    def close(self) -> None:
        self.transport.close()

    def abort(self) -> None:
        self.transport.abort()

    def settle(self) -> None:
        self.loop.run_until_complete(self._settle())

    async def _settle(self) -> None:
        before = -1
        while before != len(self.recorder.notes):
            before = len(self.recorder.notes)
            for _ in range(4):
                await asyncio.sleep(0)
            await asyncio.sleep(0.0005)

    def seen(self) -> list[Any]:
        """Without addresses, which differ; that each is the peer's is checked here."""
        found: list[Any] = []
        for name, *args in self.recorder.notes:
            if name == "datagram_received":
                assert args[1] == self.address
                found.append((name, args[0]))
            elif name == "error_received":
                found.append((name, type(args[0]).__name__))
            else:
                found.append((name, *args))
        return [*found, self.transport.is_closing(), self.got]

    def strike(self) -> None:
        self.transport.abort()
        self.settle()
        self.peer.close()
        self.loop.close()
