"""To run a loop for a pass, or until it has nothing to do."""

from __future__ import annotations

import os
from typing import Any

__all__ = ["once", "woken"]


def once(loop: Any) -> None:
    loop.call_soon(loop.stop)
    loop.run_forever()


def woken(loop: Any) -> None:
    """Run what is ready or due, and then until it would have slept. What ends that is a descriptor that is ready all
    the time: a thread that is to call later may be sooner than the loop, on a busy machine, and it would not sleep."""
    reading, writing = os.pipe()
    os.write(writing, b".")
    loop.add_reader(reading, loop.stop)
    for _ in range(2):  # the first may have run something, and so not have looked with nothing to do
        loop.run_forever()
    loop.remove_reader(reading)
    os.close(reading)
    os.close(writing)
