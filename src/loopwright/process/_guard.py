"""The guard: a small program beside another, that ends what that one leaves when it is gone.

Run as a program of its own (`python -I -S _guard.py PIDFD MARK [CGROUP]`, by `guard()` in `_guarding.py`). Unlike the
keeper it is no parent and inherits nothing: what it ends it finds by the mark that every process of the program carries
in its environment, by descent from those, and in their cgroups. It waits on the program's pidfd, so that no other
process of that number can be mistaken for it, and on its own standard input, where a `q` dismisses it.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time

if __name__ == "__main__":
    # A bare interpreter has no path to the package: what is needed of it lies beside this file.
    sys.path.append(os.path.dirname(__file__))  # noqa: PTH120 - no pathlib here
    import _cgroup  # type: ignore[import-not-found]
    import _proc  # type: ignore[import-not-found]
    import _tree  # type: ignore[import-not-found]
else:
    from loopwright.process import _cgroup, _proc, _tree

#: What ends a whole session or service, and is not meant for the guard: it ends when its program has.
IGNORED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
DISMISSED = b"q"


def wait(pidfd: int) -> bool:
    """Until the program has ended; False if the guard was dismissed before."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.register(0, select.POLLIN)
    while True:
        ready = {file for file, _ in poll.poll()}
        if 0 in ready:
            if (word := os.read(0, 1)) == DISMISSED:
                return False
            if not word:
                poll.unregister(0)  # closed: the program is ending, or has closed what it does not know
        if pidfd in ready:
            return True


def sweep(mark: str, base: str | None) -> tuple[set[int], list[int]]:
    """Stop and kill all that carries the mark, and what descends from it: the killed, and those that did not die."""
    course = _tree.begin(time.monotonic(), grace=0.0)
    known: set[_proc.Identity] = set()
    refused: set[_proc.Identity] = set()
    while True:
        world = _proc.look()
        above = _proc.ancestors(world, os.getpid()) | {1}
        tree = _tree.Tree(leader=0, held=False, mark=mark, spared=above | {os.getpid()}, reapers=above)
        inside = _cgroup.processes(base) if base is not None else ()
        found = _tree.find(world, tree, known, inside, _proc.marks)
        members = {seen.identity: seen for seen in found.members.values()}
        known |= members.keys()
        course, orders = _tree.advance(course, members, time.monotonic(), refused)
        if course.phase is _tree.Phase.OVER:
            return {one.pid for one in course.killed}, sorted(found.members)
        if orders.kill_cgroup and base is not None:
            try:
                _cgroup.kill(base)
            except OSError:
                base = None  # each is killed by itself below
        for number, to in orders.send:
            refused |= {one for one in to if _proc.send(one, number) is _proc.Sent.REFUSED}
        time.sleep(orders.wait)


def main(pidfd: int, mark: str, base: str | None = None) -> int:
    """The guard's whole life."""
    for name in IGNORED:
        signal.signal(signal.Signals[name], signal.SIG_IGN)
    if wait(pidfd):
        killed, left = sweep(mark, base)
        if killed:
            count = "1 process" if len(killed) == 1 else f"{len(killed)} processes"
            tell(f"the program has ended; {count} it left {'was' if len(killed) == 1 else 'were'} killed")
        if left:
            tell(f"these processes could not be ended and are left: {', '.join(map(str, left))}")
        if base is not None:
            _cgroup.clear(base)
    elif base is not None:
        _cgroup.remove(base)
    return 0


def tell(text: str) -> None:
    """One line on standard error, if anybody still reads it."""
    try:
        os.write(2, f"loopwright guard: {text}\n".encode())
    except OSError:
        return  # the terminal is gone: there is nobody to tell


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), *sys.argv[2:]))
