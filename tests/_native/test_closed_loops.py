"""Transports whose loop was closed under them, asyncio's own as the oracle."""

from __future__ import annotations

import asyncio
import gc
import socket
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from loopwright._native import MISSING

if TYPE_CHECKING:
    from collections.abc import Callable

if MISSING is not None:
    pytest.skip(MISSING, allow_module_level=True)

from loopwright.loops import NativeEventLoop

#: What is done to it, and what comes of that.
METHODS: dict[str, tuple[Callable[[Any], None], bool]] = {
    "close": (lambda transport: transport.close(), False),
    "abort": (lambda transport: transport.abort(), False),
    "resume_reading": (lambda transport: transport.resume_reading(), False),
    "write, and all goes at once": (lambda transport: transport.write(b"some"), True),
    "write, and some has to wait": (lambda transport: transport.write(b"x" * 5_000_000), False),
    "pause_reading": (lambda transport: transport.pause_reading(), True),
    "write_eof": (lambda transport: transport.write_eof(), True),
}


@pytest.mark.parametrize("make_loop", [asyncio.SelectorEventLoop, NativeEventLoop])
@pytest.mark.parametrize("method", METHODS)
def test_what_needs_the_loop_says_that_it_is_closed(make_loop: Callable[[], Any], method: str) -> None:
    do, works = METHODS[method]
    loop = make_loop()
    mine, theirs = socket.socketpair()
    transport, _ = loop.run_until_complete(loop.create_unix_connection(asyncio.Protocol, sock=mine))
    if method == "resume_reading":
        transport.pause_reading()
    loop.close()
    if works:
        do(transport)
    else:
        with pytest.raises(RuntimeError, match="Event loop is closed"):
            do(transport)
    theirs.close()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # nobody can close it any longer
        del transport
        gc.collect()
    assert mine.fileno() == -1
