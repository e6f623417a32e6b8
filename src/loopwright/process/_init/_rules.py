"""What `loopwright init` decides, as functions of values and of a time that is handed in, without system calls."""

from __future__ import annotations

import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

#: Sent to a process that reads or writes a terminal it is not in the foreground of, or by Ctrl-Z (termios(3)).
JOB_CONTROL = frozenset({signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU})
#: While the rest is ending, one of these means: at once.
HURRY = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGQUIT})
#: Unless it comes so soon after the child's end (seconds) that it is part of what ended the child: `timeout` signals
#: its child and then its whole group.
ONE_WISH = 0.15
#: Seconds after which what has not died of SIGKILL (it hangs inside the kernel) is named and left.
PATIENCE = 10.0
#: `EX_SOFTWARE` of sysexits.h: something was left.
LEFT_OVER = 70


def signal_number(text: str) -> int:
    """15 for "15", "TERM" or "SIGTERM"; "RTMIN+3" and "RTMAX-1" are understood. ValueError for all else."""
    name = text.strip().upper()
    if name.isascii() and name.isdigit():
        number = int(name[:9])
        if number in signal.valid_signals():
            return number
        raise ValueError(f"there is no signal {text.strip()}")
    name = name if name.startswith("SIG") else f"SIG{name}"
    for base, sign in (("SIGRTMIN", "+"), ("SIGRTMAX", "-")):
        stem, found, offset = name.partition(sign)
        if stem == base and found and offset.isascii() and offset.isdigit():
            number = int(signal.Signals[base]) + int(f"{sign}{offset}")
            if signal.SIGRTMIN <= number <= signal.SIGRTMAX:
                return number
    if name in signal.Signals.__members__:
        return int(signal.Signals[name])
    raise ValueError(f"there is no signal {text.strip()!r}")


def signal_name(number: int) -> str:
    """`SIGKILL` for 9; real-time signals, which Python leaves unnamed, as `SIGRTMIN+3`."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIGRTMIN+{number - signal.SIGRTMIN}"


def forwarded(number: int, rewrites: Mapping[int, int]) -> int | None:
    """What is sent to the child for a signal received; None if nothing is."""
    if number == signal.SIGCHLD:
        return None
    return rewrites.get(number, number) or None


def exit_code(status: int, expected: Collection[int]) -> int:
    """The exit status for a wait status, as a shell and tini say it: 128 + n for signal n; 0 for what is expected."""
    code = os.waitstatus_to_exitcode(status)
    code = code if code >= 0 else 128 - code
    return 0 if code in expected else code


def told(status: int) -> str:
    """How a process ended, as the end of a sentence."""
    code = os.waitstatus_to_exitcode(status)
    return f"ended with status {code}" if code >= 0 else f"was ended by {signal_name(-code)}"


class Ending:
    """What is sent to whom after the main child's end, and until when.

    Its numbers are those of os.kill(): process ids, or negative for a process group.
    """

    __slots__ = ("_asked", "_began", "_kill_at", "_killed_at", "killed")

    def __init__(self, grace: float, now: float) -> None:
        """`grace`: seconds between SIGTERM and SIGKILL. `now`: the moment at which the main child's end was seen."""
        self._began = now
        self._kill_at = now + grace
        self._killed_at: float | None = None
        self._asked: set[int] = set()
        self.killed = 0
        """How many were sent SIGKILL."""

    def due(self, left: Collection[int], now: float) -> tuple[int, list[int]]:
        """The signal to be sent now, and to which of those that are left.

        SIGTERM goes to each once, as it comes: an orphan of somebody who has just ended is asked too. SIGKILL is
        repeated: it costs nothing, and one that could not be sent before (EPERM, before a set-uid program has
        dropped it) may be possible now.
        """
        if now < self._kill_at:
            fresh = [number for number in left if number not in self._asked]
            self._asked.update(fresh)
            return signal.SIGTERM, fresh
        if self._killed_at is None:
            self._killed_at = now
            self._asked.clear()
        self.killed += len([number for number in left if number not in self._asked])
        self._asked.update(left)
        return signal.SIGKILL, list(left)

    def reaped(self, pid: int) -> None:
        """That process is gone: whoever gets its number next is another one."""
        self._asked.discard(pid)

    def hear(self, number: int, now: float) -> bool:
        """A signal came; whether it means that SIGKILL is due now."""
        if number not in HURRY or now < self._began + ONE_WISH or now >= self._kill_at:
            return False
        self._kill_at = now
        return True

    def hopeless(self, now: float) -> bool:
        """Whether what is left now has been sent SIGKILL long ago."""
        return self._killed_at is not None and now >= self._killed_at + PATIENCE

    def pause(self, now: float, longest: float) -> float:
        """Seconds to wait for news, at most `longest`; less if SIGKILL is due before."""
        return min(longest, max(0.0, self._kill_at - now)) if now < self._kill_at else longest
