"""The keeper: a small program above a supervisor, that ends what is left when the supervisor is gone.

Run as a program of its own (`python -I -S _keeper.py PID [CGROUP]`, by `keep()` in `_keeping.py`), importing nothing
but what a bare interpreter has, so that it stays small and has nothing to crash on.

Theory of operation. It is the supervisor's parent and a *subreaper* (prctl(2), PR_SET_CHILD_SUBREAPER): what the
supervisor or its services leave behind when they die, whether killed with SIGKILL or daemonised on purpose, becomes a
child of the keeper. Being the parent is what makes the ending provable:

- Only a parent can reap. So the pid of a direct child cannot be reused between looking at it and killing it, and the
  keeper kills direct children only; the orphans of those it killed are its children in the next round.
- `waitpid(-1)` saying ECHILD is the proof that nothing is left.

Where the trees that the supervisor started have cgroups, the folder of these is killed first, in one step, which spares
a race with what forks faster than it is swept; and it is removed in the end.

Signals that ask a program to end are passed on to the supervisor, which has a process group of its own so that Ctrl-C
at a terminal does not reach it twice. SIGUSR1 and SIGUSR2 are passed on only to one that expects them. The exit status
is the supervisor's.

At a terminal that group is put in the foreground, or whatever reads there would be stopped. To a shell above, the two
of us are one job: when the supervisor is stopped from the terminal (Ctrl-Z), the keeper stops too, so that the shell
goes on, and what continues the keeper (`fg`) gives the terminal back to the supervisor and continues it. Not at once
where its output is a pipe: `... | less` reads the keyboard in the keeper's group. It is given the terminal when it asks
for it, by being stopped.
"""

from __future__ import annotations

import os
import signal
import sys
import time

if __name__ == "__main__":
    # A bare interpreter has no path to the package: what is needed of it lies beside this file.
    sys.path.append(os.path.dirname(__file__))  # noqa: PTH120 - no pathlib here
    import _cgroup  # type: ignore[import-not-found]
else:
    from loopwright.process import _cgroup

#: Passed on to the supervisor.
PASSED_ON = tuple(
    signal.Signals[name]
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
    if name in signal.Signals.__members__  # Windows lacks most, and must be able to import this
)
#: Of these, those that ask for nothing unless a program says what: to one that does not they would be its end.
IF_EXPECTED = tuple(each for each in PASSED_ON if each.name in ("SIGUSR1", "SIGUSR2"))
#: Sent by Ctrl-Z, or to who uses a terminal whose foreground is another's (termios(3)).
JOB_CONTROL = tuple(each for each in signal.Signals if each.name in ("SIGTSTP", "SIGTTIN", "SIGTTOU"))
#: Blocked from before the fork on, so that none is lost before the keeper waits for it. SIGTTOU among them, or it could
#: not hand the terminal on from the background (tcsetpgrp(3)).
WAITED_FOR = (
    *PASSED_ON,
    *JOB_CONTROL,
    *(each for each in signal.Signals if each.name in ("SIGCHLD", "SIGCONT")),
)
#: Who is stopped does not hear these.
NEED_A_RUNNING_PROGRAM = tuple(each for each in PASSED_ON if each.name in ("SIGTERM", "SIGHUP"))
#: A program that was asked to end and did, leaving nothing, needs no words.
ORDINARY = (*PASSED_ON, *(each for each in signal.Signals if each.name in ("SIGPIPE", "SIGALRM")))
#: Seconds after which a process that has not died of SIGKILL (it hangs inside the kernel) is named and left.
PATIENCE = 10.0
#: `EX_SOFTWARE` of sysexits.h: something was left.
LEFT_OVER = 70


def keep_watch(supervisor: int) -> int:
    """Wait until the supervisor has ended, passing signals on and reaping orphans; its returncode as Popen has it."""
    stopped = False
    while True:
        status = reap_until(supervisor)
        if status is not None and os.WIFSTOPPED(status):
            stopped = True
            on_stopped(supervisor, os.WSTOPSIG(status))
            continue
        if status is not None:
            return os.waitstatus_to_exitcode(status)
        number = signal.sigwait(WAITED_FOR)
        if number == signal.SIGCHLD:
            continue
        if number == signal.SIGCONT:
            if in_foreground():
                give_terminal(supervisor)  # a shell's `fg`
            go_on(supervisor)
            stopped = False
            continue
        if stopped and number in JOB_CONTROL:
            # Ctrl-Z so soon after `fg` that the terminal was still ours, and nobody had been continued yet.
            on_stopped(supervisor, number)
            continue
        if number in IF_EXPECTED and not expects(supervisor, number):
            continue
        os.kill(supervisor, number)
        if stopped and number in NEED_A_RUNNING_PROGRAM:
            go_on(supervisor)
            stopped = False


