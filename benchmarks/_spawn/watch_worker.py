"""One of our watchers, in a process of its own: what an exit costs it. Arguments: its name, and a program that sleeps.

Children are started by `os.posix_spawn()`, which is not measured, and handed to the watcher. Commands and answers are
those of worker.py.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _spawn.worker import SETTLE, Worker, cpu
from loopwright import watchers


class Watched:
    """In the place of a side's adapter."""

    def __init__(self, name: str, program: str) -> None:
        self._program = program
        self.watcher: Any = getattr(watchers, f"{name}ChildWatcher")()

    async def start(self) -> int:
        return os.posix_spawn(self._program, [self._program], os.environ)

    async def watch(self, pid: int) -> int:
        with self.watcher:
            self.watcher.add_child_handler(pid, ignore)
        return pid

    async def nothing(self) -> None:
        """A child that ended."""
        pid = await self.start()
        ended = asyncio.get_running_loop().create_future()
        self.watcher.add_child_handler(pid, lambda _, code: ended.set_result(code))
        os.kill(pid, signal.SIGKILL)
        await ended

    async def many(self, operation: Any, count: int, _flight: int) -> None:
        for _ in range(count):
            await operation()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def ignore(_pid: int, _code: int) -> None:
    """The end of a child that is there to be alive."""


class WatchWorker(Worker):
    def __init__(self, watched: Watched) -> None:
        super().__init__(watched)  # type: ignore[arg-type]
        self._watched = watched

    async def do_exits(self, count: str, seconds: str) -> dict[str, float]:
        """Seconds, and seconds of processor time, from the signal to the handler: for each of up to `count` exits, of
        as many as end within `seconds`."""
        loop = asyncio.get_running_loop()
        wall = used = 0.0
        done = 0
        while done < int(count) and (not done or wall < float(seconds)):
            pid = await self._watched.start()
            ended = loop.create_future()
            self._watched.watcher.add_child_handler(pid, self._note, ended)
            await asyncio.sleep(SETTLE)
            cpu_before, before = cpu(), time.perf_counter()
            os.kill(pid, signal.SIGKILL)
            code = await ended
            wall += time.perf_counter() - before
            used += cpu() - cpu_before
            done += 1
            if code != -signal.SIGKILL:
                raise AssertionError(f"the handler was told {code}")
        return {"wall": wall / done, "cpu": used / done}

    @staticmethod
    def _note(_pid: int, code: int, ended: asyncio.Future[int]) -> None:
        ended.set_result(code)


async def main() -> None:
    watched = Watched(*sys.argv[1:3])
    watched.watcher.attach_loop(asyncio.get_running_loop())
    await WatchWorker(watched).serve()


if __name__ == "__main__":
    asyncio.run(main())
