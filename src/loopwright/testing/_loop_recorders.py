"""What the contract suite of event loops watches by: protocols that take notes, peers, and patience."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LIMIT", "POLL", "WOKEN", "BufferedRecorder", "DatagramRecorder", "Notes", "Peer", "Recorder", "eventually"]

#: Longer than any test takes on a machine under load; what waits longer waits in vain. Seconds.
LIMIT = 20.0
#: Longer than a loop that was woken takes to come round, under load; one that was not sleeps for LIMIT. Seconds.
WOKEN = LIMIT / 4
#: Between two questions to a peer. Seconds.
POLL = 0.0005


async def eventually(holds: Callable[[], object], *, within: float | None = None) -> None:
    """Return once it holds; AssertionError if it does not for so many seconds, LIMIT unless said."""
    within = LIMIT if within is None else within
    deadline = time.monotonic() + within
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"{holds!r} did not come true within {within:g} s")
        await asyncio.sleep(POLL)


class Peer:
    """A socket at the other end."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    async def read(self, count: int) -> bytes:
        """So many bytes, or fewer if the other end says that there are no more."""
        parts = []
        while count > 0:
            part = await self.some(count)
            if not part:
                break
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    async def some(self, count: int = 1 << 16) -> bytes:
        """What is there, waited for; empty at the end."""
        while True:
            try:
                return self.sock.recv(count)
            except BlockingIOError:
                await asyncio.sleep(POLL)

    async def rest(self) -> bytes:
        """All until the end."""
        parts = []
        while part := await self.some():
            parts.append(part)
        return b"".join(parts)

    async def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[self.sock.send(view) :]
            except BlockingIOError:
                await asyncio.sleep(POLL)

    def end(self) -> None:
        """No more will be written."""
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        """End the connection as a crash does: TCP sends RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Notes:
    """What notes how a protocol was called, and does in each method what it was told to.

    `then` maps names of methods to what is called in them, with the recorder and the method's arguments, after the note
    was taken; what that returns is returned, what it raises is raised.
    """

    def __init__(self, **then: Callable[..., Any]) -> None:
        self.notes: list[tuple[Any, ...]] = []
        self.transport: Any = None
        self._then = then

    def note(self, name: str, *args: Any) -> Any:
        self.notes.append((name, *args))
        then = self._then.get(name)
        return None if then is None else then(self, *args)

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.note("connection_made")

    def data_received(self, data: bytes) -> None:
        self.note("data_received", data)

    def eof_received(self) -> bool | None:
        kept: bool | None = self.note("eof_received")
        return kept

    def pause_writing(self) -> None:
        self.note("pause_writing")

    def resume_writing(self) -> None:
        self.note("resume_writing")

    def connection_lost(self, exc: BaseException | None) -> None:
        self.note("connection_lost", exc)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.note("datagram_received", data, addr)

    def error_received(self, exc: Exception) -> None:
        self.note("error_received", exc)

    # What was noted

    @property
    def data(self) -> bytes:
        """All that was received."""
        return b"".join(note[1] for note in self.notes if note[0] == "data_received")

    @property
    def names(self) -> list[str]:
        """The methods that were called, in order; receipts one after the other count once."""
        found: list[str] = []
        for name, *_ in self.notes:
            if not (found and found[-1] == name == "data_received"):
                found.append(name)
        return found

    def count(self, name: str) -> int:
        return sum(note[0] == name for note in self.notes)

    async def until(self, name: str, count: int = 1, *, within: float | None = None) -> Any:
        """Wait until a method was called so often; gives its last note's first argument, if it had one."""
        await eventually(lambda: self.count(name) >= count, within=within)
        args = [note for note in self.notes if note[0] == name][count - 1][1:]
        return args[0] if args else None

    async def until_data(self, length: int) -> bytes:
        await eventually(lambda: len(self.data) >= length)
        return self.data

    async def lost(self) -> BaseException | None:
        """What the connection was lost by; AssertionError if that was told twice."""
        reason: BaseException | None = await self.until("connection_lost")
        await asyncio.sleep(0)
        assert self.count("connection_lost") == 1, self.notes
        assert self.notes[-1][0] == "connection_lost", self.notes
        return reason


class Recorder(Notes, asyncio.Protocol):
    """For streams."""


class DatagramRecorder(Notes, asyncio.DatagramProtocol):
    """For datagrams."""


class BufferedRecorder(Notes, asyncio.BufferedProtocol):
    """For streams, with a buffer of its own; what arrives is noted as `data_received`, too."""

    def __init__(self, size: int = 65536, **then: Callable[..., Any]) -> None:
        super().__init__(**then)
        self.buffer = bytearray(size)

    def get_buffer(self, sizehint: int) -> Any:
        then = self._then.get("get_buffer")
        return self.buffer if then is None else then(self, sizehint)

    def buffer_updated(self, nbytes: int) -> None:
        self.note("data_received", bytes(self.buffer[:nbytes]))
        then = self._then.get("buffer_updated")
        if then is not None:
            then(self, nbytes)
