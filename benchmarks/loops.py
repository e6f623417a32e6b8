"""What an event loop costs: ours beside asyncio's and its peers, and, where it serves, beside C.

    make bench BENCH=loops                all parts, into benchmarks/results/loops/: twelve minutes on a quiet machine
    make bench BENCH=loops ARGS=--quick   whether it runs: under a minute; the figures mean nothing
    make bench BENCH=loops ARGS='--only scheduling,timers'
                                          some of it: scheduling timers echo udp unix tls memory latency storm
    make bench BENCH=loops ARGS='--rows protocol-1k-100,"timers-*" --sides loopwright,uvloop'
                                          some rows (--rows help tells which there are), some sides
    make bench BENCH=loops ARGS=--whole   echo of all kinds at 1, 10, 100 KiB over 1, 10, 100, 1,000 connections

docs/performance.md says what is measured and how it is judged.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from _loops.draw import draw
from _loops.measure import Bench
from _loops.plan import KEYS, PARTS, plan
from _loops.report import as_data, as_text
from _loops.sides import NAMES, PACKAGES, SIDES, Side
from _shared import machine
from _shared.compiled import NoCompilerError, compile_c
from _shared.workers import prepare

if TYPE_CHECKING:
    from collections.abc import Callable

    from _loops.plan import Plan

HERE = Path(__file__).resolve().parent
OPENSSL = ("ssl", "crypto")


def main() -> int:
    options = _options()
    prepare()
    facts = machine.facts(PACKAGES)
    chosen = plan(only=options.only, rows=options.rows, whole=options.whole, quick=options.quick)
    sides = tuple(side for side in SIDES if options.sides is None or side.name in options.sides)
    with tempfile.TemporaryDirectory() as name:
        bench = _bench(chosen, sides, Path(name))
        bench.run()
    facts["load_after"] = round(os.getloadavg()[0], 2)
    rows = list(bench.rows.values())
    text = machine.in_words(facts) + "\n\n" + as_text(rows, bench.absent, chosen.rounds) + "\n"
    print(text)
    options.out.mkdir(parents=True, exist_ok=True)
    data = as_data(rows, bench.absent, facts, chosen)
    (options.out / "loops.txt").write_text(text, encoding="utf-8")
    (options.out / "loops.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    pictures = [] if options.no_pictures else draw(rows, options.out, "\n".join(text.split("\n")[:3]))
    written = [options.out / "loops.txt", options.out / "loops.json", *pictures]
    print("written:", *written, sep="\n  ", file=sys.stderr)
    return 0


def _bench(chosen: Plan, sides: tuple[Side, ...], folder: Path) -> Bench:
    """With its programs compiled. Without the client there is no benchmark; a server that this system's headers are too
    old for is absent."""
    _certificate(folder)
    client = _compile("load.c", folder)
    programs, absent = {}, {}
    for side in sides:
        if side.program is not None:
            try:
                programs[side] = _compile(side.program, folder)
            except NoCompilerError as error:
                absent[side.name] = f"absent: {str(error).splitlines()[-1]}"

    def command(side: Side) -> list[str]:
        if side.program is not None:
            return [programs[side]]
        # Peers give warnings of what is deprecated in newer Pythons, which is not the matter here.
        return [sys.executable, "-W", "ignore", str(HERE / "_loops" / "worker.py"), side.name]

    there = tuple(side for side in sides if side.name not in absent)
    return Bench(chosen, there, absent, command, client, folder)


def _compile(source: str, folder: Path) -> str:
    """With OpenSSL where its headers are, without TLS where they are not."""
    to = folder / source.removesuffix(".c")
    try:
        return str(compile_c(source, to, "-DTLS", libraries=OPENSSL))
    except NoCompilerError as error:
        print(f"{source} without TLS: {str(error).splitlines()[-1]}", file=sys.stderr)
        return str(compile_c(source, to))


def _certificate(folder: Path) -> None:
    """Of nobody, for a day. Without the program there are no TLS rows."""
    program = shutil.which("openssl")
    if program is None:
        return
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost"
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run([program, *words.split(), *files], check=True, capture_output=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smoke run")
    parser.add_argument("--whole", action="store_true", help="all sizes and connections of echo, not a choice of them")
    parser.add_argument("--only", type=_words(PARTS), default=PARTS, help="parts, with commas between")
    parser.add_argument("--rows", type=_rows, help="these rows and no others; patterns with * and ? are allowed")
    parser.add_argument("--sides", type=_words(NAMES), help="sides, with commas between")
    parser.add_argument("--no-pictures", action="store_true", help="figures alone; matplotlib is not needed")
    parser.add_argument("--out", type=Path, help="folder for the results")
    options = parser.parse_args()
    if options.out is None:
        # What is committed comes of whole runs.
        some = options.quick or options.only != PARTS or options.rows is not None or options.sides is not None
        options.out = HERE.parent / "build" / "benchmarks" if some else HERE / "results" / "loops"
    return options


def _words(known: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    def split(text: str) -> tuple[str, ...]:
        words = tuple(text.split(","))
        for word in words:
            if word not in known:
                raise argparse.ArgumentTypeError(f"{word!r} is none of {', '.join(known)}")
        return words

    return split


def _rows(text: str) -> tuple[str, ...]:
    words = tuple(text.split(","))
    for word in words:
        if not any(fnmatch.fnmatchcase(key, word) for key in KEYS):
            raise argparse.ArgumentTypeError(f"{word!r} is none of {', '.join(KEYS)}")
    return words


if __name__ == "__main__":
    sys.exit(main())
