"""sock_recv(), sock_sendall() and the others of the native loop, and name resolution where nobody has to be asked.

They are asyncio's to the words of their errors; where they differ is said in `_native/_socks.py`, which has what is hot
of them. A socket of a class of its own may have methods of its own: it gets asyncio's operations, which use these.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import TYPE_CHECKING, Any

from loopwright._native import MISSING

if MISSING is None:
    from loopwright._native._literals import addresses, is_literal
    from loopwright._native._socks import forget, readable, recv_into_now, recv_now, send_now, writable


__all__ = ["SockMethods"]

#: With which a connect() has not ended yet: those of BlockingIOError and InterruptedError.
UNDER_WAY = {errno.EAGAIN, errno.EALREADY, errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EINTR}
#: By name, for somebody may put another class into its place.
Socket = socket.socket
real_getaddrinfo = socket.getaddrinfo


class SockMethods(asyncio.SelectorEventLoop):
    """What NativeEventLoop has of these; beside `LoopCore`."""

    if TYPE_CHECKING:
        _debug: bool
        _ensure_resolved: Any
        _getaddrinfo_debug: Any

    def _forget_sock(self, reference: Any) -> None:
        forget(self, reference)

    async def sock_recv(self, sock: socket.socket, n: int) -> bytes:
        if type(sock) is not Socket:
            return await super().sock_recv(sock, n)
        if self._debug:
            check_non_blocking(sock)
        while (data := recv_now(self, sock, n)) is None:
            await readable(self, sock)
        return data

    async def sock_recv_into(self, sock: socket.socket, buf: Any) -> int:
        if type(sock) is not Socket:
            return await super().sock_recv_into(sock, buf)
        if self._debug:
            check_non_blocking(sock)
        while (size := recv_into_now(sock, buf)) is None:
            await readable(self, sock)
        return size

    async def sock_recvfrom(self, sock: socket.socket, bufsize: int) -> tuple[bytes, Any]:
        if type(sock) is not Socket:
            return await super().sock_recvfrom(sock, bufsize)
        if self._debug:
            check_non_blocking(sock)
        while True:
            try:
                return sock.recvfrom(bufsize)
            except (BlockingIOError, InterruptedError):
                pass
            await readable(self, sock)

    async def sock_recvfrom_into(self, sock: socket.socket, buf: Any, nbytes: int = 0) -> tuple[int, Any]:
        if type(sock) is not Socket:
            return await super().sock_recvfrom_into(sock, buf, nbytes)
        if self._debug:
            check_non_blocking(sock)
        if not nbytes:
            nbytes = len(buf)
        while True:
            try:
                return sock.recvfrom_into(buf, nbytes)
            except (BlockingIOError, InterruptedError):
                pass
            await readable(self, sock)

    async def sock_sendall(self, sock: socket.socket, data: Any) -> None:
        if type(sock) is not Socket:
            return await super().sock_sendall(sock, data)
        if self._debug:
            check_non_blocking(sock)
        sent = send_now(sock, data, 0)
        if sent < 0:
            return None
        with memoryview(data) as view:  # so nobody can resize it meanwhile
            while sent >= 0:
                await writable(self, sock)
                sent = send_now(sock, view, sent)
        return None

    async def sock_sendto(self, sock: socket.socket, data: Any, address: Any) -> int:
        if type(sock) is not Socket:
            return await super().sock_sendto(sock, data, address)
        if self._debug:
            check_non_blocking(sock)
        while True:
            try:
                return sock.sendto(data, address)
            except (BlockingIOError, InterruptedError):
                pass
            await writable(self, sock)

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        if type(sock) is not Socket:
            return await super().sock_connect(sock, address)
        if self._debug:
            check_non_blocking(sock)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            resolved = await self._ensure_resolved(
                address, family=sock.family, type=sock.type, proto=sock.proto, loop=self
            )
            address = resolved[0][4]
        try:
            return sock.connect(address)
        except (BlockingIOError, InterruptedError):  # it goes on by itself, also where a signal has interrupted it
            pass
        while True:
            await writable(self, sock)
            number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if not number:
                return None
            if number not in UNDER_WAY:  # raised as it is made: a name for it here would be a cycle
                raise OSError(number, f"Connect call failed {address}")

    async def sock_accept(self, sock: socket.socket) -> tuple[socket.socket, Any]:
        if type(sock) is not Socket:
            return await super().sock_accept(sock)
        if self._debug:
            check_non_blocking(sock)
        while True:
            try:
                connection, address = sock.accept()
            except (BlockingIOError, InterruptedError):
                pass
            else:
                connection.setblocking(False)
                return connection, address
            await readable(self, sock)

    async def getaddrinfo(
        self,
        host: Any,
        port: Any,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002 - asyncio's name
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        """As asyncio's; without a thread if host is an address or None, and port a number or None."""
        if socket.getaddrinfo is real_getaddrinfo and not self._debug:  # programs replace it, to be asked
            found = addresses(host, port, family, type, proto, flags)
            if found is not None:
                return found
        if not is_literal(host, port):
            return await super().getaddrinfo(host, port, family=family, type=type, proto=proto, flags=flags)
        ask = self._getaddrinfo_debug if self._debug else socket.getaddrinfo
        return ask(host, port, family, type, proto, flags)


def check_non_blocking(sock: socket.socket) -> None:
    if sock.gettimeout() != 0:
        raise ValueError("the socket must be non-blocking")
