"""Random histories of operations on a pair of sockets: nothing is lost, doubled or out of order."""

from __future__ import annotations

import asyncio
import itertools
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.loops.socks import Loop, pair, run_on, turns

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["send", "recv", "cancel recv", "cancel send", "turn", "shut down", "reader", "raw"]),
        st.integers(0, 1),
        st.integers(1, 30_000),
    ),
    max_size=40,
)


class End:
    """One end of the pair: what it was given to send, what has come to it, and what is under way."""

    def __init__(self, loop: Loop, sock: socket.socket) -> None:
        self.loop = loop
        self.sock = sock
        self.given = bytearray()
        self.got = bytearray()
        self.sending: asyncio.Task[None] | None = None
        self.receiving: asyncio.Task[None] | None = None
        self.broken = False  # a send was cut short: what arrives is a beginning of what was given

    async def receive(self, size: int) -> None:
        self.got += await self.loop.sock_recv(self.sock, size)

    def take(self, size: int) -> bool:
        """Read past the loop. Whether there was something."""
        try:
            data = self.sock.recv(size)
        except BlockingIOError:
            return False
        self.got += data
        return bool(data)

    async def step(self, what: str, size: int) -> None:
        idle = self.receiving is None or self.receiving.done()
        if what == "send" and (self.sending is None or self.sending.done()) and not self.broken:
            data = bytes(next(STAMPS) for _ in range(size))
            self.given += data
            self.sending = asyncio.create_task(self.loop.sock_sendall(self.sock, data))
        elif what == "recv" and idle:
            self.receiving = asyncio.create_task(self.receive(size))
        elif what == "raw" and idle:
            self.take(size)
        elif what == "reader" and idle:
            self.loop.add_reader(self.sock, self.take, 10)
            await turns(1)
            self.loop.remove_reader(self.sock)
        elif what == "shut down":
            self.broken = True
            self.sock.shutdown(socket.SHUT_WR)
        else:
            await self.cancel(what)

    async def cancel(self, what: str) -> None:
        task = self.receiving if what == "cancel recv" else self.sending if what == "cancel send" else None
        if task is not None and not task.done():
            self.broken |= task is self.sending
            task.cancel()
            await asyncio.wait([task])

    async def finish(self, other: End) -> None:
        """What is being sent comes to its end once the other side takes everything."""
        while self.sending is not None and not self.sending.done():
            other.take(1 << 20)
            await asyncio.sleep(0.0002)
        while other.take(1 << 20):
            pass
        if self.sending is not None and not self.sending.cancelled():
            error = self.sending.exception()
            assert error is None or (self.broken and isinstance(error, BrokenPipeError))
        if self.broken:
            assert self.given.startswith(other.got)
        else:
            assert self.given == other.got


STAMPS = itertools.cycle(range(251))


async def interleave(loop: Loop, steps: list[tuple[str, int, int]]) -> None:
    """What one end was given to send comes to the other, in order and once, whatever was cancelled there."""
    with pair() as (one, other):
        ends = End(loop, one), End(loop, other)
        for what, at, size in steps:
            await ends[at].step(what, size)
            await asyncio.sleep(0.0003 if what == "turn" else 0)
        for end in ends:
            await end.cancel("cancel recv")
        await ends[0].finish(ends[1])
        await ends[1].finish(ends[0])
        for end in ends:
            assert loop.remove_reader(end.sock) is False
            assert loop.remove_writer(end.sock) is False
            assert end.sock.fileno() not in loop._selector.get_map()


@pytest.mark.slow
@pytest.mark.parametrize("debug", [False, True])
def test_random_interleavings(debug: bool) -> None:
    @settings(max_examples=300, deadline=None)
    @given(STEPS)
    def interleavings(steps: list[tuple[str, int, int]]) -> None:
        run_on("native", lambda loop: interleave(loop, steps), debug=debug)

    interleavings()


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_some_random_interleavings(steps: list[tuple[str, int, int]]) -> None:
    run_on("native", lambda loop: interleave(loop, steps))
