"""Does what `loopwright init` decides: the one process, its child, and what becomes of everything else."""

from __future__ import annotations

import errno
import os
import signal
import time

from . import _rules, _system
from ._options import HELP, Options, UsageError, read
from ._voice import EVERYTHING, STEPS, WARNINGS, Voice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

#: `EX_OSERR` of sysexits.h: no process could be made.
NO_PROCESS = 71
#: Seconds between attempts to fork where there is no room: orphans that end meanwhile make some.
FORK_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
#: Seconds between looks at what is left. An end that is a child's own is heard of at once, by SIGCHLD.
LOOK_EVERY = 0.05


def main(arguments: Sequence[str]) -> int:
    """The program's whole life: its exit status."""
    # Before anything is opened: what is opened next gets the number of a closed standard error, and our words with it.
    voice = Voice()
    signal.pthread_sigmask(signal.SIG_BLOCK, _system.ALL)
    try:
        options = read(arguments)
    except UsageError as error:
        voice.say(0, f"{error} (`loopwright init --help` has the options)")
        return 2
    if options.help:
        return _help()
    voice.verbosity = options.verbosity
    return _Init(options, voice).run()


def _help() -> int:
    try:
        os.write(1, HELP.encode())
    except OSError:
        return 1
    return 0


class _Init:
    def __init__(self, options: Options, voice: Voice) -> None:
        self._options = options
        self._say = voice.say
        self._me = os.getpid()
        self._environment = _system.environment()
        self._child = 0
        self._status: int | None = None
        self._reaps = False
        self._terminal = False
        self._stop_passed = False
        """Whether a signal that stops was passed on, and none that continues since: that stop is meant to last."""
        self._ending: _rules.Ending | None = None
        self._owed: list[int] = []
        self._released = False
        """Whether the main child has been reaped where only that is waited for."""

    def run(self) -> int:
        # Ignored, as by a parent that does not care for its children, it would have the kernel reap without a status
        # (wait(2)). The others are blocked and waited for, whatever they would do otherwise.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        # Only for suspending ourselves.
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        try:
            self._prepare()
        except OSError as error:
            self._say(0, f"{error.strerror}")
            return NO_PROCESS
        self._terminal = _system.in_foreground()
        try:
            self._child = self._start()
        except OSError as error:
            self._say(0, f"cannot start a process for {self._options.command[0]!r}: {error.strerror}")
            return NO_PROCESS
        self._say(STEPS, f"process {self._me} runs {' '.join(self._options.command)} as process {self._child}")
        for number in self._owed:
            self._hear(number)
        self._look()
        while self._status is None:
            self._take(None)
            self._look()
        return self._end(self._status)

    # --- before the child

    def _prepare(self) -> None:
        if self._options.subreaper and self._me != 1:
            try:
                _system.prctl(_system.PR_SET_CHILD_SUBREAPER, 1)
            except OSError as error:
                raise OSError(error.errno, f"cannot become a subreaper: {error.strerror}") from error
        self._reaps = self._me == 1 or self._options.subreaper or _system.is_subreaper()
        if not self._reaps:
            self._say(
                WARNINGS,
                f"this is process {self._me}, neither process 1 nor a subreaper: orphans are not adopted and not "
                "reaped; run it as process 1 (exec, in an entry point that is a shell script) or with --subreaper",
            )
        if self._options.parent_death is not None:
            parent = os.getppid()
            try:
                _system.prctl(_system.PR_SET_PDEATHSIG, self._options.parent_death)
            except OSError as error:
                raise OSError(error.errno, f"cannot ask for a parent-death signal: {error.strerror}") from error
            if os.getppid() != parent:  # ended just before, so the signal will not come
                if self._options.parent_death == signal.SIGKILL:
                    raise OSError(errno.ESRCH, "the process that started this one has ended already")
                self._owed.append(self._options.parent_death)

    def _start(self) -> int:
        for pause in (*FORK_PAUSES, None):
            try:
                pid = os.fork()
            except OSError as error:
                if pause is None or error.errno not in (errno.EAGAIN, errno.ENOMEM):
                    raise
                self._say(WARNINGS, f"cannot start a process ({error.strerror}), trying again")
                time.sleep(pause)
                if self._reaps:
                    self._reap()
                continue
            if pid == 0:
                self._be_the_child()
            try:
                os.setpgid(pid, pid)  # as the child does: whichever comes first
            except OSError:
                return pid  # it has done so already, and executes the command (EACCES), or has even ended
            return pid
        raise AssertionError("the last attempt either succeeds or raises")

    def _be_the_child(self) -> NoReturn:
        """Everything between fork and exec; what goes wrong here is told, and becomes an exit status."""
        code = _system.NOT_EXECUTABLE
        try:
            os.setpgid(0, 0)
            if self._terminal:
                # Here, not by the parent: the command must not run before it has the terminal.
                _system.give_terminal(os.getpid())
            if self._options.parent_death == signal.SIGKILL:
                # init is then killed and cannot pass anything on, so the kernel does.
                _system.prctl(_system.PR_SET_PDEATHSIG, signal.SIGKILL)
                if os.getppid() != self._me:
                    os._exit(code)
            # All of them: Python ignores SIGPIPE and SIGXFSZ and handles SIGINT, and what whoever started us ignored
            # (a shell's background, nohup) is not for a container's program to know.
            for number in _system.ALL:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            _system.execute(self._options.command, self._environment)
        except OSError as error:
            signal.pthread_sigmask(signal.SIG_BLOCK, _system.ALL)  # SIGPIPE, if nobody reads this
            if error.filename is None:
                self._say(0, f"cannot prepare the process for {self._options.command[0]!r}: {error.strerror}")
            else:
                code, text = _system.explain(error, self._environment.get(b"PATH", _system.DEFAULT_PATH))
                self._say(0, text)
        finally:
            os._exit(code)

    # --- signals

    def _take(self, seconds: float | None) -> None:
        """Wait for a signal, and deal with it."""
        info = signal.sigwaitinfo(_system.ALL) if seconds is None else signal.sigtimedwait(_system.ALL, seconds)
        if info is None or info.si_signo == signal.SIGCHLD:
            return
        if info.si_pid == self._me and info.si_code == 0:  # SI_USER, which the kernel uses here, too
            return  # SIGPIPE or SIGXFSZ for a line of our own, which could not be written
        self._hear(info.si_signo)

    def _hear(self, received: int) -> None:
        number = _rules.forwarded(received, self._options.rewrites)
        name = _rules.signal_name(received)
        if number is None:
            self._say(STEPS, f"{name} received, not passed on: it is rewritten to 0")
            return
        if self._ending is not None:
            if self._ending.hear(number, time.monotonic()):
                self._say(STEPS, f"{name} received: what is left is killed now")
            return
        target = self._target(number)
        whom = f"process {target}" if target > 0 else f"process group {-target}"
        as_what = "" if number == received else f" as {_rules.signal_name(number)}"
        self._say(STEPS, f"{name} received, passed on{as_what} to {whom}")
        if number == signal.SIGCONT and self._terminal and _system.in_foreground():
            _system.give_terminal(self._child)  # a shell's `fg`
        try:
            if not _system.signal_to(number, target):
                _system.signal_to(number, self._child)  # it has left its group
        except OSError as error:
            self._say(WARNINGS, f"cannot pass {name} on to {whom}: {error.strerror}")
        if number == signal.SIGCONT:
            self._stop_passed = False
        if number in _rules.JOB_CONTROL:
            self._stop_passed = True
            # Whoever stops us means the two of us, and may wait for us to be stopped.
            os.kill(self._me, signal.SIGTSTP)
            self._stop_if_anybody_could_continue_us()

    def _target(self, number: int) -> int:
        # What Ctrl-Z has stopped is the whole group, so that is what is continued.
        if self._options.group or (number == signal.SIGCONT and self._terminal):
            return -self._child
        return self._child

    def _on_stopped(self, by: int) -> None:
        """The child was stopped. By its terminal (Ctrl-Z, or used in the background): then a whole job is meant."""
        if not self._terminal or self._stop_passed or by not in _rules.JOB_CONTROL:
            return
        os.kill(0, signal.SIGTSTP)
        self._stop_if_anybody_could_continue_us()
        if by == signal.SIGTSTP and signal.SIGCONT not in signal.sigpending():
            # We were not stopped: no shell is above us that would ever continue the two of us. So nobody else would.
            self._say(STEPS, "the command was stopped from the terminal, where nobody could continue it: continued")
            _system.signal_to(signal.SIGCONT, -self._child)

    def _stop_if_anybody_could_continue_us(self) -> None:
        """Let the SIGTSTP through that is pending. The kernel discards it for process 1, and for an orphaned group."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTSTP})
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTSTP})

    # --- exits

    def _look(self) -> None:
        """Take in what has happened to children."""
        if self._reaps:
            self._reap()
        else:
            self._ask()

    def _reap(self) -> bool:
        """Whether there are children still."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if os.WIFSTOPPED(status):
                if pid == self._child:
                    self._on_stopped(os.WSTOPSIG(status))
                continue
            if pid == self._child:
                self._ended(status)
                continue
            if self._ending is not None:
                self._ending.reaped(pid)
            self._say(EVERYTHING, f"reaped process {pid}, which {_rules.told(status)}")

    def _ask(self) -> None:
        """As `_reap()`, where no orphans come: the main child only, and it is not reaped yet."""
        ended = os.waitid(os.P_PID, self._child, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is not None:
            code = ended.si_status
            self._ended(code << 8 if ended.si_code == os.CLD_EXITED else code)
            return
        try:
            stopped = os.waitid(os.P_PID, self._child, os.WSTOPPED | os.WNOHANG)
        except ChildProcessError:
            return  # it has ended since, and nothing else was asked for (wait(2)); a SIGCHLD says so again
        if stopped is not None:
            self._on_stopped(stopped.si_status)

    def _ended(self, status: int) -> None:
        self._status = status
        self._say(STEPS, f"the command (process {self._child}) {_rules.told(status)}")

    # --- the end

    def _end(self, status: int) -> int:
        self._ending = _rules.Ending(self._options.grace, time.monotonic())
        if self._terminal and _system.foreground() == self._child:
            _system.give_terminal(os.getpgrp())  # Ctrl-C is for us now
        while (left := self._left()) is not None:
            now = time.monotonic()
            if self._ending.hopeless(now):
                break
            number, targets = self._ending.due(left, now)
            if targets:
                self._say(STEPS, f"{_rules.signal_name(number)} to what is left: {_listed(targets)}")
            for target in targets:
                try:
                    _system.signal_to(number, target)
                except OSError as error:
                    self._say(STEPS, f"cannot signal process {target}: {error.strerror}")
            self._take(self._ending.pause(time.monotonic(), LOOK_EVERY))
        if self._ending.killed:
            self._say(WARNINGS, f"not ended within {self._options.grace:g} s of SIGTERM: {self._ending.killed}; killed")
        code = _rules.exit_code(status, self._options.expected)
        if left is None:
            return code
        self._say(0, f"left, because they do not die of SIGKILL: {_listed(left) or 'processes that cannot be seen'}")
        return code or _rules.LEFT_OVER

    def _left(self) -> list[int] | None:
        """Who still runs of those that are ours to end, as os.kill() has it; None if it is certain that nobody does."""
        if self._reaps and not self._reap():
            return None
        child = self._child
        try:
            if self._reaps:
                # It may be empty: a child can have ended since, or be hidden (hidepid, proc(5)).
                return _system.living(lambda parent, _group: parent == self._me)
            # The number of the group is safe: its leader is a zombie as long as we have not reaped it.
            return [-child] if _system.living(lambda _parent, group: group == child) else None
        except _system.NoProcError:
            return self._left_unseen()

    def _left_unseen(self) -> list[int] | None:
        """As `_left()`, where nobody can be named: as process 1 all others are meant, else the group."""
        if not self._reaps and not self._released:
            # A zombie is signalled with success, so the leader must be gone before its group can be seen to be empty.
            os.waitpid(self._child, 0)
            self._released = True
        target = -1 if self._me == 1 else -self._child
        if _system.signal_to(0, target):
            return [target]
        return [] if self._reaps else None


def _listed(targets: Sequence[int]) -> str:
    names = [f"process {n}" if n > 0 else "all others" if n == -1 else f"process group {-n}" for n in targets[:10]]
    return ", ".join(names) + (f" and {len(targets) - 10} more" if len(targets) > 10 else "")
