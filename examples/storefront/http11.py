"""A small HTTP/1.1 server, written on asyncio's streams to show what such a service is made of.

It speaks as much of RFC 9112 (messages) and RFC 9110 (what they mean) as a shop needs, and refuses the rest
with the status that says so. Nothing a client sends can make it hold more than a few KiB, or wait for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
import traceback
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

LINE_LIMIT = 8 * 1024  # RFC 9112, section 3, asks for at least 8,000 octets of request line
HEAD_LIMIT = 16 * 1024
BODY_LIMIT = 64 * 1024
IDLE_SECONDS = 30.0
BODY_SECONDS = 10.0
TOO_MUCH_HEAD = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})
REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e]+) HTTP/([0-9])\.([0-9])")
HEADER_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*")


class RefusedError(Exception):
    """A request that makes no sense or would be too much: it is answered, and then its connection ends."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


@dataclass(slots=True)
class Request:
    """What a client asked for; filled in as it arrives."""

    line: str = ""
    method: str = ""
    path: str = ""
    query: dict[str, str] = field(default_factory=dict)
    version: tuple[int, int] = (1, 1)
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def keep_alive(self) -> bool:
        """Whether the client wants the connection kept (RFC 9112, section 9.3)."""
        options = {option.strip().lower() for option in self.headers.get("connection", "").split(",")}
        return "close" not in options and (self.version >= (1, 1) or "keep-alive" in options)


@dataclass(frozen=True, slots=True)
class Response:
    """What it gets."""

    status: HTTPStatus
    body: str
    content_type: str = "text/plain; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and how it was answered, for the access log."""

    client: str
    request: Request
    status: int
    size: int
    seconds: float


class Server:
    """Answers requests until it is told to stop.

    `answer` makes the response to a request, `log` is told of each exchange once the response is on its way.
    """

    def __init__(self, answer: Callable[[Request], Awaitable[Response]], log: Callable[[Exchange], None]) -> None:
        self._answer = answer
        self._log = log
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._idle: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def start(self, host: str, port: int) -> None:
        """Listen. OSError if that address cannot be had."""
        self._server = await asyncio.start_server(self._accepted, host, port, limit=LINE_LIMIT)

    async def stop(self, grace: float) -> int:
        """Accept nothing more; requests in flight have `grace` seconds. Returns how many were cut short."""
        self._stopping = True
        if self._server is not None:
            self._server.close()
        for connection in self._idle:
            connection.cancel()
        late: set[asyncio.Task[None]] = set()
        if self._connections:
            _, late = await asyncio.wait(self._connections, timeout=grace)
        for connection in late:
            connection.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        return len(late)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.get_running_loop().create_task(self._converse(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            # A client that goes away or falls silent in the middle is no failure of ours.
            with contextlib.suppress(ConnectionError, TimeoutError, asyncio.IncompleteReadError):
                while await self._exchange(reader, writer) and not self._stopping:
                    pass
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its response; returns whether the connection goes on."""
        request, began, refused = Request(), time.monotonic(), False
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                line = await self._request_line(reader)
                began = time.monotonic()
                read_request_line(line, request)
                request.headers = await read_headers(reader)
                length = body_length(request)
            if length and request.headers.get("expect", "").lower() == "100-continue":
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            async with asyncio.timeout(BODY_SECONDS):
                request.body = await reader.readexactly(length)
        except RefusedError as refusal:
            refused = True
            response = Response(refusal.status, f"{refusal}\n")
        else:
            response = await self._answered(request)

        goes_on = request.keep_alive and not refused and not self._stopping
        body = response.body.encode()
        writer.write(head_of(response, len(body), goes_on=goes_on))
        if request.method != "HEAD":
            writer.write(body)
        async with asyncio.timeout(BODY_SECONDS):
            await writer.drain()
        client = str((writer.get_extra_info("peername") or ("-",))[0])
        self._log(Exchange(client, request, response.status, len(body), time.monotonic() - began))
        if refused:
            await swallow_rest(reader, writer)
        return goes_on

    async def _answered(self, request: Request) -> Response:
        try:
            return await self._answer(request)
        except Exception:  # noqa: BLE001 - whatever broke, the other customers are still served
            traceback.print_exc()
            return Response(HTTPStatus.INTERNAL_SERVER_ERROR, "Something broke in the shop.\n")

    async def _request_line(self, reader: asyncio.StreamReader) -> bytes:
        """The next request's first line. Until it is there, stopping need not wait for this connection."""
        task = asyncio.current_task()
        assert task is not None
        self._idle.add(task)
        try:
            line = await read_line(reader, HTTPStatus.REQUEST_URI_TOO_LONG)
            # RFC 9112, section 2.2: an empty line before a request is an old client's slip, and ignored.
            return line or await read_line(reader, HTTPStatus.REQUEST_URI_TOO_LONG)
        finally:
            self._idle.discard(task)


async def read_line(reader: asyncio.StreamReader, too_long: HTTPStatus) -> bytes:
    """A line without its end."""
    try:
        line = await reader.readuntil(b"\n")
    except asyncio.LimitOverrunError:
        raise RefusedError(too_long, f"A line of more than {LINE_LIMIT} bytes.") from None
    if not line.endswith(b"\r\n"):
        raise RefusedError(HTTPStatus.BAD_REQUEST, "Lines end with carriage return and line feed.")
    return line[:-2]


def read_request_line(line: bytes, request: Request) -> None:
    """`GET /path?query HTTP/1.1`, into `request`."""
    request.line = line.decode("latin-1")
    parts = REQUEST_LINE.fullmatch(line)
    if parts is None:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "A request begins with a method, a target and HTTP/1.1.")
    request.method = parts[1].decode("ascii")
    request.version = (int(parts[3]), int(parts[4]))
    if request.version[0] != 1:
        raise RefusedError(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "This shop speaks HTTP/1.1.")
    if request.method not in METHODS:
        raise RefusedError(HTTPStatus.NOT_IMPLEMENTED, f"{request.method} is no method known here.")
    try:
        # A whole address in place of a path has to be understood (RFC 9112, section 3.2.2), and urlsplit()
        # does. With no host before it, though, it would take the start of `//path` for one.
        target = parts[2].decode("ascii")
        split = urlsplit(f"http://-{target}" if target.startswith("/") else target)
        request.path = unquote(split.path) or "/"
        request.query = {key: values[0] for key, values in parse_qs(split.query, max_num_fields=20).items()}
    except ValueError as error:
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"The target makes no sense: {error}.") from None


