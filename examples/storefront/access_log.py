"""The shop's access log: one file that several processes write to without mixing up their lines."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from http11 import Exchange

SIZE_LIMIT = 5 * 1024 * 1024


class AccessLog:
    """Appends a line for each exchange; past five megabytes it begins a new file and keeps one old one.

    A file opened with O_APPEND is written to at its end, whoever else writes (open(2)), and each line is one
    `write(2)`: so no process can write into another's line. The form is the usual "combined" one, and after
    it the seconds that the answer took and the server that gave it.
    """

    def __init__(self, path: Path, server: str) -> None:
        self._path = path
        self._server = server
        self._file = self._open()
        self._complained = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def write(self, exchange: Exchange) -> None:
        """Append a line. A full disk ends no service: it is said once, and the shop stays open."""
        request = exchange.request
        line = (
            f"{exchange.client} - - [{time.strftime('%d/%b/%Y:%H:%M:%S +0000', time.gmtime())}] "
            f"{_quoted(request.line)} {exchange.status} {exchange.size} "
            f"{_quoted(request.headers.get('referer', '-'))} "
            f"{_quoted(request.headers.get('user-agent', '-'))} "
            f"{exchange.seconds:.6f} {self._server}\n"
        )
        try:
            self._keep_small()
            os.write(self._file, line.encode("ascii"))
        except OSError as error:
            if not self._complained:
                print(f"web: no more access log: {self._path}: {error.strerror}", file=sys.stderr, flush=True)
            self._complained = True
        else:
            self._complained = False

    def _keep_small(self) -> None:
        if self._is_current() and os.fstat(self._file).st_size < SIZE_LIMIT:
            return
        # One process at a time, and each looks again once it is its turn: or the second one would move the
        # new, almost empty file over the old one.
        lock = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self._is_current():
                self._path.rename(self._path.with_suffix(".log.1"))
            fresh = self._open()
        finally:
            os.close(lock)
        os.close(self._file)
        self._file = fresh

    def _is_current(self) -> bool:
        """Whether the open file is still the one of that name, or another process has begun a new one."""
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(self._file), self._path.stat())
        return False

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def _quoted(text: str) -> str:
    """In quotes, in ASCII, cut at 200 characters, control characters written out: programs read logs too."""
    short = text if len(text) <= 200 else text[:197] + "..."
    return '"' + short.encode("unicode_escape").decode("ascii").replace('"', r"\x22") + '"'
