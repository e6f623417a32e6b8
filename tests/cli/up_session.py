"""A running `loopwright up`, read and steered as a person at a terminal or a script would."""

from __future__ import annotations

import codecs
import contextlib
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
#: What of /proc/PID/status says why a process hears nothing.
TELLING = ("State", "Threads", "SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt")


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
        self._decode = codecs.getincrementaldecoder("utf-8")().decode  # a letter may come in two pieces
        self._mark = f"LOOPWRIGHT_TEST={os.getpid()}.{id(self)}"
        name, _, value = self._mark.partition("=")
        environment = {**os.environ, name: value, "PYTHONFAULTHANDLER": "1", **popen.pop("environment", {})}
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
            piece = self._piece(deadline)
            assert piece, f"no {pattern!r} in\n{self.output}\n{self.state() if piece is None else self.errors()}"
            self.output += self._decode(piece)
        return found

    def _piece(self, deadline: float) -> bytes | None:
        """What it writes next: nothing at the end, None if nothing comes in time."""
        assert self.popen.stdout is not None
        ready, _, _ = select.select([self.popen.stdout], [], [], max(0.0, deadline - time.monotonic()))
        return os.read(self.popen.stdout.fileno(), 1 << 16) if ready else None

    def supervisor(self) -> int:
        """The process id of the supervisor, from what it says of itself."""
        return int(self.read_until(r"process (\d+), kept by process")[1])

    def signal(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)

    def end(self) -> int:
        """Waits until it has ended; its exit status. Its output is then whole, and nothing of it is left."""
        if (output := self.popen.stdout) is not None and not output.closed:
            deadline = time.monotonic() + SOON
            while piece := self._piece(deadline):
                self.output += self._decode(piece)
            assert piece is not None, f"it has not ended:\n{self.output}\n{self.state()}"
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

    def has_said_something_on_stderr(self) -> bool:
        """Or has ended; waits for either. Nothing of it is read yet."""
        assert self.popen.stderr is not None
        return bool(select.select([self.popen.stderr], [], [], SOON)[0])

    def state(self) -> str:
        """Of one that hangs, for whoever reads of it: what each of its processes does, and where its Python is.

        That ends it.
        """
        told = []
        for pid, words in self.processes().items():
            for name in ("wchan", "syscall", "status"):
                try:
                    with open(f"/proc/{pid}/{name}") as file:
                        lines = [line for line in file if name != "status" or line.startswith(TELLING)]
                        words += f"\n  {name}: {'; '.join(lines)}"
                except OSError as error:
                    words += f"\n  {name}: {error.strerror}"
            told.append(f"{pid} {words}")
        for pid in self.processes():
            os.kill(pid, signal.SIGABRT)  # PYTHONFAULTHANDLER has it write down where its threads are
        deadline = time.monotonic() + SOON
        while self.processes() and time.monotonic() < deadline:
            time.sleep(0.02)
        self.clean_up_processes()
        return "\n".join([*told, self.errors()])

    def nothing_is_left(self) -> None:
        self.until_ended("")

    def until_ended(self, command: str) -> None:
        """Waits until none runs whose command line begins like that."""
        deadline = time.monotonic() + SOON
        while left := {pid: words for pid, words in self.processes().items() if words.startswith(command)}:
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

    def clean_up_processes(self) -> None:
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def clean_up(self) -> None:
        self.clean_up_processes()
        self.popen.wait(SOON)
        for stream in (self.popen.stdout, self.popen.stderr):
            if stream is not None:
                stream.close()
