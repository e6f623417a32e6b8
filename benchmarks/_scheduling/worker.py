"""One side's process. Its argument: the side's name. Takes a command a line, and answers with `ok` and JSON."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _scheduling.sides import SIDES, Side

TICK = 0.001
#: So many tasks take turns where the cost of a step is measured.
TURNS = 100


def spin(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def spin_of_cpu(seconds: float) -> float:
    """The same by CPU time; gives what it really was."""
    begin = time.thread_time()
    while (now := time.thread_time()) < begin + seconds:
        pass
    return now - begin


class Worker:
    """What can be asked for."""

    def __init__(self, side: Side) -> None:
        self._side = side

    def do_steps(self, count: str) -> dict[str, float]:
        """Seconds a step of a task that gives way at once, many of which are ready."""
        turns = int(count) // TURNS

        async def give_way() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)

        async def main() -> dict[str, float]:
            tasks = [self._side.task(give_way(), lane="bulk") for _ in range(TURNS)]
            return await self._timed(asyncio.wait(tasks), turns * TURNS)

        return self._run(main())

    def do_callbacks(self, count: str) -> dict[str, float]:
        """Seconds a callback that calls itself soon, many of which are ready."""
        turns = int(count) // TURNS

        async def main() -> dict[str, float]:
            loop, done = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()
            left = TURNS

            def again(turn: int) -> None:
                nonlocal left
                if turn:
                    loop.call_soon(again, turn - 1)
                else:
                    left -= 1
                    if not left:
                        done.set_result(None)

            for _ in range(TURNS):
                loop.call_soon(again, turns)
            return await self._timed(done, turns * TURNS)

        return self._run(main())

    async def _timed(self, work: Any, count: int) -> dict[str, float]:
        gc.collect()
        wall, cpu = time.perf_counter(), time.process_time()
        await work
        return {"wall": (time.perf_counter() - wall) / count, "cpu": (time.process_time() - cpu) / count}

    def do_late(self, seconds: str, tasks: str, work: str) -> dict[str, list[float]]:
        """How late an urgent task is, each time it has slept for a millisecond while so many others stay ready, each
        step of which takes `work` seconds."""
        until = float(seconds)
        step = float(work)

        async def main() -> dict[str, list[float]]:
            late: list[float] = []
            done = False

            async def bulk() -> None:
                while not done:
                    spin(step)
                    await asyncio.sleep(0)

            async def urgent() -> None:
                nonlocal done
                await asyncio.sleep(0)
                end = time.perf_counter() + until
                while time.perf_counter() < end or len(late) < 3:
                    due = time.perf_counter() + TICK
                    await asyncio.sleep(TICK)
                    late.append(time.perf_counter() - due)
                done = True

            made = [self._side.task(bulk(), lane="bulk") for _ in range(int(tasks))]
            await self._side.task(urgent(), lane="urgent")
            if made:
                await asyncio.wait(made)
            return {"late": late}

        return self._run(main())

    def do_shares(self, windows: str, seconds: str, tasks: str) -> dict[str, list[float]]:
        """What share of the CPU time of both the tenant of weight 2 has beside one of weight 1 with so many tasks, in
        each of so many windows of so many seconds of CPU time. Counted by the tenants, not by the scheduler."""
        from loopwright.loops import group

        length = float(seconds)

        async def main() -> dict[str, list[float]]:
            used = {"heavy": 0.0, "light": 0.0}
            shares: list[float] = []
            done = asyncio.Event()
            before = dict(used)

            async def busy(name: str, step: float) -> None:
                nonlocal before
                while not done.is_set():
                    used[name] += spin_of_cpu(step)
                    spent = {tenant: used[tenant] - before[tenant] for tenant in used}
                    if sum(spent.values()) >= length:
                        shares.append(spent["heavy"] / sum(spent.values()))
                        before = dict(used)
                        if len(shares) > int(windows):
                            done.set()
                    await asyncio.sleep(0)

            with group("heavy", weight=2):
                made = [asyncio.ensure_future(busy("heavy", 100e-6))]
            with group("light", weight=1):
                made += [asyncio.ensure_future(busy("light", 100e-6)) for _ in range(int(tasks))]
            await asyncio.wait(made)
            return {"shares": shares[1:]}  # the first has the beginning in it

        return self._run(main())

    def _run(self, main: Any) -> Any:
        loop = self._side.new_loop()
        try:
            return loop.run_until_complete(main)
        finally:
            loop.close()

    def serve(self) -> None:
        while line := sys.stdin.readline():
            words = line.split()
            try:
                reply = "ok " + json.dumps(getattr(self, f"do_{words[0]}")(*words[1:]))
            except Exception as error:
                reply = "error " + " ".join(f"{type(error).__name__}: {error}".split())
            sys.stdout.write(reply + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    Worker(next(side for side in SIDES if side.name == sys.argv[1])).serve()
