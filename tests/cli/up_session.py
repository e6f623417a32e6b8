"""A running `loopwright up`, read and steered as a person at a terminal or a script would."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: Long enough for a busy machine; nothing waits for it to pass.
SOON = 30.0


def from_a_shell(then: Callable[[], object] | None) -> Callable[[], None]:
    """What gives a child the signals that a person's shell gives it, whatever those who run these tests ignore (nohup
    does, and some CI), and then does what the test wants."""

    def prepare() -> None:
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        if then is not None:
            then()

    return prepare


class Up:
    """`loopwright up` in a folder, its standard output a pipe or the pseudo-terminal `tty`."""

    def __init__(self, folder: Path, services: str, *options: str, tty: int | None = None, **popen: Any) -> None:
        (folder / "loopwright.toml").write_text(services)
        self.folder = folder
        self.output = ""
        self._mark = f"LOOPWRIGHT_TEST={os.getpid()}.{id(self)}"
        name, _, value = self._mark.partition("=")
        environment = {**os.environ, name: value, **popen.pop("environment", {})}
        command = [sys.executable, "-m", "loopwright", "up", *options]
        popen["preexec_fn"] = from_a_shell(popen.get("preexec_fn"))
        if tty is None:
            popen.setdefault("stdout", subprocess.PIPE)
        else:
            popen |= {"stdin": tty, "stdout": tty}
        self.popen = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, **popen)

    def read_until(self, pattern: str, *, since: int = 0) -> re.Match[str]:
        """Reads on until a line of the output matches, from character `since` on."""
        assert self.popen.stdout is not None
        deadline = time.monotonic() + SOON
        search = re.compile(pattern, re.MULTILINE).search
        while (found := search(self.output, since)) is None:
            since = max(since, self.output.rfind("\n") + 1)  # whole lines need not be searched again
            ready, _, _ = select.select([self.popen.stdout], [], [], max(0.0, deadline - time.monotonic()))
            piece = os.read(self.popen.stdout.fileno(), 1 << 16) if ready else b""
            assert piece, f"no {pattern!r} in\n{self.output}\n{self.errors() if ready else ''}"
            self.output += piece.decode()
        return found

    def supervisor(self) -> int:
        """The process id of the supervisor, from what it says of itself."""
        return int(self.read_until(r"process (\d+), kept by process")[1])

    def signal(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)

    def end(self) -> int:
        """Waits until it has ended; its exit status. Its output is then whole, and nothing of it is left."""
        if self.popen.stdout is not None and not self.popen.stdout.closed:
            self.output += self.popen.stdout.read().decode()
        status = self.popen.wait(SOON)
        self.nothing_is_left()
        return status

    def stop(self) -> int:
        """Asks it to stop, as Ctrl-C does, and waits."""
        self.signal(signal.SIGINT)
        return self.end()

    def errors(self) -> str:
        """What it wrote to standard error. Only once it has ended."""
        assert self.popen.stderr is not None
        return "" if self.popen.stderr.closed else self.popen.stderr.read().decode()

    def nothing_is_left(self) -> None:
        deadline = time.monotonic() + SOON
        while left := self.processes():
            assert time.monotonic() < deadline, f"still running: {left}\n{self.output}"
            time.sleep(0.02)

    def processes(self) -> dict[int, str]:
        """All that run with this session's mark in their environment: it is inherited, and nobody here hides it."""
        found = {}
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/environ", "rb") as file:
                    if self._mark.encode() in file.read().split(b"\0"):
                        with open(f"/proc/{name}/cmdline", "rb") as line:
                            found[int(name)] = line.read().replace(b"\0", b" ").decode()
            except OSError:
                continue  # it has ended, or is a zombie, which has no environment any more
        return found

    def clean_up(self) -> None:
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        self.popen.wait(SOON)
        for stream in (self.popen.stdout, self.popen.stderr):
            if stream is not None:
                stream.close()
