"""Hosts that are addresses, written out: what getaddrinfo() says of them is found here, without a thread.

Only the plainest forms are read, which inet_pton(3) takes; of any other it is `socket` that is asked.
"""

import socket
import sys

import cython

if not cython.compiled:
    raise ImportError("loopwright._native._literals is compiled code and does not run as plain Python")

from cython.cimports.loopwright._native._asyncio import (
    AF_INET,
    AF_INET6,
    IPPROTO_TCP,
    IPPROTO_UDP,
    SOCK_DGRAM,
    SOCK_STREAM,
    inet_ntop,
    inet_pton,
)

_INET = cython.declare(object, socket.AF_INET)
_INET6 = cython.declare(object, socket.AF_INET6)
_STREAM = cython.declare(object, socket.SOCK_STREAM)
_DGRAM = cython.declare(object, socket.SOCK_DGRAM)


def is_literal(host, port) -> bool:
    """Whether getaddrinfo() asks nobody for these: an address, or none, and a number."""
    address: cython.char[16]
    if type(port) is str:
        if not (port.isascii() and port.isdigit()):
            return False
    elif port is not None and type(port) is not int:
        return False
    if host is None:
        return True
    if type(host) is str:
        if not host.isascii():
            return False
        host = host.encode()
    elif type(host) is not bytes:
        return False
    if b"\0" in host:
        return False
    text: cython.p_char = host
    return inet_pton(AF_INET, text, address) == 1 or inet_pton(AF_INET6, text, address) == 1


def addresses(host, port, family, kind, proto, flags):
    """What socket.getaddrinfo() gives of an address in the plainest case, the one of nearly all; None in any other."""
    binary: cython.char[16]
    written: cython.char[46]
    protocol: cython.int
    if type(host) is not str or type(port) is not int or not 0 <= port <= 65535 or not host.isascii():
        return None
    if not (isinstance(family, int) and isinstance(kind, int) and isinstance(proto, int) and isinstance(flags, int)):
        return None
    if flags != 0 or "\0" in host:
        return None
    if kind == SOCK_STREAM:
        protocol = IPPROTO_TCP
        of_kind = _STREAM
    elif kind == SOCK_DGRAM:
        protocol = IPPROTO_UDP
        of_kind = _DGRAM
    else:
        return None
    if proto not in (0, protocol):
        return None
    encoded: bytes = host.encode()
    text: cython.p_char = encoded
    if family in (0, AF_INET) and inet_pton(AF_INET, text, binary) == 1:
        inet_ntop(AF_INET, binary, written, 46)
        found = (_INET, of_kind, protocol, "", (cython.cast(bytes, written).decode(), port))
    elif family in (0, AF_INET6) and inet_pton(AF_INET6, text, binary) == 1:
        inet_ntop(AF_INET6, binary, written, 46)
        found = (_INET6, of_kind, protocol, "", (cython.cast(bytes, written).decode(), port, 0, 0))
    else:
        return None
    sys.audit("socket.getaddrinfo", host, port, family, kind, proto, flags)
    return [found]
