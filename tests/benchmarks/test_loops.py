"""benchmarks/loops.py: what it checks of the loops, how it judges them, and its programs in C."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
WORKLOADS = (
    "call-soon",
    "call-soon-arguments",
    "call-soon-chain",
    "threadsafe-same",
    "threadsafe-other",
    "reader",
    "reader-registration",
    "getaddrinfo",
    "sleep-0-2",
    "sleep-0-100",
    "create-task",
    "gather",
    "task-group",
    "future",
    "queue",
    "timeout",
    "to-thread",
    "run",
    "call-later-cancel",
    "timers-run",
    "timers-held",
    "timers-churned",
)


@pytest.fixture(scope="module")
def bench() -> Iterator[Callable[[str], Any]]:
    """Imports a module of the benchmarks, which are programs, and no package on anybody's path."""
    sys.path.insert(0, str(BENCHMARKS))
    yield importlib.import_module
    sys.path.remove(str(BENCHMARKS))
    for name in [name for name in sys.modules if name.split(".")[0] in {"_loops", "_shared"}]:
        del sys.modules[name]


def row(bench: Callable[[str], Any], key: str = "row", part: str = "scheduling", **sides: list[float]) -> Any:
    made = bench("_loops.measure").Row(key, key, part, "cpu")
    for side, rounds in sides.items():
        for figure in rounds:
            made.note(side, cpu=figure)
    return made


# --- judging


def test_half_the_cost_is_twice_as_fast(bench: Callable[[str], Any]) -> None:
    found = bench("_loops.verdicts").times(row(bench, a=[1.0, 10.0, 3.0], b=[2.0, 20.0, 6.0]), "a", "b")
    assert (found.value, found.low, found.high) == (2.0, 2.0, 2.0)


def test_a_side_without_figures_is_not_compared(bench: Callable[[str], Any]) -> None:
    assert bench("_loops.verdicts").times(row(bench, a=[1.0]), "a", "b") is None


def test_the_best_peer_is_neither_ours_nor_c(bench: Callable[[str], Any]) -> None:
    made = row(bench, loopwright=[1.0], uvloop=[3.0], rloop=[2.0], **{"C-epoll": [0.5]})
    assert bench("_loops.verdicts").best_peer(made) == "rloop"
    assert bench("_loops.verdicts").best_peer(row(bench, loopwright=[1.0])) is None


def test_the_mean_of_twice_and_eight_times_as_fast_is_four(bench: Callable[[str], Any]) -> None:
    rows = [row(bench, loopwright=[1.0] * 3, uvloop=[2.0] * 3), row(bench, loopwright=[1.0] * 3, uvloop=[8.0] * 3)]
    found = bench("_loops.verdicts").geometric_mean(rows, "loopwright", "uvloop")
    assert found.value == pytest.approx(4.0)
    assert (found.low, found.high) == pytest.approx((4.0, 4.0))
    assert bench("_loops.verdicts").geometric_mean(rows, "loopwright", "rloop") is None


def test_the_mean_has_an_interval_where_rounds_differ(bench: Callable[[str], Any]) -> None:
    rows = [row(bench, loopwright=[1.0, 2.0, 1.5, 1.2, 1.8], uvloop=[3.0, 3.1, 2.9, 3.0, 3.0])]
    found = bench("_loops.verdicts").geometric_mean(rows, "loopwright", "uvloop")
    assert found.low < found.value < found.high


def test_one_row_behind_is_named_and_fails_the_bound(bench: Callable[[str], Any]) -> None:
    rows = [
        row(bench, "udp-1k-1", "udp", loopwright=[1.0] * 3, uvloop=[2.0] * 3),
        row(bench, "udp-1k-100", "udp", loopwright=[3.0] * 3, uvloop=[2.0] * 3),
    ]
    (verdict,) = bench("_loops.verdicts").all_verdicts(rows)
    assert verdict.verdict == "not met"
    assert verdict.found.endswith("behind: udp-1k-100")
    ((found, peer, _),) = bench("_loops.verdicts").behind_the_best(rows)
    assert (found.key, peer) == ("udp-1k-100", "uvloop")


def test_a_figure_too_small_to_be_told_is_not_compared(bench: Callable[[str], Any]) -> None:
    made = row(bench, loopwright=[0.0, 1.0], uvloop=[1.0, 1.0])
    assert bench("_loops.verdicts").times(made, "loopwright", "uvloop") is None
    assert bench("_loops.verdicts").geometric_mean([made], "loopwright", "uvloop") is None


