"""A program that keeps crashing, each time in one of several ways.

What it shows: how the supervisor tells one end from another, and how its pauses grow while a program does not
stay up.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import sys
import time
import traceback
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable


def fail_with_traceback() -> NoReturn:
    try:
        print(1 / 0)
    except ZeroDivisionError:
        traceback.print_exc()
    sys.exit(3)


def fail_in_latin_1() -> NoReturn:
    """Last words that are not UTF-8: the supervisor shows the odd byte as \\xe9."""
    sys.stdout.buffer.write("out of café au lait\n".encode("latin-1"))
    sys.stdout.flush()
    sys.exit(4)


def die_of(number: signal.Signals) -> NoReturn:
    os.kill(os.getpid(), number)
    raise AssertionError(f"{number.name} did not end this process")


WAYS: dict[str, Callable[[], NoReturn]] = {
    "divide by zero and exit with status 3": fail_with_traceback,
    "complain in Latin-1 and exit with status 4": fail_in_latin_1,
    "die of SIGSEGV": lambda: die_of(signal.SIGSEGV),
    "die of SIGABRT": lambda: die_of(signal.SIGABRT),
    "die of SIGKILL, as if memory had run out": lambda: die_of(signal.SIGKILL),
}


def main() -> NoReturn:
    """Work for a moment, then crash."""
    # A crash on purpose, every half minute, must not fill a disk with core dumps.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    way = random.choice(list(WAYS))
    seconds = random.uniform(0.5, 3.0)
    print(f"I shall work for {seconds:.1f} s and then {way}", flush=True)
    time.sleep(seconds)
    WAYS[way]()
    raise AssertionError("no way out")


if __name__ == "__main__":
    main()
