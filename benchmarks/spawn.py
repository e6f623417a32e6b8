"""What it costs to start a program and hear of its end: Loopwright beside its peers, and beside C.

    make bench                           all of it, into benchmarks/results/: about half an hour on a quiet machine
    make bench ARGS=--quick              whether it runs: a minute; the figures mean nothing
    make bench BENCH=spawn ARGS='--only speed,late'
                                         some of it: speed children descriptors memory watchers late footprint

docs/performance.md says what is measured and how it is judged.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from _shared import machine
from _shared.compiled import compile_c
from _shared.workers import Worker, prepare
from _spawn.draw import draw
from _spawn.measure import Bench
from _spawn.plan import Plan, quick
from _spawn.report import as_data, as_text
from _spawn.sides import LIMIT, PACKAGES, SIDES, Side
from _spawn.verdicts import all_verdicts

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).resolve().parent
PARTS = ("speed", "children", "descriptors", "memory", "watchers", "late", "footprint")
#: No C library: a child that starts in a few microseconds leaves the cost of starting it to be seen.
FREESTANDING = ("-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector")


def main() -> int:
    options = _options()
    prepare()
    facts = machine.facts(PACKAGES)
    chosen = tuple(side for side in SIDES if options.sides is None or side.name in options.sides)
    absent = {
        side.name: f"absent: {side.package} is not installed (no wheel for this Python?)"
        for side in chosen
        if side.package is not None and importlib.util.find_spec(side.package) is None
    }
    there = tuple(side for side in chosen if side.name not in absent)
    plan = quick(there, absent) if options.quick else Plan(there, absent)
    with tempfile.TemporaryDirectory() as folder:
        bench = _bench(plan, Path(folder))
        _measure(bench, plan, options.only)
    facts["load_after"] = round(os.getloadavg()[0], 2)
    verdicts = all_verdicts(bench.rows, bench.late)
    text = machine.in_words(facts) + "\n\n" + as_text(bench, verdicts) + "\n"
    print(text)
    _write(options.out, text, as_data(bench, verdicts, facts, plan), bench)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smoke run")
    parser.add_argument("--only", type=_words(PARTS), default=PARTS, help="parts, with commas between")
    parser.add_argument("--sides", type=_words(tuple(side.name for side in SIDES)), help="sides, with commas between")
    parser.add_argument("--out", type=Path, help="folder for the results")
    options = parser.parse_args()
    if options.out is None:
        options.out = HERE.parent / "build" / "benchmarks" if options.quick else HERE / "results"
    return options


def _words(known: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    def split(text: str) -> tuple[str, ...]:
        words = tuple(text.split(","))
        for word in words:
            if word not in known:
                raise argparse.ArgumentTypeError(f"{word!r} is none of {', '.join(known)}")
        return words

    return split


def _bench(plan: Plan, folder: Path) -> Bench:
    programs = [
        str(compile_c("child.c", folder / name.lower(), *FREESTANDING, f"-D{name}"))
        for name in ("EXITS", "TALKS", "SLEEPS")
    ]
    limit = str(compile_c("limit.c", folder / "limit"))
    # Peers give warnings of what is deprecated in newer Pythons, which is not the matter here.
    python = [sys.executable, "-W", "ignore"]

    def open_side(side: Side, cpus: set[int] | None = None) -> Worker:
        if side is LIMIT:
            return Worker([limit, *programs], cpus)
        return Worker([*python, str(HERE / "_spawn" / "worker.py"), side.name, *programs], cpus)

    def open_watcher(name: str) -> Worker:
        return Worker([*python, str(HERE / "_spawn" / "watch_worker.py"), name, programs[2]])

    return Bench(plan, open_side, open_watcher)


def _measure(bench: Bench, plan: Plan, parts: tuple[str, ...]) -> None:
    if "speed" in parts:
        cpus = os.sched_getaffinity(0)
        bench.speed("one CPU", {max(cpus)})
        if len(cpus) > 1:
            bench.speed(f"{len(cpus)} CPUs", cpus)
    if "late" in parts:
        bench.lateness()
    if "footprint" in parts:
        bench.footprint()
    if "descriptors" in parts:
        bench.growth("descriptors", plan.descriptors, "spawn to exit, over descriptors open")
    if "memory" in parts:
        bench.growth("memory", plan.mebibytes, "spawn to exit, over MiB of memory touched")
    if "children" in parts:
        bench.growth("children", plan.children, "spawn to exit, over children alive")
    if "watchers" in parts:
        bench.watchers(plan.children)


def _write(folder: Path, text: str, data: dict[str, object], bench: Bench) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "spawn.txt").write_text(text, encoding="utf-8")
    (folder / "spawn.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    caption = " · ".join(text.split("\n")[:3])
    written = [folder / "spawn.txt", folder / "spawn.json", *draw(bench, folder, caption)]
    print("written:", *written, sep="\n  ", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
