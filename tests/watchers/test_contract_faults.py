"""The public contract suite in programs that were locked in before they looked at the machine.

The suite's own faults come after a watcher has found out what works. Here a seccomp filter is there from the beginning:
`default_watcher()` must choose a way that works, which then keeps the whole contract, and the way that does not work
must say so. The default disposition of SIGCHLD may be a legacy, too: a program can be started with it ignored.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from loopwright.testing import ChildWatcherContract, _watcher_apart

LOCKED_IN = """
import errno
from loopwright.testing._watcher_apart import CLONE3, PIDFD_OPEN, THREADS, WAITID_PIDFD, deny
deny(errno.{number}, {calls})
"""

WHOLE_CONTRACT = """
import unittest
from loopwright.testing import ChildWatcherContract
from loopwright.watchers import choose, default_watcher

class Contract(ChildWatcherContract, unittest.TestCase):
    def make_watcher(self):
        return default_watcher()

    def may_refuse(self, fault):
        return fault == "no thread can be started"


tests = unittest.defaultTestLoader.loadTestsFromTestCase(Contract)
result = unittest.TextTestRunner(verbosity=0).run(tests)
assert result.wasSuccessful()
print(choose().name, result.testsRun - len(result.skipped))
"""

REFUSES = """
import asyncio, os
from loopwright.errors import MechanismUnavailableError
from loopwright.watchers import PidfdChildWatcher, choose

async def main():
    watcher = PidfdChildWatcher()
    assert not watcher.is_active()
    pid = os.posix_spawn("/bin/true", ["true"], os.environ)
    try:
        watcher.add_child_handler(pid, print)
    except MechanismUnavailableError as error:
        print(error)
    assert watcher.remove_child_handler(pid) is False
    assert os.waitpid(pid, 0) == (pid, 0)
    watcher.close()

asyncio.run(main())
print(choose().reason)
"""


@pytest.fixture(autouse=True)
def machine_with_known_calls() -> None:
    _watcher_apart.check_can_deny()


def told_by(program: str) -> list[str]:
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=55)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("number", ["ENOSYS", "EPERM"])
def test_whole_contract_without_pidfds(number: str) -> None:
    filtered = LOCKED_IN.format(number=number, calls="PIDFD_OPEN, WAITID_PIDFD")
    ((name, count),) = (line.split() for line in told_by(filtered + WHOLE_CONTRACT))
    assert name == "thread"
    assert int(count) == sum(each.startswith("test_") for each in dir(ChildWatcherContract))


@pytest.mark.parametrize("number", ["ENOSYS", "EPERM"])
@pytest.mark.parametrize(("calls", "named"), [("PIDFD_OPEN", "pidfd_open(2)"), ("WAITID_PIDFD", "waitid(P_PIDFD)")])
def test_refusal_says_what_is_denied(number: str, calls: str, named: str) -> None:
    refusal, reason = told_by(LOCKED_IN.format(number=number, calls=calls) + REFUSES)
    assert "cannot watch process" in refusal
    assert named in refusal
    assert named in reason


def test_started_with_sigchld_ignored() -> None:
    """The kernel reaps then, and whoever wants to know a status has to say so before the exit: signal(7)."""
    program = """
import asyncio, os
from loopwright.watchers import MultiLoopChildWatcher

async def main():
    ended = asyncio.get_running_loop().create_future()
    watcher = MultiLoopChildWatcher()
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 3"], os.environ)
    watcher.add_child_handler(pid, lambda _pid, code: ended.set_result(code))
    print(await ended)
    watcher.close()

asyncio.run(main())
"""
    command = ["sh", "-c", 'trap "" CHLD; exec "$@"', "sh", sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=55)
    assert (done.returncode, done.stdout) == (0, "3\n"), done.stderr
