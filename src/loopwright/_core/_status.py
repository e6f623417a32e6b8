"""How a process ended, as a value.

`wait(2)` squeezes code, signal and core flag into one integer and asyncio squeezes that into a signed one, with 255 for
"somebody else took it". Here each is a field, and a status nobody can know is a type of its own.
"""

from __future__ import annotations

import os
import signal as signals
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import resource

__all__ = ["ExitStatus", "ResourceUsage", "StatusLost", "named_signal", "signal_name"]

#: What asyncio's child handlers are given for a status that cannot be known (CPython, asyncio/unix_events.py).
ASYNCIO_UNKNOWN = 255


def signal_name(number: int) -> str:
    """`SIGTERM` for 15; real-time signals, which Python leaves unnamed, as `SIGRTMIN+3`; else `signal 99`."""
    try:
        return signals.Signals(number).name
    except ValueError:
        low, high = getattr(signals, "SIGRTMIN", 0), getattr(signals, "SIGRTMAX", 0)
        return f"SIGRTMIN+{number - low}" if low < number < high else f"signal {number}"


class ResourceUsage(NamedTuple):
    """What a process and the descendants it waited for used, as `getrusage(2)` counts it."""

    user_time: float
    """CPU seconds in user mode."""
    system_time: float
    """CPU seconds in the kernel."""
    max_rss: int
    """The largest resident set it had, in bytes. Never less than that of the program which started it had at that
    moment: Linux lets a new program begin with the mark of the memory it replaces (exec_mmap() in fs/exec.c)."""
    minor_faults: int = 0
    """Page faults that needed no reading."""
    major_faults: int = 0
    """Page faults that did."""
    blocks_in: int = 0
    """Reads the file system had to do, in blocks of 512 bytes."""
    blocks_out: int = 0
    """Writes the file system had to do, in blocks of 512 bytes."""
    voluntary_switches: int = 0
    """How often it gave the processor away, waiting for something."""
    involuntary_switches: int = 0
    """How often the processor was taken from it."""

    @property
    def cpu_time(self) -> float:
        """User and system time together, in seconds."""
        return self.user_time + self.system_time

    @classmethod
    def from_rusage(cls, usage: resource.struct_rusage) -> ResourceUsage:
        """From what `os.wait4()` gives. Linux counts `ru_maxrss` in KiB (getrusage(2)); macOS in bytes."""
        unit = 1 if os.uname().sysname == "Darwin" else 1024
        return cls(
            usage.ru_utime,
            usage.ru_stime,
            usage.ru_maxrss * unit,
            usage.ru_minflt,
            usage.ru_majflt,
            usage.ru_inblock,
            usage.ru_oublock,
            usage.ru_nvcsw,
            usage.ru_nivcsw,
        )


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """How a process ended: by itself with a `code`, or by a `signal`; exactly one of the two is not None."""

    code: int | None
    """What it passed to `exit()`, 0 to 255; None if a signal ended it."""
    signal: int | None = None
    """The signal that ended it (a `signal.Signals` where Python knows its name); None if it ended by itself."""
    core_dumped: bool = False
    """Whether the kernel wrote a core dump (`WCOREDUMP`, `CLD_DUMPED`)."""
    usage: ResourceUsage | None = None
    """What it used, where the mechanism that saw the exit can tell."""

    def __post_init__(self) -> None:
        if (self.code is None) == (self.signal is None):
            raise ValueError(f"a process ends by a code or by a signal: {self.code=}, {self.signal=}")

    @property
    def success(self) -> bool:
        """Whether it ended by itself with 0."""
        return self.code == 0

    @property
    def returncode(self) -> int:
        """The same as `subprocess.Popen.returncode`: the code, or the signal's number made negative."""
        return self.code if self.code is not None else -int(self.signal or 0)

    @property
    def shell_code(self) -> int:
        """What a shell would have in `$?`: the code, or 128 and the signal's number."""
        return self.code if self.code is not None else 128 + int(self.signal or 0)

    def __str__(self) -> str:
        if self.code is not None:
            return f"exited with status {self.code}"
        return f"was ended by {signal_name(int(self.signal or 0))}{' (core dumped)' if self.core_dumped else ''}"

    @classmethod
    def from_returncode(cls, returncode: int, usage: ResourceUsage | None = None) -> ExitStatus:
        """From a `Popen`-style returncode; the core flag is lost in that form."""
        if returncode >= 0:
            return cls(returncode, usage=usage)
        return cls(None, named_signal(-returncode), usage=usage)

    @classmethod
    def from_wait(cls, status: int, usage: ResourceUsage | None = None) -> ExitStatus:
        """From the integer that `os.waitpid()` gives (wait(2)). ValueError if it says stopped or continued."""
        if os.WIFEXITED(status):
            return cls(os.WEXITSTATUS(status), usage=usage)
        if os.WIFSIGNALED(status):
            return cls(None, named_signal(os.WTERMSIG(status)), os.WCOREDUMP(status), usage)
        raise ValueError(f"wait status {status:#x} is not that of a process that ended")

    @classmethod
    def from_siginfo(cls, code: int, status: int, usage: ResourceUsage | None = None) -> ExitStatus:
        """From `si_code` and `si_status` of `waitid(2)`. ValueError if they say stopped or continued."""
        if code == os.CLD_EXITED:
            return cls(status, usage=usage)
        if code in (os.CLD_KILLED, os.CLD_DUMPED):
            return cls(None, named_signal(status), code == os.CLD_DUMPED, usage)
        raise ValueError(f"si_code {code} is not that of a process that ended")


@dataclass(frozen=True, slots=True)
class StatusLost:
    """The process has ended, and how cannot be known any more: something else in this program reaped it.

    `signal.signal(SIGCHLD, SIG_IGN)` does that (wait(2), "the process's exit status is discarded"), and so does any
    code that calls `os.waitpid()` with this pid or with -1. Never a made-up 0: this is a value that says it.
    """

    reason: str
    """Who may have taken it, as one sentence."""
    usage: ResourceUsage | None = None

    code: None = field(default=None, init=False)
    signal: None = field(default=None, init=False)
    core_dumped: bool = field(default=False, init=False)

    @property
    def success(self) -> bool:
        """False: what is not known did not demonstrably go well."""
        return False

    @property
    def returncode(self) -> int:
        """255, as asyncio reports it: the only place where a made-up number is given, because its type is an int."""
        return ASYNCIO_UNKNOWN

    @property
    def shell_code(self) -> int:
        """255, see `returncode`."""
        return ASYNCIO_UNKNOWN

    def __str__(self) -> str:
        return f"ended, its status lost: {self.reason}"


def named_signal(number: int) -> Any:
    """The number of a signal, as a `signal.Signals` where Python knows its name."""
    try:
        return signals.Signals(number)
    except ValueError:
        return number