def test_what_was_not_measured_has_no_verdict(bench: Callable[[str], Any]) -> None:
    assert bench("_loops.verdicts").all_verdicts([row(bench, asyncio=[1.0], uvloop=[1.0])]) == []


def test_what_a_loop_does_not_have_is_absent_and_what_it_gets_wrong_fails(bench: Callable[[str], Any]) -> None:
    made = row(bench, a=[1.0], b=[1.0], c=[1.0])
    made.drop("a", "NotImplementedError: ")
    made.drop("b", "WrongError: callbacks")
    assert made.out["a"].startswith("absent: ")
    assert made.out["b"] == "fails: WrongError: callbacks"
    assert made.figures == {"cpu": {"c": [1.0]}}


def test_the_report_shows_every_side_and_who_is_missing(bench: Callable[[str], Any]) -> None:
    made = row(bench, "protocol-1k-1", "echo", loopwright=[4.0] * 3, uvloop=[5.0] * 3)
    for side in ("loopwright", "uvloop"):
        made.note(side, wall=1.0)
    made.drop("rloop", "message 7 came back changed")
    text = bench("_loops.report").as_text([made], {"blazio": "absent: no module"}, 3)
    assert "1.25 [1.25, 1.25]" in text
    assert "blazio: absent: no module" in text
    assert "protocol-1k-1, rloop: fails: message 7 came back changed" in text
    assert "met comfortably" in text


# --- rows


def test_there_are_the_rows_that_were_asked_for(bench: Callable[[str], Any]) -> None:
    plan = bench("_loops.plan")
    assert {*WORKLOADS} == {*plan.WORKLOADS}
    assert len({*plan.KEYS}) == len(plan.KEYS)
    every = [echo.key for echo in plan.ECHOES]
    assert len(every) == 7 * 3 * 4 - 4  # no datagram holds 100 KiB
    for kind, rows in plan.EVERYDAY.items():
        assert {f"{kind}-{kib}k-{count}" for kib, count in rows} <= {*every}


def test_rows_are_chosen_by_part_and_by_pattern(bench: Callable[[str], Any]) -> None:
    plan = bench("_loops.plan")
    of_part = plan.plan(only=("tls",), rows=None, whole=False, quick=False)
    assert [echo.kind for echo in of_part.echoes] == ["tls"] * 5
    assert of_part == dataclasses.replace(of_part, workloads=(), storms=(), memories=(), latency=False)
    assert len(plan.plan(only=("tls",), rows=None, whole=True, quick=False).echoes) == 12
    named = plan.plan(only=plan.PARTS, rows=("timers-*", "tls-100k-1000"), whole=False, quick=False)
    assert [each.key for each in named.workloads] == ["timers-run", "timers-held", "timers-churned"]
    assert [each.key for each in named.echoes] == ["tls-100k-1000"]


@pytest.mark.parametrize("key", WORKLOADS)
def test_asyncio_passes_every_check(bench: Callable[[str], Any], key: str) -> None:
    workload = bench("_loops.plan").WORKLOADS[key]
    count = min(workload.count, 200)
    if workload.makes_loops:
        clock = workload.do(asyncio.SelectorEventLoop, count)
    else:
        loop = asyncio.SelectorEventLoop()
        clock = workload.do(loop, count)
        bench("_loops.workloads").clean(loop)
    assert clock.wall > 0
    assert clock.cpu > 0


class Losing(asyncio.SelectorEventLoop):
    """Drops one callback of a hundred."""

    calls = 0

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:
        handle = super().call_soon(callback, *args, context=context)
        self.calls += 1
        if not self.calls % 100:
            handle.cancel()
        return handle


class Hasty(asyncio.SelectorEventLoop):
    """Its timers run at once, in the order in which they were made."""

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> Any:
        return super().call_soon(callback, *args, context=context)


class Forgetful(asyncio.SelectorEventLoop):
    """Runs the steps of tasks in a context of their own."""

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:
        return super().call_soon(callback, *args)


@pytest.mark.parametrize(
    ("kind", "key", "what"),
    [
        (Losing, "call-soon", "order of callbacks"),
        (Hasty, "timers-run", "order of timers"),
        (Forgetful, "create-task", "context after a task"),
    ],
)
def test_a_loop_that_does_less_fails(bench: Callable[[str], Any], kind: Any, key: str, what: str) -> None:
    loop = kind()
    with pytest.raises(bench("_loops.workloads").WrongError, match=what):
        bench("_loops.plan").WORKLOADS[key].do(loop, 200)
    loop.close()


