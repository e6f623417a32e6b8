"""The rows: what is asked of the sides, round by round, and the figures that come back.

Theory of operation. Rounds go over the sides in an order of chance, a new one each, so that no side always follows the
same other. A side that fails a row is out of that row, with the reason. Growth is measured on three processes of one
side, each holding another amount, that take turns: whatever slows the machine slows all three, and their slope stays.
"""

from __future__ import annotations

import dataclasses
import random
import sys
import time
from typing import TYPE_CHECKING, Any

from _shared.workers import FailedError, TooSlowError, Worker

from _spawn.sides import LIMIT, WATCHERS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from _spawn.plan import Plan

#: Seconds for the largest amount to be got together; a side that takes longer is out of that size.
PATIENCE = 150.0
US = 1e6
Figures = tuple[float, float]


@dataclasses.dataclass
class Row:
    """The figures of one row: for each side (or side and size), one a round. Times are in microseconds."""

    title: str
    unit: str = "us"
    wall: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    cpu: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    #: What is not there, and why: absent, or fails.
    out: dict[str, str] = dataclasses.field(default_factory=dict)

    def drop(self, side: str, why: str) -> None:
        self.out[side] = why
        self.wall.pop(side, None)
        self.cpu.pop(side, None)

    def note(self, side: str, wall: float, cpu: float | None = None) -> None:
        self.wall.setdefault(side, []).append(wall)
        if cpu is not None:
            self.cpu.setdefault(side, []).append(cpu)


