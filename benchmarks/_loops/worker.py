"""One side's process. Its argument: the side's name. Takes a command a line, and answers with `ok` and JSON.

hello                   nothing but whether it can make a loop
row KEY COUNT CPUS      a workload, once: {"wall": .., "cpu": ..} in seconds an operation; CPUs with commas between
serve KIND FOLDER       an echo server: {"address": .., "pid": ..}; from then on the loop runs, and these are taken:
  storm CHAINS SECONDS  callbacks that never stop: so many chains of them, each callback of so many seconds
  calm                  no more
  memory                resident bytes: {"resident": ..}
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import _loops.callbacks
import _loops.tasks
import _loops.timers  # noqa: F401
from _loops.servers import SERVERS
from _loops.sides import Side, named
from _loops.workloads import WORKLOADS, clean

if TYPE_CHECKING:
    from collections.abc import Callable


class Worker:
    """What can be asked for."""

    def __init__(self, side: Side) -> None:
        self._side = side
        self._storm = 0

    def do_hello(self) -> dict[str, Any]:
        """Whether there is such a loop here: it raises what making one does."""
        self._side.new_loop().close()
        return {}

    def do_row(self, key: str, count: str, cpus: str) -> dict[str, float]:
        row, times = WORKLOADS[key], int(count)
        os.sched_setaffinity(0, [int(cpu) for cpu in cpus.split(",")])
        if row.makes_loops:
            clock = row.do(self._side.new_loop, times)
        else:
            loop = self._side.new_loop()
            try:
                clock = row.do(loop, times)
            finally:
                clean(loop)
        return {"wall": clock.wall / times, "cpu": clock.cpu / times}

    def do_serve(self, kind: str, folder: str) -> NoReturn:
        loop = self._side.new_loop()
        asyncio.set_event_loop(loop)
        address = loop.run_until_complete(SERVERS[kind](loop, Path(folder)))
        answer({"address": address, "pid": os.getpid()})
        # This thread is the loop's; whoever waits for commands is asleep while a figure is taken.
        threading.Thread(target=self._listen, args=(loop,), daemon=True).start()
        loop.run_forever()
        raise RuntimeError("the loop stopped by itself")

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        while line := sys.stdin.readline():
            loop.call_soon_threadsafe(self._take, loop, line.split())
        os._exit(0)

    def _take(self, loop: asyncio.AbstractEventLoop, words: list[str]) -> None:
        guarded(getattr(self, f"on_{words[0]}"), loop, *words[1:])

    def on_storm(self, loop: asyncio.AbstractEventLoop, chains: str, seconds: str) -> dict[str, Any]:
        self._storm += 1
        storm, long = self._storm, float(seconds)

        def nothing() -> None:
            if self._storm == storm:
                loop.call_soon(nothing)

        def work() -> None:
            if self._storm == storm:
                until = time.perf_counter() + long
                while time.perf_counter() < until:
                    pass
                loop.call_soon(work)

        for _ in range(int(chains)):
            loop.call_soon(work if long else nothing)
        return {}

    def on_calm(self, _loop: asyncio.AbstractEventLoop) -> dict[str, Any]:
        self._storm += 1
        return {}

    def on_memory(self, _loop: asyncio.AbstractEventLoop) -> dict[str, Any]:
        gc.collect()
        with open("/proc/self/smaps_rollup", encoding="ascii") as lines:
            kib = next(int(line.split()[1]) for line in lines if line.startswith("Rss:"))
        return {"resident": kib * 1024}


def answer(found: dict[str, Any]) -> None:
    os.write(1, f"ok {json.dumps(found)}\n".encode())


def guarded(do: Callable[..., dict[str, Any]], *words: Any) -> None:
    """Answer with what it gives, or raises."""
    try:
        answer(do(*words))
    except Exception as error:
        told = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
        os.write(1, f"error {told}\n".encode())


def main() -> None:
    # The C library takes every block of 128 KiB or more from the kernel, and gives it back, until such a block has been
    # freed once; asyncio's receives then cost four times as much. Programs of some size are over that; so is this one.
    bytearray(1 << 20)
    worker = Worker(named(sys.argv[1]))
    while line := sys.stdin.readline():
        words = line.split()
        guarded(getattr(worker, f"do_{words[0]}"), *words[1:])


if __name__ == "__main__":
    main()
