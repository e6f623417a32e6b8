"""What `loopwright init` says, on standard error."""

from __future__ import annotations

import os
import select

WARNINGS, STEPS, EVERYTHING = 1, 2, 3


class Voice:
    """Standard error, as long as that costs nothing."""

    __slots__ = ("_heard", "verbosity")

    def __init__(self) -> None:
        self.verbosity = WARNINGS
        try:
            os.fstat(2)
            self._heard = True
        except OSError:
            self._heard = False

    def say(self, level: int, text: str) -> None:
        """One line, or nothing: a full pipe, a paused terminal or a full disk must not hold up signals."""
        if not self._heard or level > self.verbosity:
            return
        # A pipe that is writable has room for PIPE_BUF bytes (pipe(7)), so up to 4,096 this does not block.
        line = f"loopwright init: {text}\n".encode(errors="backslashreplace")[:4096]
        try:
            poll = select.poll()
            poll.register(2, select.POLLOUT)
            if poll.poll(0):
                os.write(2, line)
        except OSError:
            return  # nobody reads it any more, or there is no room: nobody can be told
