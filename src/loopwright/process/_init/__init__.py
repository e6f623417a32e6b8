"""`loopwright init`: the first process of a container, which runs one program and looks after the rest.

Theory of operation. The work is done by a bare interpreter (`python -I -S __main__.py OPTIONS -- COMMAND`), entered by
`become()` with execve: same process id, no descriptor and no environment of ours, some 9 MiB where the whole library
takes 24. Hence the house rules of this package: it imports the standard library only, and little of that (neither
typing nor dataclasses); and it imports itself relatively, because it goes by another name there: importing
`loopwright.process` would run everything that is above it.

- *Signals are blocked from the first moment on*, and taken one by one with sigwaitinfo(2). None is lost before the
  child exists, and there is no handler that could run in between. For a process 1 this matters twice: the kernel
  throws away a signal to it that has its default disposition, unless it is blocked (`sig_ignored()`,
  kernel/signal.c).
- *Only one place reaps* (`_Init._look()`), and what it learns of the main child stays. As process 1 or subreaper it
  takes everything (`waitpid(-1)`); otherwise it has no orphans and asks for the main child only, without reaping it, so
  that the number of its process group cannot be reused while that is ended.
- *A signal is only sent to a child that has not been reaped*, so no recycled process id is ever met.
- *The end*: when the main child has ended, what is left is asked with SIGTERM to end, and killed after the grace
  period. Only direct children are signalled; the children of those become direct ones when they are orphaned, and have
  their turn then. `docker exec` sessions are nobody's children in the container: they do not hold it up.
- *The terminal* is handed to the child's process group, in the same session. A session of its own (dumb-init's way)
  would have the kernel hang up the terminal as soon as the child ends (disassociate_ctty()), with it what the others
  still had to say, and would need TIOCNOTTY, whose SIGHUP and SIGCONT would have to be told from real ones. The price
  is that the child's group is not orphaned, so Ctrl-Z does stop it: then SIGTSTP goes to our own group, too, as if it
  had been in the foreground. Where a shell is above, all of it stops and `fg` resumes it; where none is, the kernel
  discards that signal, and the child is continued at once.

`_rules.py` decides, without system calls; `_options.py` reads the command line; `_driver.py` does it all, by means of
`_system.py` and `_voice.py`.
"""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

__all__ = ["become"]


def become(arguments: Sequence[str]) -> NoReturn:
    """Turn this process into `loopwright init` with those arguments (those after `init`). Never returns.

    For the main thread, and early: signals that come before are treated as they were before.
    """
    if sys.platform != "linux":
        print(f"loopwright init: it needs Linux, and this is {sys.platform}", file=sys.stderr)
        raise SystemExit(2)
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    from ._system import environment

    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "__main__.py")  # noqa: PTH118, PTH120, PTH100 - no pathlib here
    try:
        os.execve(sys.executable, [sys.executable, "-I", "-S", program, *arguments], environment())  # noqa: S606
    except OSError as error:
        # The interpreter's file has gone, or there is no memory for another: this one can do it too, only larger.
        from ._driver import main

        os.write(2, f"loopwright init: cannot become a small program ({error.strerror}); going on as I am\n".encode())
        os._exit(main(arguments))
