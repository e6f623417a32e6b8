"""A new process's three standard streams: what the child is given, and what is on this side of it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import subprocess
import termios
from typing import TYPE_CHECKING, Any

from loopwright._spawning import INHERITED, NULL
from loopwright.errors import ArgumentsConflictError
from loopwright.process._outlet import Outlet
from loopwright.process._pipes import PIPE, ReadPipe, WritePipe, let_all_go

if TYPE_CHECKING:
    from collections.abc import Callable

    from loopwright._spawning import Request

__all__ = ["DEVNULL", "NO_STREAMS", "STDOUT", "Streams", "set_terminal_size"]

STDOUT = subprocess.STDOUT
DEVNULL = subprocess.DEVNULL


class TerminalInput(WritePipe):
    """This side of a terminal that the process reads from.

    Closing a descriptor ends nothing here, for it is the one that is read from, too. A terminal's reader meets its end
    where the terminal's end-of-file character (VEOF, Ctrl-D) stands at the beginning of a line; anywhere else that only
    hands on the unfinished line (termios(3)), so there it takes two. As script(1) does it. A program that has the
    terminal in raw mode gets the character itself, as it would from a keyboard.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, number: int) -> None:
        self._last = b"\n"
        super().__init__(loop, number)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if data and not self._closing:
            self._last = bytes(memoryview(data).cast("B")[-1:])
        super().write(data)

    def close(self) -> None:
        if not self._closing:
            end: bytes = termios.tcgetattr(self._number)[6][termios.VEOF]
            if end != b"\0":  # which is how it is switched off (_POSIX_VDISABLE)
                super().write(end if self._last in (b"\n", b"\r", end) else 2 * end)
        super().close()


class Streams:
    """The streams of one process, while it is being started."""

    __slots__ = ("_loop", "_pipesize", "_theirs", "ours", "stderr", "stdin", "stdout", "terminal")

    def __init__(self, loop: asyncio.AbstractEventLoop, pipesize: int = -1) -> None:
        self._loop = loop
        self._pipesize = pipesize
        self._theirs: list[int] = []
        self.ours: list[Outlet | ReadPipe | WritePipe] = []
        self.stdin: asyncio.StreamWriter | None = None
        self.stdout: Outlet | asyncio.StreamReader | None = None
        self.stderr: Outlet | None = None
        self.terminal: WritePipe | None = None
        """Holds this side of a terminal, to be let go of when the process has ended. Were it closed before that, at the
        end of the output, a program that closes its streams first and then exits, as cat does, would be sent SIGHUP."""

    def connect(self, stdin: Any, stdout: Any, stderr: Any) -> tuple[int, int, int]:
        """Make what is asked for, as descriptors for the child. ValueError or TypeError for what cannot be a stream."""
        first = INHERITED if stdin is None else self._first(stdin)
        second = INHERITED if stdout is None else self._output(stdout, "stdout")
        if stderr is None:
            return first, second, INHERITED
        if _is(stderr, STDOUT):
            return first, second, 1 if second == INHERITED else second
        return first, second, self._output(stderr, "stderr")

    def connect_terminal(self, wish: bool | tuple[int, int], request: Request) -> tuple[int, int, int]:
        """All three are a new pseudo-terminal, which the child is to control (pty(7))."""
        ours, theirs = os.openpty()
        self._theirs.append(theirs)
        try:
            if not isinstance(wish, bool):
                set_terminal_size(theirs, *wish)
            second = os.dup(ours)
        except BaseException:
            os.close(ours)
            raise
        try:
            self.stdout = self._reader(ours, self._let_go_of_input)
        except BaseException:
            os.close(second)
            raise
        self.stdin = self._writer(second, TerminalInput)
        self.terminal = WritePipe(self._loop, os.dup(second))
        self.ours.append(self.terminal)
        request.set(start_new_session=True, terminal=True)
        return theirs, theirs, theirs

    def close_theirs(self) -> None:
        """Close the child's ends here: it has them now, or will never be."""
        while self._theirs:  # each is forgotten first: if closing one fails, none is closed twice
            os.close(self._theirs.pop())

    def close_ours(self) -> None:
        """There will be no process."""
        let_all_go(self.ours)

    def _first(self, wish: Any) -> int:
        if not _is(wish, PIPE):
            return _number(wish, "stdin")
        theirs, ours = os.pipe()
        self._theirs.append(theirs)
        self._resize(ours)
        self.stdin = self._writer(ours)
        return theirs

    def _output(self, wish: Any, name: str) -> int:
        if not _is(wish, PIPE):
            return _number(wish, name)
        ours, theirs = os.pipe()
        self._theirs.append(theirs)
        self._resize(ours)
        try:
            outlet = Outlet(self._loop, ours)
        except BaseException:
            os.close(ours)
            raise
        self.ours.append(outlet)
        if name == "stdout":
            self.stdout = outlet
        else:
            self.stderr = outlet
        return theirs

    def _resize(self, number: int) -> None:
        if self._pipesize > 0:
            try:
                fcntl.fcntl(number, fcntl.F_SETPIPE_SZ, self._pipesize)
            except BaseException:
                os.close(number)
                raise

    def _let_go_of_input(self) -> None:
        """Nobody is left on the terminal. It would go on taking input until it is full, and then never be done."""
        if self.stdin is not None:
            self.stdin.transport.abort()

    def _reader(self, number: int, at_end: Callable[[], object] | None = None) -> asyncio.StreamReader:
        reader = asyncio.StreamReader(loop=self._loop)

        def receive(data: bytes) -> None:
            if data:
                reader.feed_data(data)
            else:
                reader.feed_eof()
                if at_end is not None:
                    at_end()

        pipe = ReadPipe(self._loop, number, receive, reader.set_exception)
        reader.set_transport(pipe)
        self.ours.append(pipe)
        return reader

    def _writer(self, number: int, kind: type[WritePipe] = WritePipe) -> asyncio.StreamWriter:
        pipe = kind(self._loop, number)
        self.ours.append(pipe)
        return asyncio.StreamWriter(pipe, pipe.get_protocol(), None, self._loop)


