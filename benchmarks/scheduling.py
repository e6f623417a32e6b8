"""What it costs to put the steps of tasks in order, and what it brings: Loopwright's schedulers beside plain asyncio
and asynkit's PriorityEventLoop.

    make bench                    with the others, into benchmarks/results/: this one takes ten minutes
    make bench BENCH=scheduling ARGS=--quick            whether it runs; the figures mean nothing
    make bench BENCH=scheduling ARGS='--only cost,late'  some of it: cost late shares

docs/performance.md says how figures are taken and judged.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
import os
import random
import sys
from pathlib import Path

from _scheduling.report import Figures, as_data, as_text, draw
from _scheduling.sides import PACKAGES, SIDES, Side
from _shared import machine
from _shared.workers import FailedError, Worker, prepare

HERE = Path(__file__).resolve().parent
PARTS = ("cost", "late", "shares")


@dataclasses.dataclass(frozen=True)
class Plan:
    """How much of everything."""

    rounds: int = 20
    callbacks: int = 100_000
    late_rounds: int = 15
    late_seconds: float = 2.0
    bulk_tasks: int = 10_000
    bulk_step: float = 20e-6
    windows: int = 20
    window: float = 1.0
    """Seconds of CPU time."""
    light_tasks: int = 1000


QUICK = Plan(2, 10_000, 2, 0.2, 1000, 20e-6, 3, 0.05, 100)


def main() -> int:
    options = _options()
    prepare()
    facts = machine.facts(PACKAGES)
    plan = QUICK if options.quick else Plan()
    figures = Figures()
    there = []
    for side in SIDES:
        if side.package is not None and importlib.util.find_spec(side.package) is None:
            figures.failures[side.name] = f"absent: {side.package} is not installed (no wheel for this Python?)"
        else:
            there.append(side)
    workers = {side.name: _open(side) for side in there}
    try:
        chance = random.Random(1)
        if "cost" in options.only:
            _cost(figures, plan, there, workers, chance)
        if "late" in options.only:
            _late(figures, plan, [side for side in there if side.urgent or side.name == "fifo"], workers, chance)
        if "shares" in options.only:
            answer = workers["fair"].ask("shares", plan.windows, plan.window, plan.light_tasks, patience=600)
            figures.shares = answer["shares"]
    finally:
        for worker in workers.values():
            worker.end()
    facts["load_after"] = round(os.getloadavg()[0], 2)
    text = machine.in_words(facts) + "\n\n" + as_text(figures) + "\n"
    print(text)
    _write(options.out, text, figures, facts, plan)
    return 0


def _open(side: Side) -> Worker:
    # One CPU for all: they take turns, and the clock of none goes on at another's.
    cpu = {max(os.sched_getaffinity(0))}
    return Worker([sys.executable, "-W", "ignore", str(HERE / "_scheduling" / "worker.py"), side.name], cpu)


def _cost(figures: Figures, plan: Plan, sides: list[Side], workers: dict[str, Worker], chance: random.Random) -> None:
    for side in sides:
        figures.steps[side.name], figures.callbacks[side.name] = [], []
        workers[side.name].ask("steps", plan.callbacks // 10)  # warm
    for number in range(plan.rounds):
        print(f"cost: round {number + 1} of {plan.rounds}", file=sys.stderr)
        for side in chance.sample(sides, len(sides)):
            figures.steps[side.name].append(workers[side.name].ask("steps", plan.callbacks))
            figures.callbacks[side.name].append(workers[side.name].ask("callbacks", plan.callbacks))


def _late(figures: Figures, plan: Plan, sides: list[Side], workers: dict[str, Worker], chance: random.Random) -> None:
    figures.late = {"idle": [], **{side.name: [] for side in sides}}
    for number in range(plan.late_rounds):
        print(f"lateness: round {number + 1} of {plan.late_rounds}", file=sys.stderr)
        figures.late["idle"].append(workers["asyncio"].ask("late", plan.late_seconds, 0, 0)["late"])
        for side in chance.sample(sides, len(sides)):
            words = ("late", plan.late_seconds, plan.bulk_tasks, plan.bulk_step)
            try:
                figures.late[side.name].append(workers[side.name].ask(*words)["late"])
            except FailedError as error:
                figures.failures[side.name] = f"fails: {error}"
                figures.late.pop(side.name)
                sides = [each for each in sides if each is not side]


def _write(folder: Path, text: str, figures: Figures, facts: dict[str, object], plan: Plan) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    data = as_data(figures, facts, dataclasses.asdict(plan))
    (folder / "scheduling.txt").write_text(text, encoding="utf-8")
    (folder / "scheduling.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    pictures = draw(figures, folder, " · ".join(text.split("\n")[:3]))
    written = [folder / "scheduling.txt", folder / "scheduling.json", *pictures]
    print("written:", *written, sep="\n  ", file=sys.stderr)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smoke run")
    parser.add_argument("--only", type=_parts, default=PARTS, help="parts, with commas between")
    parser.add_argument("--out", type=Path, help="folder for the results")
    options = parser.parse_args()
    if options.out is None:
        options.out = HERE.parent / "build" / "benchmarks" if options.quick else HERE / "results"
    return options


def _parts(text: str) -> tuple[str, ...]:
    words = tuple(text.split(","))
    for word in words:
        if word not in PARTS:
            raise argparse.ArgumentTypeError(f"{word!r} is none of {', '.join(PARTS)}")
    return words


if __name__ == "__main__":
    sys.exit(main())