class Bench:
    """Measures, and remembers."""

    def __init__(self, plan: Plan, open_side: Callable[..., Worker], open_watcher: Callable[[str], Worker]) -> None:
        self._plan = plan
        self._open_side = open_side
        self._open_watcher = open_watcher
        self._chance = random.Random(0)
        self.rows: dict[str, Row] = {}
        #: The ticks of `lateness()`, in seconds, by side, kind and round.
        self.late: dict[str, dict[str, list[list[float]]]] = {}
        self._began = time.monotonic()

    def say(self, what: str) -> None:
        print(f"[{time.monotonic() - self._began:6.0f} s] {what}", file=sys.stderr, flush=True)

    def _row(self, key: str, title: str, unit: str = "us") -> Row:
        self.say(title)
        self.rows[key] = Row(title, unit, out=dict(self._plan.absent))
        return self.rows[key]

    # --- the speed of all sides, in turn

    def speed(self, where: str, cpus: set[int]) -> None:
        """Spawn-to-exit and kill-to-callback, of processes that may use certain CPUs: `where` says which."""
        workers = {side.name: self._open_side(side, cpus) for side in self._plan.sides}
        try:
            for how, flight, count in self._plan.spawns:
                piped = "" if how == "nothing" else " with communicate()"
                row = self._row(f"{how}-{flight}@{where}", f"spawn to exit{piped}, {flight} in flight, {where}")

                def ask(worker: Worker, how: str = how, flight: int = flight, count: int = count) -> Figures:
                    return _spawned(worker, how, count, flight)

                self._rounds(row, workers, ask)
            self._rounds(self._row(f"kill@{where}", f"kill to callback, {where}"), workers, self._killed)
        finally:
            for worker in workers.values():
                worker.end()

    def _rounds(self, row: Row, workers: dict[str, Worker], ask: Callable[[Worker], Figures]) -> None:
        names = [name for name in workers if name not in row.out]
        for number in range(-1, self._plan.rounds):
            self._chance.shuffle(names)
            for name in tuple(names):
                try:
                    wall, cpu = ask(workers[name])
                except FailedError as error:
                    row.drop(name, f"fails: {error}")
                    names.remove(name)
                    continue
                if number >= 0:  # the first is to get warm
                    row.note(name, wall, cpu)

    def _killed(self, worker: Worker) -> Figures:
        count = self._plan.kills
        answer = worker.ask("kill", count)
        return sorted(answer["each"])[count // 2] * US, answer["cpu"] / count * US

    # --- growth

    def growth(self, what: str, sizes: Sequence[int], title: str) -> None:
        """Spawn-to-exit over three amounts of `what` (a command of the workers)."""
        row = self._row(what, title)
        for side in self._plan.growing:
            self.say(f"  {side.name}")
            self._over_sizes(
                row,
                side.name,
                sizes,
                lambda side=side: self._open_side(side),
                lambda worker, size: worker.ask(what, size, patience=PATIENCE),
                lambda worker: _spawned(worker, "nothing", self._plan.grown, 1),
            )

    def watchers(self, sizes: Sequence[int]) -> None:
        """What an exit costs each of our watchers, over the children alive."""
        row = self._row("watchers", "from the signal to the handler of a watcher, over children alive")
        for name in WATCHERS:
            self.say(f"  {name}")
            self._over_sizes(
                row,
                name,
                sizes,
                lambda name=name: self._open_watcher(name),
                lambda worker, size: worker.ask("children", size, patience=PATIENCE),
                self._exits,
            )

    def _exits(self, worker: Worker) -> Figures:
        answer = worker.ask("exits", self._plan.exits, 0.5)
        return answer["wall"] * US, answer["cpu"] * US

    def _over_sizes(
        self,
        row: Row,
        name: str,
        sizes: Sequence[int],
        make: Callable[[], Worker],
        prepare: Callable[[Worker, int], Any],
        ask: Callable[[Worker], Figures],
    ) -> None:
        ready: dict[str, Worker] = {}
        try:
            for size in sizes:
                worker = ready[f"{name} {size}"] = make()
                try:
                    prepare(worker, size)
                except FailedError as error:
                    worker.end()
                    del ready[f"{name} {size}"]
                    late = isinstance(error, TooSlowError)
                    row.drop(f"{name} {size}", f"{'too slow to set up' if late else 'fails'}: {error}")
            self._rounds(row, ready, ask)
        finally:
            for worker in ready.values():
                worker.end()

    # --- lateness and memory

    def lateness(self) -> None:
        """Of a timer of 1 ms, idle and while children start; `wall` has a round's ticks, not one figure."""
        row = self._row("lateness", "lateness of a 1 ms timer", "us")
        ticks = self._plan.ticks
        sides = [side for side in self._plan.sides if side.kind in ("ours", "peer")]
        workers = {side.name: self._open_side(side) for side in sides}
        # A loop that is held has few ticks in which to be late; there is no need to wait for ten thousand of them.
        patient = {side.name for side in sides if side.kind == "ours"}
        try:
            for number in range(self._plan.late_rounds):
                names = list(workers)
                self._chance.shuffle(names)
                for name in names:
                    seen = self.late.setdefault(name, {"idle": [], "late": []})
                    enough = number >= self._plan.late_rounds_of_peers and name not in patient
                    if name in row.out or enough or sum(map(len, seen["late"])) >= ticks:
                        continue
                    try:
                        if not number:
                            workers[name].ask("late", 50, 16)
                        seen["idle"].append(workers[name].ask("idle", 0.6)["late"])
                        seen["late"].append(workers[name].ask("late", self._plan.late_children, 16)["late"])
                    except FailedError as error:
                        row.drop(name, f"fails: {error}")
                        del self.late[name]
        finally:
            for worker in workers.values():
                worker.end()

    def footprint(self) -> None:
        """Memory for each child that is watched, in bytes; a fresh process each time."""
        for how, title in (
            ("resident", "resident memory a watched child"),
            ("traced", "Python's memory a watched child"),
        ):
            row = self._row(f"footprint-{how}", title, "B")
            for _ in range(self._plan.fresh):
                for side in self._plan.sides:
                    if side is not LIMIT and side.name not in row.out:
                        self._one_footprint(row, side.name, self._open_side(side), how)
                self._one_footprint(row, "PidfdChildWatcher", self._open_watcher("Pidfd"), how)

    def _one_footprint(self, row: Row, name: str, worker: Worker, how: str) -> None:
        with worker:
            try:
                row.note(name, worker.ask("footprint", self._plan.footprint_children, how)["each"])
            except FailedError as error:
                row.drop(name, f"fails: {error}")


def _spawned(worker: Worker, how: str, count: int, flight: int) -> Figures:
    answer = worker.ask("spawn", how, count, flight)
    return answer["wall"] / count * US, answer["cpu"] / count * US
