"""The rows: what is asked of the sides, round by round, and the figures that come back.

Theory of operation. All sides of a row are there at once, each in a process of its own, and rounds go over them in an
order of chance, a new one each: what slows the machine for a while slows both figures of a pair. Who is not asked is
asleep in the kernel. The first round is to get warm, and is not kept.

Loops and servers are bound to one CPU, the client to the others, so that neither is moved about, and a server's figure
does not hang on where the client is. (Only rows in which threads have a part use all CPUs.) A server's processor time
is read by the client, from the server's clock, when it is asleep: before the first message and after the last.

For workloads a side's process stays from row to row; a server is a fresh process in each row, so that no row's memory
weighs on the next. A side that fails a row is out of that row, with the reason, and has a new process in the next.
"""

from __future__ import annotations

import dataclasses
import os
import random
import sys
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from _shared.workers import FailedError, Worker

from _loops.plan import LATENCY, TRANSPORTS, Echo, Memory, Plan, Storm

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from _loops.sides import Side
    from _loops.workloads import Workload

NANO, MICRO = 1e9, 1e6
#: Seconds in which a side has to be there, and to answer.
PATIENCE = 60.0
#: Connections that are there before memory is looked at first: what is made once for all is made by then.
FIRST = 50


@dataclasses.dataclass
class Row:
    """The figures of one row, of each of which less is better: by what they are, by side, one a round."""

    key: str
    title: str
    part: str
    judged: str
    """Which of the figures sides are compared by."""
    figures: dict[str, dict[str, list[float]]] = dataclasses.field(default_factory=dict)
    #: Sides without figures, and why: absent, or fails.
    out: dict[str, str] = dataclasses.field(default_factory=dict)

    def note(self, side: str, **found: float) -> None:
        for what, figure in found.items():
            self.figures.setdefault(what, {}).setdefault(side, []).append(figure)

    def drop(self, side: str, why: str) -> None:
        # What a loop says of what it does not have; asyncio's abstract loop says it for those that say nothing.
        missing = why.startswith(("absent", "NotImplementedError"))
        self.out[side] = why if why.startswith("absent") else f"{'absent' if missing else 'fails'}: {why}"
        for figures in self.figures.values():
            figures.pop(side, None)

    def of(self, side: str, what: str | None = None) -> list[float] | None:
        """A figure's rounds, by default the one that is judged; None if the side has none."""
        return self.figures.get(what or self.judged, {}).get(side)


