"""What tests of datagram transports share: both loops, a protocol that remembers, and waiting for what it is told."""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest

from loopwright import _native

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

LOCAL = ("127.0.0.1", 0)


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


class Recorder(asyncio.DatagramProtocol):
    """Remembers what it is told, in order. `on_datagram` and `on_error` are called after that."""

    def __init__(self, on_datagram: Any = None, on_error: Any = None) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.on_datagram = on_datagram
        self.on_error = on_error

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.told.append(("made",))

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.told.append(("datagram", data, addr))
        if self.on_datagram is not None:
            self.on_datagram(data, addr)

    def error_received(self, exc: Exception) -> None:
        self.told.append(("error", type(exc)))
        if self.on_error is not None:
            self.on_error(exc)

    def pause_writing(self) -> None:
        self.told.append(("pause",))

    def resume_writing(self) -> None:
        self.told.append(("resume",))

    def connection_lost(self, exc: BaseException | None) -> None:
        self.told.append(("lost", type(exc) if exc is not None else None))

    @property
    def data(self) -> list[bytes]:
        return [entry[1] for entry in self.told if entry[0] == "datagram"]

    def count(self, what: str) -> int:
        return sum(entry[0] == what for entry in self.told)


async def until(condition: Callable[[], Any]) -> None:
    """Until it is so; fails if that takes longer than anything does on a machine under load."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  # there is nobody to set an event
            await asyncio.sleep(0.001)


async def rounds(count: int = 20) -> None:
    """So many passes of the loop, and what they find."""
    for _ in range(count):
        await asyncio.sleep(0)
    await asyncio.sleep(0.005)


def is_sent(transport: Any) -> bool:
    """Whether nothing is queued."""
    return not getattr(transport, "_buffer", transport.get_write_buffer_size())  # asyncio's, which 3.13 counts wrongly


class World:
    """One kind of loop, and what its exception handler heard."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.native = kind == "native"
        self.troubles: list[dict[str, Any]] = []
        self.sockets: list[socket.socket] = []

    def new_loop(self) -> asyncio.AbstractEventLoop:
        loop: asyncio.AbstractEventLoop
        if self.native:
            from loopwright.loops import NativeEventLoop

            loop = NativeEventLoop()
        else:
            loop = asyncio.SelectorEventLoop()
        loop.set_exception_handler(lambda _, context: self.troubles.append(context))
        return loop

    def run(self, main: Callable[[], Awaitable[Any]], *, debug: bool = False) -> Any:
        async def with_end() -> Any:
            try:
                return await main()
            finally:
                await rounds(3)  # transports that were closed say so

        with asyncio.Runner(loop_factory=self.new_loop, debug=debug) as runner:
            return runner.run(with_end())

    def socket(self, family: int = socket.AF_INET, *, bind: Any = None, connect: Any = None) -> socket.socket:
        """A plain one, that blocks, but not for ever; closed when the test ends."""
        made = socket.socket(family, socket.SOCK_DGRAM)
        self.sockets.append(made)
        made.settimeout(20)
        if bind is not None:
            made.bind(bind)
        if connect is not None:
            made.connect(connect)
        return made

    def counts(self) -> None:
        """Skips the test if the size of the queue is wrong."""
        if not self.native and (3, 13) <= sys.version_info < (3, 14):
            pytest.skip("asyncio of 3.13 adds the size of a header and does not take it off again")

    def raised(self) -> list[type[BaseException]]:
        return [type(context["exception"]) for context in self.troubles]


@pytest.fixture(params=["asyncio", "native"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "native" and _native.MISSING is not None:
        pytest.skip(f"nothing is compiled: {_native.MISSING}")
    made = World(request.param)
    yield made
    for one in made.sockets:
        one.close()


async def endpoint(protocol: Recorder | None = None, **options: Any) -> tuple[Any, Recorder]:
    """An endpoint of the loop that runs, and its protocol; bound to a port of its own if nothing else is said."""
    protocol = Recorder() if protocol is None else protocol
    if not options:
        options = {"local_addr": LOCAL}
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: protocol, **options)
    return transport, protocol


def name_of(transport: Any) -> Any:
    return transport.get_extra_info("sockname")