def reap_until(supervisor: int) -> int | None:
    """Reap what has ended; the supervisor's wait status if it was among them, or was stopped."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
        except ChildProcessError:
            return 0  # cannot be: the supervisor is reaped nowhere else
        if pid == supervisor:
            return status
        if pid == 0:
            return None


def on_stopped(supervisor: int, by: int) -> None:
    """It was stopped: by its terminal, then so is the whole job; by somebody else's wish, then that is its affair."""
    group = foreground()
    if group < 0 or by not in JOB_CONTROL:
        return
    if by != signal.SIGTSTP and group == os.getpgrp():
        give_terminal(supervisor)  # it wants what we have
        go_on(supervisor)
        return
    os.kill(0, signal.SIGTSTP)
    # Let through what is pending. The kernel discards it for a group that nobody could continue (an orphaned one).
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTSTP})
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTSTP})
    # A SIGTSTP that is pending is a newer one, which has swept the SIGCONT away (signal(7)).
    if by == signal.SIGTSTP and not signal.sigpending() & {signal.SIGCONT, signal.SIGTSTP}:
        go_on(supervisor)  # we were not stopped: no shell is above us, and nobody would ever continue it


def expects(pid: int, number: int) -> bool:
    """Whether it handles, ignores, or blocks the signal to wait for it; else that ends it (proc_pid_status(5))."""
    mask = 0
    try:
        with open(f"/proc/{pid}/status", "rb") as file:  # noqa: PTH123 - no pathlib here
            for line in file:
                if line.startswith((b"SigBlk:", b"SigIgn:", b"SigCgt:")):
                    mask |= int(line.split()[1], 16)
    except OSError:
        return True  # it cannot be known: who sent it will know why
    return bool(mask >> (number - 1) & 1)


def go_on(supervisor: int) -> None:
    """Continue its whole group, as that is what the terminal has stopped."""
    try:
        os.kill(-supervisor, signal.SIGCONT)
    except OSError:
        os.kill(supervisor, signal.SIGCONT)  # it has left its group; not reaped yet, so it is there


def foreground() -> int:
    """The process group in the foreground of our controlling terminal; -1 if standard input is none."""
    try:
        return os.tcgetpgrp(0)
    except OSError:
        return -1


def in_foreground() -> bool:
    """Whether standard input is our controlling terminal, and our process group is in its foreground."""
    return foreground() == os.getpgrp()


def give_terminal(group: int) -> None:
    """Put that process group in the foreground. It does not matter if it, or the terminal, is not there any more."""
    try:
        os.tcsetpgrp(0, group)
    except OSError:
        return  # hung up, or gone: whoever has the terminal next sees to that


def children() -> list[int]:
    """The pids of the keeper's children that still run."""
    me, found = os.getpid(), []
    for name in os.listdir("/proc"):  # noqa: PTH208 - no pathlib here: the keeper imports as little as it can
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123 - as above
                    # proc_pid_stat(5): state and parent follow the parenthesis that closes the name
                    fields = file.read().rpartition(b") ")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            # Of a zombie with more threads only the first has ended: it runs.
            if int(fields[1]) == me and (fields[0] not in (b"Z", b"X") or int(fields[17]) > 1):
                found.append(int(name))
    return found


def sweep(base: str | None = None) -> tuple[int, list[int]]:
    """Kill and reap until no child is left: how many were killed, and those that did not die in time."""
    killed: set[int] = set()
    if base is not None:
        killed.update(_cgroup.processes(base))
        try:
            _cgroup.kill(base)
        except OSError as error:
            tell(f"cannot kill the cgroup {base} as a whole ({error.strerror}); killing one by one")
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return len(killed), []
        left = children()
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except PermissionError:
                continue  # a set-uid program of somebody else's: it ends by itself, or is named in the end
            killed.add(pid)
        if left and time.monotonic() > deadline:
            return len(killed), left
        signal.sigtimedwait([signal.SIGCHLD], 0.02)


def main(supervisor: int, base: str | None = None) -> int:
    """The keeper's whole life; the supervisor's status as a shell says it, 128 and the number for a signal."""
    signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    code = keep_watch(supervisor)
    if foreground() == supervisor:
        give_terminal(os.getpgrp())
    killed, left = sweep(base)
    if base is not None:
        _cgroup.clear(base)
    if killed or (code < 0 and -code not in ORDINARY):
        end = f"was ended by {signal_name(-code)}" if code < 0 else f"ended with status {code}"
        count = "1 process it left was" if killed == 1 else f"{killed} processes it left were"
        tell(f"the program (process {supervisor}) {end}; {f'{count} killed' if killed else 'it left nothing'}")
    if left:
        tell(f"these processes do not die of SIGKILL and are left: {', '.join(map(str, left))}")
    status = code if code >= 0 else 128 - code
    return status or (LEFT_OVER if left else 0)


def signal_name(number: int) -> str:
    """`SIGKILL` for 9."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"  # a real-time signal, which Python does not name


def tell(text: str) -> None:
    """One line on standard error, if anybody still reads it."""
    try:
        os.write(2, f"loopwright keeper: {text}\n".encode())
    except OSError:
        return  # the terminal is gone: there is nobody to tell


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), *sys.argv[2:]))
