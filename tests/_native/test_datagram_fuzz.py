"""Whatever is done to a datagram transport of the native loop, in whatever order, its protocol and its peer are told
what asyncio's own tells them."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests._native.datagrams import Recorder, World, endpoint

#: Before, asyncio counts its queue without headers, or wrongly, and so pauses and resumes at other times.
SAME_COUNT = sys.version_info >= (3, 14)

sizes = st.integers(1, 2000)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("send_some"), st.integers(1, 8), sizes),
        st.tuples(st.just("fill")),
        st.tuples(st.just("drain"), st.integers(1, 30)),
        st.tuples(st.just("receive"), st.integers(1, 3), sizes),
        st.tuples(st.just("limits"), st.integers(0, 5000)),
        st.tuples(st.sampled_from(["pause_reading", "resume_reading", "turn", "close_peer"])),
        st.tuples(st.sampled_from(["close", "abort"])),
    ),
    max_size=25,
)
#: What the protocol does when it is told so for the nth time.
reactions = st.dictionaries(
    st.tuples(st.sampled_from(["datagram", "error"]), st.integers(1, 6)),
    st.sampled_from(["send", "pause_reading", "close", "abort", "raise"]),
    max_size=3,
)


class Reacting(Recorder):
    def __init__(self, reactions: dict[tuple[str, int], str]) -> None:
        super().__init__(lambda *_: self.react("datagram"), lambda *_: self.react("error"))
        self.reactions = reactions

    def react(self, to: str) -> None:
        reaction = self.reactions.get((to, self.count(to)))
        if reaction == "send":
            self.transport.sendto(b"reaction")
        elif reaction == "raise":
            raise ZeroDivisionError
        elif reaction is not None:
            getattr(self.transport, reaction)()


class Story:
    """One transport, connected to a Unix socket, and what became of it."""

    def __init__(self, kind: str, reactions: dict[tuple[str, int], str]) -> None:
        self.world = World(kind)
        self.protocol = Reacting(reactions)
        self.raised: list[type[BaseException]] = []
        self.got: list[bytes] = []
        self.sent = 0
        self.name = f"\0loopwright-{os.getpid()}-ours"

    def send(self, size: int) -> None:
        self.sent += 1
        try:
            self.transport.sendto((b"%d " % self.sent).ljust(size, b"."))
        except ZeroDivisionError as error:  # what error_received() raises within sendto()
            self.raised.append(type(error))

    def drain(self, count: int) -> None:
        for _ in range(count):
            try:
                self.got.append(self.peer.recv(5000))
            except OSError:
                break

    def send_some(self, count: int, size: int) -> None:
        for _ in range(count):
            self.send(size)

    def fill(self) -> None:
        for _ in range(600):
            if self.transport.get_write_buffer_size() or self.transport.is_closing() or self.protocol.count("error"):
                break
            self.send(100)

    def receive(self, count: int, size: int) -> None:
        for _ in range(count):
            if self.peer.fileno() >= 0 and not self.transport.is_closing():
                self.peer.sendto(b"." * size, self.name)

    def limits(self, high: int) -> None:
        self.transport.set_write_buffer_limits(high=high)

    def close_peer(self) -> None:
        self.peer.close()

    def turn(self) -> None:
        pass

    async def tell(self, steps: list[tuple[Any, ...]]) -> list[Any]:
        log: list[Any] = []
        peer = f"\0loopwright-{os.getpid()}-theirs"
        self.peer = self.world.socket(socket.AF_UNIX, bind=peer)
        self.peer.setblocking(False)
        self.transport, _ = await endpoint(self.protocol, family=socket.AF_UNIX, local_addr=self.name, remote_addr=peer)
        try:
            for what, *numbers in [*steps, ("close",)]:
                # After its end asyncio's transport trips over what it does not have any more; ours does nothing.
                if self.world.native or not self.protocol.count("lost") or what in ("drain", "close_peer"):
                    (getattr(self, what, None) or getattr(self.transport, what))(*numbers)
                await passes()
                log.append((what, self.transport.is_closing(), self.transport.is_reading(), *self.so_far()))
            while not self.protocol.count("lost"):
                self.drain(600)
                await passes()
            log.append(self.so_far())
        finally:
            if not self.protocol.count("lost"):
                self.transport.abort()
        return log

    def so_far(self) -> tuple[Any, ...]:
        told = [entry for entry in self.protocol.told if SAME_COUNT or entry[0] not in ("pause", "resume")]
        return told, list(self.got), list(self.raised), self.world.raised()


async def passes() -> None:
    """Enough for all that is ready to be read and written."""
    for _ in range(150):
        await asyncio.sleep(0)
    await asyncio.sleep(0.0002)


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps, reactions)
def test_same_story(steps: list[tuple[Any, ...]], reactions: dict[tuple[str, int], str]) -> None:
    stories = []
    for kind in ("asyncio", "native"):
        story = Story(kind, reactions)
        try:
            stories.append(story.world.run(lambda story=story: story.tell(steps)))
        finally:
            story.peer.close()
    assert stories[0] == stories[1]
