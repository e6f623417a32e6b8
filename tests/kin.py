"""Children of this program: what the kernel knows of them, and copies of it."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def childless() -> bool:
    """Whether there are none, zombies included; of one that has ended it takes the status."""
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return True
    return False


def exit_code_of_copy(act: Callable[[], object]) -> int:
    """What a forked copy of this program ends with that does this and no more: 0, or 1 if it raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads, from Python 3.12 on
        pid = os.fork()
    if pid == 0:
        code = 1
        try:
            act()
            code = 0
        finally:
            os._exit(code)  # not on into the tests, whose copy it is, too
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