async def read_headers(reader: asyncio.StreamReader) -> dict[str, str]:
    """Every header line up to the empty one; names in small letters."""
    headers: dict[str, str] = {}
    size = 0
    while line := await read_line(reader, TOO_MUCH_HEAD):
        size += len(line) + 2
        if size > HEAD_LIMIT:
            raise RefusedError(TOO_MUCH_HEAD, f"More than {HEAD_LIMIT} bytes of headers.")
        parts = HEADER_LINE.fullmatch(line)
        if parts is None:
            raise RefusedError(HTTPStatus.BAD_REQUEST, "A header is a name, a colon and a value.")
        key, value = parts[1].decode("ascii").lower(), parts[2].decode("latin-1")
        if key in headers and key in {"host", "content-length"}:
            raise RefusedError(HTTPStatus.BAD_REQUEST, f"More than one {key} header.")
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return headers


def body_length(request: Request) -> int:
    """How many bytes of body follow the headers (RFC 9112, section 6)."""
    if request.version >= (1, 1) and "host" not in request.headers:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "HTTP/1.1 asks for a Host header.")
    length = request.headers.get("content-length")
    if "transfer-encoding" in request.headers:
        if length is not None:  # two opinions on where the body ends are how requests are smuggled
            raise RefusedError(HTTPStatus.BAD_REQUEST, "Content-Length and Transfer-Encoding, both.")
        raise RefusedError(HTTPStatus.LENGTH_REQUIRED, "Bodies are taken with a Content-Length only.")
    if length is None:
        return 0
    if not (length.isascii() and length.isdigit()):
        raise RefusedError(HTTPStatus.BAD_REQUEST, "Content-Length is not a number.")
    # The number of digits first: int() refuses thousands of them.
    if len(length.lstrip("0")) > 6 or int(length) > BODY_LIMIT:
        raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A body of more than {BODY_LIMIT} bytes.")
    return int(length)


def head_of(response: Response, length: int, *, goes_on: bool) -> bytes:
    """Status line and headers."""
    lines = [
        f"HTTP/1.1 {response.status.value} {response.status.phrase}",
        f"Date: {formatdate(usegmt=True)}",
        f"Content-Type: {response.content_type}",
        f"Content-Length: {length}",
        f"Connection: {'keep-alive' if goes_on else 'close'}",
        *(f"{key}: {value}" for key, value in response.headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def swallow_rest(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read on for a moment before closing (RFC 9112, section 9.6).

    To close a socket that holds unread bytes is to reset it, and a reset can overtake the response in flight.
    """
    writer.write_eof()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1.0):
            while await reader.read(LINE_LIMIT):
                pass