class Bench:
    """Measures, and remembers."""

    def __init__(
        self,
        plan: Plan,
        sides: tuple[Side, ...],
        absent: dict[str, str],
        command: Callable[[Side], list[str]],
        client: str,
        folder: Path,
    ) -> None:
        """`absent` are sides that are known not to be there, and why; `command` opens a side's process; `client` is the
        program of load.c; `folder` has certificate and key."""
        self._plan = plan
        self._sides = sides
        self._command = command
        self._client = client
        self._folder = folder
        self._chance = random.Random(0)
        self._began = time.monotonic()
        cpus = os.sched_getaffinity(0)
        self._server_cpu = max(cpus)
        self._all_cpus = ",".join(map(str, sorted(cpus)))
        self._client_cpus = (cpus - {self._server_cpu}) or cpus
        self.rows: dict[str, Row] = {}
        self.absent = absent

    def say(self, what: str) -> None:
        print(f"[{time.monotonic() - self._began:6.0f} s] {what}", file=sys.stderr, flush=True)

    def _open(self, side: Side) -> Worker:
        return Worker(self._command(side), {self._server_cpu})

    def run(self) -> None:
        """All rows of the plan."""
        self._roll_call()
        self._workloads()
        for echo in self._plan.echoes:
            self._echo(echo)
        if self._plan.latency:
            self._latency()
        for storm in self._plan.storms:
            self._storm(storm)
        for memory in self._plan.memories:
            self._memory(memory)

    def _roll_call(self) -> None:
        """Who is here at all."""
        with ExitStack() as stack:
            workers = {side: stack.enter_context(self._open(side)) for side in self._sides}
            for side, worker in workers.items():
                try:
                    worker.ask("hello", patience=PATIENCE)
                except FailedError as error:
                    self.absent[side.name] = str(error) if str(error).startswith("absent") else f"absent: {error}"
        self._sides = tuple(side for side in self._sides if side.name not in self.absent)

    def _row(self, key: str, title: str, part: str, judged: str) -> Row:
        self.say(title)
        self.rows[key] = Row(key, title, part, judged)
        return self.rows[key]

    def _rounds(
        self, row: Row, sides: list[Side], ask: Callable[[Side], dict[str, float]], rounds: int, warming: int = 1
    ) -> None:
        left = list(sides)
        for number in range(-warming, rounds):
            for side in self._chance.sample(left, len(left)):
                try:
                    found = ask(side)
                except FailedError as error:
                    row.drop(side.name, str(error))
                    left.remove(side)
                    continue
                if number >= 0:
                    row.note(side.name, **found)

    # --- callbacks, timers, tasks

    def _workloads(self) -> None:
        """Each row in processes of its own.

        Once the set that asyncio keeps of tasks had grown to ten thousand, run() of nothing was a quarter slower, or not,
        by chance.
        """
        sides = [side for side in self._sides if side.program is None and not side.transports]
        for workload in self._plan.workloads:
            row = self._row(
                workload.key, workload.title, "timers" if workload.timers else "scheduling", workload.judged
            )
            workers: dict[Side, Worker] = {}
            try:
                self._rounds(row, sides, partial(self._once, workers, workload), self._plan.rounds)
            finally:
                for worker in workers.values():
                    worker.end()

    def _once(self, workers: dict[Side, Worker], workload: Workload, side: Side) -> dict[str, float]:
        if side not in workers:
            workers[side] = self._open(side)
        cpus = self._all_cpus if workload.threads else self._server_cpu
        count = max(workload.count // self._plan.shorter, 1)
        try:
            found = workers[side].ask("row", workload.key, count, cpus, patience=PATIENCE)
        except FailedError:
            workers.pop(side).end()
            raise
        return {"cpu": found["cpu"] * NANO, "wall": found["wall"] * NANO}

    # --- messages

    def _serving(
        self, row: Row, kind: str, size: int, count: int, loops: bool, ask: Callable[[Worker, Worker, int], Any]
    ) -> None:
        """A server a side, `count` connections to each, and rounds in which `ask(client, server, ID)` is called."""
        with ExitStack() as stack:
            client = stack.enter_context(Worker([self._client], self._client_cpus))
            sides = [side for side in self._sides if side.program is None or not loops]
            servers = {side: stack.enter_context(self._open(side)) for side in sides}
            for number, side in enumerate(sides):
                try:
                    self._reach(client, number, kind, self._serve(servers[side], kind), size, count)
                except FailedError as error:
                    row.drop(side.name, str(error))
                    servers[side].end()

            def once(side: Side) -> dict[str, float]:
                try:
                    return ask(client, servers[side], sides.index(side))
                except FailedError:
                    servers[side].end()  # whatever it is at, it is not to disturb the others
                    raise

            self._rounds(row, [side for side in sides if side.name not in row.out], once, self._plan.rounds)

    def _serve(self, server: Worker, kind: str) -> dict[str, Any]:
        folder = tempfile.mkdtemp(dir=self._folder)
        if kind == "tls":
            for name in ("cert.pem", "key.pem"):
                if not (self._folder / name).exists():
                    raise FailedError("absent: a certificate, which takes the program openssl")
                os.link(self._folder / name, f"{folder}/{name}")
        return server.ask("serve", kind, folder, patience=PATIENCE)

    def _reach(self, client: Worker, number: int, kind: str, found: dict[str, Any], size: int, count: int) -> None:
        transport = TRANSPORTS.get(kind, kind)
        client.ask("open", number, transport, found["address"], count, size, found["pid"], patience=PATIENCE)

    def _echo(self, echo: Echo) -> None:
        row = self._row(echo.key, echo.title, echo.part, "cpu")
        window = self._plan.window_of(echo)

        def ask(client: Worker, _server: Worker, number: int) -> dict[str, float]:
            found = client.ask("go", number, window)
            return {"cpu": found["cpu"] * MICRO, "wall": found["wall"] * MICRO, "lost": found["lost"]}

        self._serving(row, echo.kind, echo.kib * 1024, echo.count, False, ask)

    def _latency(self) -> None:
        plan = self._plan
        title = f"latency at {plan.rate:,} messages of 1 KiB a second over {plan.rate_connections} connections"
        row = self._row(LATENCY, title, "latency", "p99")

        def ask(client: Worker, _server: Worker, number: int) -> dict[str, float]:
            return _latencies(client.ask("rate", number, plan.rate, plan.rate_seconds))

        self._serving(row, "protocol", 1024, plan.rate_connections, False, ask)

    def _storm(self, storm: Storm) -> None:
        row = self._row(storm.key, f"latency of a byte under a storm: {storm.title}", "storm", "p99")

        def ask(client: Worker, server: Worker, number: int) -> dict[str, float]:
            server.ask("storm", storm.chains, storm.seconds)
            found = client.ask("rate", number, self._plan.storm_rate, self._plan.storm_seconds)
            server.ask("calm")
            return _latencies(found)

        self._serving(row, "protocol", 1, 1, True, ask)

    # --- memory

    def _memory(self, memory: Memory) -> None:
        row = self._row(memory.key, memory.title, "memory", "bytes")
        sides = [side for side in self._sides if side.program is None]

        def ask(side: Side) -> dict[str, float]:
            many = self._plan.memory_connections
            with Worker([self._client], self._client_cpus) as client, self._open(side) as server:
                found = self._serve(server, memory.kind)
                self._reach(client, 0, memory.kind, found, 1024, FIRST)
                before = server.ask("memory")["resident"]
                self._reach(client, 1, memory.kind, found, 1024, many)
                return {"bytes": (server.ask("memory")["resident"] - before) / many}

        self._rounds(row, sides, ask, self._plan.memory_rounds, warming=0)


def _latencies(found: dict[str, float]) -> dict[str, float]:
    figures = {name: found[name] * MICRO for name in ("p50", "p99", "p999", "most")}
    return {**figures, "cpu": found["cpu"] * MICRO}
