"""One side's process, in Python. Its arguments: the side, and the three programs that it starts.

Takes a command a line and answers each with a line: `ok` and JSON, or `error` and why. What is measured is measured
here; commands are read by blocking the loop, when nothing of it is under way.
"""

from __future__ import annotations

import gc
import json
import mmap
import os
import resource
import signal
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _spawn.adapters import ADAPTERS, Adapter

TICK = 0.001
#: Seconds that a sleeping child is left to fall asleep.
SETTLE = 0.002


def cpu() -> float:
    """Seconds of processor time that this process has used, all its threads."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def resident() -> int:
    """Bytes of this process that are in memory."""
    with open("/proc/self/statm", encoding="ascii") as numbers:
        return int(numbers.read().split()[1]) * resource.getpagesize()


class Worker:
    """What can be asked for."""

    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter
        self._kept: list[Any] = []

    async def serve(self) -> None:
        while line := sys.stdin.readline():
            words = line.split()
            try:
                answer = await getattr(self, f"do_{words[0]}")(*words[1:])
                reply = "ok " + json.dumps(answer or {})
            except Exception as error:
                reply = "error " + " ".join(f"{type(error).__name__}: {error}".split())
            sys.stdout.write(reply + "\n")
            sys.stdout.flush()
        os.killpg(0, signal.SIGKILL)

    async def do_spawn(self, how: str, count: str, flight: str) -> dict[str, float]:
        """Seconds for `count` children, with so many at a time."""
        operation = getattr(self._adapter, how)
        cpu_before, before = cpu(), time.perf_counter()
        await self._adapter.many(operation, int(count), int(flight))
        return {"wall": time.perf_counter() - before, "cpu": cpu() - cpu_before}

    async def do_kill(self, count: str) -> dict[str, Any]:
        """Seconds from the signal to whoever waits for the end."""
        each, used = [], 0.0
        for _ in range(int(count)):
            process = await self._adapter.start()
            await self._adapter.sleep(SETTLE)
            cpu_before, before = cpu(), time.perf_counter()
            os.kill(process.pid, signal.SIGKILL)
            await self._adapter.wait(process)
            each.append(time.perf_counter() - before)
            used += cpu() - cpu_before
            if process.returncode != -signal.SIGKILL:
                raise AssertionError(f"the returncode is {process.returncode}")
        return {"each": each, "cpu": used}

    async def do_children(self, count: str) -> None:
        """Keep so many more, watched."""
        wanted = int(count)

        async def one() -> None:
            self._kept.append(await self._adapter.watch(await self._adapter.start()))

        await self._adapter.many(one, wanted, 1)
        await self._adapter.sleep(0.05)

    async def do_descriptors(self, count: str) -> None:
        """Open so many more."""
        self._kept += [os.open("/dev/null", os.O_RDONLY) for _ in range(int(count))]

    async def do_memory(self, mib: str) -> None:
        """Touch so much more, in ordinary pages."""
        size = int(mib) << 20
        if not size:
            return
        block = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        block.madvise(mmap.MADV_NOHUGEPAGE)
        for place in range(0, size, mmap.PAGESIZE):
            block[place] = 1
        self._kept.append(block)

    async def do_idle(self, seconds: str) -> dict[str, list[float]]:
        """How late a timer is while nothing else happens; seconds."""
        late: list[float] = []
        end = time.perf_counter() + float(seconds)
        while time.perf_counter() < end:
            late.append(await self._tick())
        return {"late": late}

    async def do_late(self, count: str, flight: str) -> dict[str, list[float]]:
        """How late it is while `count` children are started, so many at a time."""
        late: list[float] = []
        going = True

        async def timer() -> None:
            while going:
                late.append(await self._tick())

        async def spawner() -> None:
            nonlocal going
            await self._adapter.many(self._adapter.nothing, int(count), int(flight))
            going = False

        await self._adapter.side_by_side(timer, spawner)
        return {"late": late}

    async def _tick(self) -> float:
        began = time.perf_counter()
        await self._adapter.sleep(TICK)
        return time.perf_counter() - began - TICK

    async def do_footprint(self, count: str, how: str) -> dict[str, float]:
        """Bytes for each of so many children, watched: resident, or as Python's allocator counts (`traced`)."""
        await self.do_children("20")
        await self._adapter.many(self._adapter.nothing, 20, 1)
        self._kept.extend([None] * (int(count) + 100))  # the list is not what is measured
        del self._kept[20:]
        if how == "traced":
            tracemalloc.start()
        gc.collect()
        before = tracemalloc.get_traced_memory()[0] if how == "traced" else resident()
        await self.do_children(count)
        gc.collect()
        after = tracemalloc.get_traced_memory()[0] if how == "traced" else resident()
        return {"each": (after - before) / int(count)}


def main() -> None:
    adapter = ADAPTERS[sys.argv[1]](*sys.argv[2:5])
    adapter.run(Worker(adapter).serve)


if __name__ == "__main__":
    main()