class NoStreams:
    """Of a process that has none of its own."""

    stdin: asyncio.StreamWriter | None = None
    stdout: Outlet | None = None
    stderr: Outlet | None = None
    terminal: WritePipe | None = None
    ours: tuple[()] = ()

    def close_theirs(self) -> None:
        """There is nothing to close."""

    close_ours = close_theirs


NO_STREAMS = NoStreams()


def set_terminal_size(number: int, rows: int, columns: int) -> None:
    """Tell a terminal how large it is; the programs on it get SIGWINCH (ioctl_tty(2)). OSError for what is none."""
    fcntl.ioctl(number, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def check_size(wish: Any) -> None:
    """TypeError or ValueError for what is no size of a terminal, nor True or False."""
    if isinstance(wish, bool):
        return
    if not isinstance(wish, (tuple, list)) or len(wish) != 2 or not all(isinstance(each, int) for each in wish):
        raise TypeError(f"pty is True, or (rows, columns), not {wish!r}")
    if not all(0 <= each < 1 << 16 for each in wish):
        raise ValueError(f"pty is (rows, columns), each from 0 to 65535, not {wish!r}")


def check_terminal(stdin: Any, stdout: Any, stderr: Any) -> None:
    """ArgumentsConflictError if a stream is asked for beside a terminal."""
    for name, wish in (("stdin", stdin), ("stdout", stdout), ("stderr", stderr)):
        if wish is not None:
            raise ArgumentsConflictError(
                f"pty= connects all three streams to the terminal: leave out {name}={wish!r}, or pty="
            )


def _is(wish: Any, special: int) -> bool:
    # By type, for True is no descriptor.
    return type(wish) is int and wish == special


def _number(wish: Any, name: str) -> int:
    """The descriptor of what is given for a stream."""
    if _is(wish, DEVNULL):
        return NULL
    number = wish if type(wish) is int else wish.fileno() if hasattr(wish, "fileno") else None
    if type(number) is not int:
        raise TypeError(f"{name} takes None, PIPE, DEVNULL, a descriptor or a file with one, not {wish!r}")
    if number < 0:
        raise ValueError(f"{name}={wish!r} is no descriptor, nor PIPE or DEVNULL (nor STDOUT, which is for stderr)")
    return number
