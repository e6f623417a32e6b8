"""getaddrinfo() of addresses, for which the native loop takes no thread: it gives what the socket module gives."""

from __future__ import annotations

import itertools
import logging
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.loops.socks import Loop, Run, on_both, run_on

if TYPE_CHECKING:
    from collections.abc import Callable

HOSTS = ["127.0.0.1", "::1", "0.0.0.0", "::", "::ffff:1.2.3.4", b"127.0.0.1", "127.1", "::1%lo", None]
PORTS = [80, 0, "443", None, "", b"80", 65536, -1, " 80", "http", "²"]
TYPES = [0, socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW]
PROTOS = [0, socket.IPPROTO_TCP, socket.IPPROTO_UDP]
FAMILIES = [socket.AF_UNSPEC, socket.AF_INET, socket.AF_INET6, socket.AF_UNIX]
FLAGS = [0, socket.AI_PASSIVE, socket.AI_NUMERICHOST, socket.AI_V4MAPPED | socket.AI_ALL, socket.AI_CANONNAME]


def outcome(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except (OSError, TypeError, OverflowError, UnicodeError) as error:
        return type(error), str(error)


@pytest.mark.parametrize(
    "hosts", [pytest.param(HOSTS[:1], id="some"), pytest.param(HOSTS, id="all", marks=pytest.mark.slow)]
)
def test_getaddrinfo_of_addresses(hosts: list[Any]) -> None:
    async def main(loop: Loop) -> None:
        for host, port, *rest in itertools.product(hosts, PORTS, FAMILIES, TYPES, PROTOS, FLAGS):
            expected = outcome(lambda: socket.getaddrinfo(host, port, *rest))  # noqa: B023
            names = dict(zip(("family", "type", "proto", "flags"), rest, strict=True))
            try:
                got = await loop.getaddrinfo(host, port, **names)
            except (OSError, TypeError, OverflowError, UnicodeError) as error:
                got = type(error), str(error)
            assert got == expected, (host, port, rest)

    run_on("native", main)


def test_an_address_needs_no_thread() -> None:
    async def main(loop: Loop) -> None:
        def refused(*_: Any) -> None:
            raise AssertionError("a thread was asked for")

        loop.run_in_executor = refused
        for host in ("127.0.0.1", "::1", b"127.0.0.1", None):
            for port in (80, "80"):
                assert await loop.getaddrinfo(host, port) == socket.getaddrinfo(host, port)
        for host, port in (("localhost", 80), ("::1%lo", 80), ("127.1", 80), ("", 80), ("127.0.0.1", "http")):
            with pytest.raises(AssertionError, match="a thread was asked for"):
                await loop.getaddrinfo(host, port)

    run_on("native", main)


@on_both
def test_debug_mode_logs_it(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main(loop: Loop) -> None:
        await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)

    with caplog.at_level(logging.DEBUG, "asyncio"):
        run(main, debug=True)
    assert "Get address info 127.0.0.1:80, type=<SocketKind.SOCK_STREAM: 1>" in caplog.text
    assert "Getting address info 127.0.0.1:80, type=<SocketKind.SOCK_STREAM: 1> took " in caplog.text


def test_a_replaced_getaddrinfo_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(loop: Loop) -> None:
        assert await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM) == "the answer"

    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: "the answer")
    run_on("native", main)


def test_auditors_are_told() -> None:
    told = []

    def hear(event: str, details: tuple[Any, ...]) -> None:
        if event == "socket.getaddrinfo" and listening:
            told.append(details)

    async def main(loop: Loop) -> None:
        await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)

    listening = True
    sys.addaudithook(hear)  # for ever
    run_on("native", main)
    listening = False
    assert [details[:2] for details in told] == [("127.0.0.1", 80)]
