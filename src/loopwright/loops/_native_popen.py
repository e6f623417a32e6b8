"""Programs that the native loop starts: `subprocess.Popen`, but that our workers start the program.

Theory of operation. A Popen makes its pipes, looks at its arguments, and then has one method start the program
(`_execute_child`), which holds the loop, and for a part of it the GIL, until the program runs. Here that only says
what is to be started; a worker starts it, by clone3(2) and without the GIL (`_native._workers`), and `finish()` does
what is left of the method. So `get_extra_info("subprocess")` is a Popen in every respect.

What a worker cannot do is Popen's, and so are its errors: `preexec_fn=`, which is Python to be run in a copy of this
program; arguments that are wrong; machines where clone3(2) is refused. So it is if somebody has put another class in
`subprocess.Popen`'s place, as tests of programs do, or where that method takes other arguments than those it has in
Python 3.11 to 3.15.

The child is not in the ledger of `_spawning`: whoever watches it reaps it by its pid, as with every Popen.
"""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from loopwright import _spawning
from loopwright._spawning import Request
from loopwright.watchers._hubs import hub_of

if TYPE_CHECKING:
    import asyncio

    from loopwright._native import Start

__all__ = ["started"]

#: What `_execute_child` is given.
PARAMETERS = [
    "args",
    "executable",
    "preexec_fn",
    "close_fds",
    "pass_fds",
    "cwd",
    "env",
    "startupinfo",
    "creationflags",
    "shell",
    "p2cread",
    "p2cwrite",
    "c2pread",
    "c2pwrite",
    "errread",
    "errwrite",
    "restore_signals",
    "gid",
    "gids",
    "uid",
    "umask",
    "start_new_session",
    "process_group",
]
#: Of those, by their names in a `Request`, what they are by default.
OPTIONS = {
    "executable": ("executable", None),
    "shell": ("shell", False),
    "cwd": ("cwd", None),
    "env": ("env", None),
    "pass_fds": ("pass_fds", ()),
    "close_fds": ("close_fds", True),
    "restore_signals": ("restore_signals", True),
    "gid": ("group", None),
    "gids": ("extra_groups", None),
    "uid": ("user", None),
    "umask": ("umask", -1),
    "start_new_session": ("start_new_session", False),
    "process_group": ("process_group", -1),
}

_Popen: Any = subprocess.Popen
_is_known = list(inspect.signature(_Popen._execute_child).parameters)[1:] == PARAMETERS


async def started(
    loop: asyncio.AbstractEventLoop,
    args: Any,
    shell: bool,
    stdin: Any,
    stdout: Any,
    stderr: Any,
    bufsize: int,
    **options: Any,
) -> subprocess.Popen[bytes] | None:
    """A Popen whose program runs; None if asyncio is to make one. Raises what Popen raises.

    The loop is not held while the program is being started. A program whose start was cancelled is killed and reaped.
    """
    if not _is_known or subprocess.Popen is not _Popen or options.get("preexec_fn") is not None:
        return None
    process = Popen(args, shell=shell, stdin=stdin, stdout=stdout, stderr=stderr, bufsize=bufsize, **options)
    if process.start is not None:
        try:
            hub = hub_of(loop)
            try:
                await hub.start(process.start)
            except BaseException:
                hub.drop(process.start)
                raise
            process.finish()
        except BaseException:
            process.give_up()
            raise
    return process


class Popen(subprocess.Popen[bytes]):
    """One that is complete when `start` is done and `finish()` was called, unless `start` is None."""

    start: Start | None = None
    pid: int

    def _execute_child(self, *given: Any) -> None:
        asked = dict(zip(PARAMETERS, given, strict=True))
        args = asked["args"]
        if not isinstance(args, (str, bytes, os.PathLike)):
            args = asked["args"] = list(args)
        self._asked = asked
        options = {name: asked[word] for word, (name, default) in OPTIONS.items() if asked[word] not in (default, None)}
        try:
            self._request = Request(args, (asked["p2cread"], asked["c2pwrite"], asked["errwrite"]), **options)
            self.start = _spawning.order(self._request)
        except (TypeError, ValueError, OverflowError):
            self.start = None
        if self.start is None:
            self._start_here()  # or raise what is wrong with it in Popen's own words
        else:
            sys.audit("subprocess.Popen", self._request.name, self._words(), asked["cwd"], asked["env"])

    def _words(self) -> list[Any]:
        args = self._asked["args"]
        words = args if isinstance(args, list) else [args]
        return [self._request.name, "-c", *words] if self._asked["shell"] else words

    def _start_here(self) -> None:
        super()._execute_child(*self._asked.values())  # type: ignore[misc]  # typeshed does not know it

    def finish(self) -> None:
        """The start is done: take the program over. OSError for what went wrong, as Popen's."""
        start, self.start = self.start, None
        if start is None:
            raise AssertionError("there is nothing to finish")
        numbers = _spawning.numbers_taken(start, self._request)
        if numbers is None:  # clone3(2) is refused here, from now on
            self._start_here()
            return
        self.pid, pidfd = numbers
        if pidfd >= 0:
            os.close(pidfd)
        self._child_created = True
        self._close_theirs()

    def give_up(self) -> None:
        """Nothing was started: close what was opened."""
        for file in (self.stdin, self.stdout, self.stderr):
            if file is not None:
                file.close()
        if not self._closed_child_pipe_fds:  # type: ignore[attr-defined]  # likewise
            self._close_theirs()

    def _close_theirs(self) -> None:
        asked = self._asked
        ends = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(asked[end] for end in ends))  # type: ignore[attr-defined]  # likewise