# --- the programs


pytest_compiled = pytest.mark.skipif(shutil.which("gcc") is None, reason="no C compiler")


@pytest.fixture(scope="module")
def compiled(bench: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    folder = tmp_path_factory.mktemp("programs")
    return lambda source: str(
        bench("_shared.compiled").compile_c(source, folder / source.removesuffix(".c"), "-Werror")
    )


def tell(program: subprocess.Popen[str], line: str) -> str:
    assert program.stdin is not None
    assert program.stdout is not None
    program.stdin.write(line + "\n")
    program.stdin.flush()
    return program.stdout.readline().strip()


def start(program: str) -> subprocess.Popen[str]:
    return subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest_compiled
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tcp", "unix", "udp"])
@pytest.mark.parametrize("source", ["echo_epoll.c", "echo_uring.c"])
def test_c_servers_and_the_client_agree(compiled: Callable[[str], str], source: str, kind: str, tmp_path: Path) -> None:
    with start(compiled(source)) as server, start(compiled("load.c")) as client:
        hello = tell(server, "hello")
        if hello.startswith("error absent"):
            server.communicate()
            client.communicate()
            pytest.skip(hello)
        found = json.loads(tell(server, f"serve {kind} {tmp_path}").removeprefix("ok "))
        for size in (1, 1024, 10_000 if kind == "udp" else 300_000):
            assert tell(client, f"open 0 {kind} {found['address']} 7 {size} {found['pid']}") == "ok {}"
            gone = json.loads(tell(client, "go 0 0.05").removeprefix("ok "))
            assert gone["messages"] > 0
            assert 0 < gone["cpu"] < 0.1
            assert gone["messages"] * gone["wall"] >= 0.0499
            told = tell(client, "rate 0 1000 0.1")
            if kind == "udp":
                assert told.startswith("error messages that follow one another")
                continue
            rate = json.loads(told.removeprefix("ok "))
            assert 60 < rate["messages"] < 140
            assert 0 < rate["p50"] <= rate["p99"] <= rate["p999"] <= rate["most"]
        client.communicate()
        server.communicate()
    assert (client.returncode, server.returncode) == (0, 0)


@pytest_compiled
@pytest.mark.slow
@pytest.mark.parametrize(("place", "verdict"), [(0, "changed"), (700, "changed"), (None, "ok {}")])
def test_the_client_sees_a_byte_that_was_changed(
    compiled: Callable[[str], str], bench: Callable[[str], Any], place: int | None, verdict: str
) -> None:
    def echo() -> None:
        connection, _ = listening.accept()
        with connection:
            seen = 0
            while block := bytearray(connection.recv(65_536)):
                if place is not None and seen <= place < seen + len(block):
                    block[place - seen] ^= 1
                seen += len(block)
                connection.sendall(block)

    with socket.create_server(("127.0.0.1", 0)) as listening, start(compiled("load.c")) as client:
        thread = threading.Thread(target=echo)
        thread.start()
        told = tell(client, f"open 0 tcp 127.0.0.1:{listening.getsockname()[1]} 1 1024 {os.getpid()}")
        client.communicate()
        thread.join()
    assert verdict in told


@pytest_compiled
@pytest.mark.slow
def test_a_run_of_two_rows(tmp_path: Path) -> None:
    words = ["--quick", "--no-pictures", "--rows", "call-soon,protocol-1k-10", "--sides", "asyncio,C-epoll"]
    command = [sys.executable, str(BENCHMARKS / "loops.py"), *words, "--out", str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    data = json.loads((tmp_path / "loops.json").read_text())
    found = {each["key"]: each for each in data["rows"]}
    assert found.keys() == {"call-soon", "protocol-1k-10"}
    assert found["call-soon"]["figures"]["cpu"].keys() == {"asyncio"}
    assert found["protocol-1k-10"]["figures"]["cpu"].keys() == {"asyncio", "C-epoll"}
    assert data["absent"] == {}
    assert (tmp_path / "loops.txt").read_text() in done.stdout


def test_a_row_that_is_not_there_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARKS / "loops.py"), "--rows", "protocol-7k-1"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "'protocol-7k-1' is none of call-soon, " in done.stderr
