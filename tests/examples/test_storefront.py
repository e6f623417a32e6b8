"""The other programs of the storefront example, run for real: how they fail, how they end, what they lose."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.supervision.config import read
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.slow
def test_a_worker_that_is_killed_loses_no_order(start: Callable[..., Any], tmp_path: Path) -> None:
    orders = tmp_path / "data" / "orders"
    (orders / "new").mkdir(parents=True)
    wanted = {f"{number}-order" for number in range(3)}
    for name in wanted:
        (orders / "new" / name).write_text('{"item": "rope"}\n')

    for attempt in range(2):
        killed = start("worker.py")
        killed.said(r"packing.*: rope \(0-order\)")
        killed.signal(signal.SIGKILL)
        assert killed.end() == -signal.SIGKILL
        assert killed.out.count("packing again, left half done: rope (0-order)") == attempt
        assert names(orders / "work") == {"0-order"}
        assert names(orders / "new") | names(orders / "work") | names(orders / "done") == wanted

    heir = start("worker.py")
    heir.said(r"packing again, left half done: rope \(0-order\)\npacked: rope \(0-order\)\n")
    heir.said(r"packing: rope \(1-order\)\n")
    heir.signal(signal.SIGTERM)
    assert heir.end() == 0
    assert heir.err == ""
    assert heir.out.endswith("packed: rope (1-order)\nnothing left in hands, goodbye\n")
    assert names(orders / "done") == {"0-order", "1-order"}
    assert names(orders / "new") == {"2-order"}


@pytest.mark.slow
def test_a_worker_without_orders_makes_one_up(start: Callable[..., Any]) -> None:
    worker = start("worker.py")
    made_up = worker.said(r"nobody has ordered for 4 s, so I make up an order: (\w+)")
    worker.said(rf"packed: {made_up[1]}")


@pytest.fixture
def orders(storefront: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module orders.py."""
    spec = importlib.util.spec_from_file_location("storefront_orders", storefront / "orders.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "storefront_orders", module)
    spec.loader.exec_module(module)
    return module


def test_no_two_workers_take_the_same_order(orders: Any, tmp_path: Path) -> None:
    spool, other = orders.Spool(tmp_path), orders.Spool(tmp_path)
    put = [spool.put(item) for item in ("rope", "teapot")]
    first, second = spool.take(), other.take()
    assert [first.name, second.name] == put
    assert (first.item, first.resumed, second.item, second.resumed) == ("rope", False, "teapot", False)
    assert spool.take() is None
    os.close(second.lock)  # as when its worker dies
    again = spool.take()
    assert (again.name, again.resumed) == (second.name, True)
    spool.finish(first)
    spool.finish(again)
    assert names(spool.done) == set(put)
    assert other.take() is None


def test_an_illegible_order_holds_nobody_up_and_old_ones_are_cleared_away(orders: Any, tmp_path: Path) -> None:
    spool = orders.Spool(tmp_path)
    for number, content in enumerate(("", "{", "[]", "{}", "\ud800", "7")):
        (spool.new / f"{number}").write_bytes(content.encode("utf-8", "surrogatepass"))
    for number in range(100):
        (spool.done / f"9{number}").touch()
    while (order := spool.take()) is not None:
        assert order.item == "something illegible"
        spool.finish(order)
    assert names(spool.new) | names(spool.work) == set()
    assert len(names(spool.done)) == orders.MOST_DONE


def test_visitors_are_patient_and_then_leave_their_traces(start: Callable[..., Any], tmp_path: Path) -> None:
    port = str(free_port())
    visitors = start("visitors.py", "1", STOREFRONT_PORT=port, http_proxy="http://127.0.0.1:9")
    visitors.said(r"web\.1 does not answer \(.*refused.*\)")
    start("web.py", STOREFRONT_PORT=port).said("listening")
    visitors.said(r"web\.1 answers")
    log = tmp_path / "data" / "access.log"
    visitors.until(lambda: log.read_text().count('"visitors.py"') >= 2, "two visits in the log")
    visitors.signal(signal.SIGTERM)
    assert visitors.end() == -signal.SIGTERM
    assert visitors.err == ""


@pytest.mark.slow
def test_flaky_ends_each_time_as_it_said_it_would(start: Callable[..., Any]) -> None:
    ends = {
        "exit with status 3": 3,
        "exit with status 4": 4,
        "SIGSEGV": -signal.SIGSEGV,
        "SIGABRT": -signal.SIGABRT,
        "SIGKILL": -signal.SIGKILL,
    }
    for program in [start("flaky.py") for _ in range(6)]:
        status = program.end()
        said = re.fullmatch(r"I shall work for [\d.]+ s and then (.*)\n(?:out of caf\\xe9 au lait\n)?", program.out)
        assert said is not None, program.out
        assert [status] == [end for words, end in ends.items() if words in said[1]]
        assert ("ZeroDivisionError: division by zero" in program.err) == (status == 3)
        assert ("xe9" in program.out) == (status == 4)


def start_report(start: Callable[..., Any]) -> tuple[Any, dict[str, int]]:
    report = start("report.py")
    found = report.said(r"following .*/access\.log with tail \((\d+)\) \| tally \((\d+)\)\n")
    return report, {"tail": int(found[1]), "tally": int(found[2])}


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
def test_the_report_counts_what_the_shop_answered(start: Callable[..., Any], start_web: Callable[..., Any]) -> None:
    web = start_web()
    report, stages = start_report(start)

    def visited() -> re.Match[str] | None:
        web.ask("/healthz")
        web.ask("/cellar?key=1")
        return re.search(
            r"(\d+) requests, \d+ in all: \d+ with 200, \d+ with 404\n"
            r"(?: +\d+ (?:/healthz|/cellar), slowest \d+\.\d ms\n){2}",
            report.out,
        )

    report.until(visited, "a tally of the visits")
    # As the supervisor does it: everything in the group is asked at once, and no stage has failed by that.
    os.killpg(report.popen.pid, signal.SIGTERM)
    assert report.end() == 0
    assert report.err == ""
    assert re.search(r"\n\d+ requests, \d+ in all.*\n(?: +\d+ /.*\n)*goodbye\n$", report.out)
    assert not any(map(is_running, stages.values()))


@pytest.mark.parametrize("stage", ["tail", "tally"])
def test_the_report_says_which_stage_failed_and_ends_the_other(start: Callable[..., Any], stage: str) -> None:
    report, stages = start_report(start)
    os.kill(stages[stage], signal.SIGKILL)
    assert report.end() == 1
    assert report.err == f"report: {stage} was ended by SIGKILL, though it should go on for ever\n"
    assert not any(map(is_running, stages.values()))


def test_the_report_says_that_tail_is_missing(start: Callable[..., Any], tmp_path: Path) -> None:
    report = start("report.py", PATH=str(tmp_path))
    assert report.end() == 1
    assert report.err == "report: there is no program 'tail' on PATH; tail comes with coreutils\n"


def test_the_tally_reads_whatever_comes(storefront: Path) -> None:
    def tally_of(sent: bytes) -> str:
        command = [sys.executable, str(storefront / "tally.py"), "60"]
        return subprocess.run(command, input=sent, stdout=subprocess.PIPE, check=True, timeout=20).stdout.decode()

    line = b'127.0.0.1 - - [now] "GET /%d?a=b HTTP/1.1" 200 5 "-" "-" 0.002500 web.1\n'
    assert tally_of(b"") == "0 requests, 0 in all\n"
    assert tally_of(line % 1 + b"\xff\xfe\n" + line % 1 + b"a line without its e") == (
        "2 requests, 2 in all: 2 with 200\n      2 /1, slowest 2.5 ms\n      1 lines could not be read\n"
    )
    assert "(nonsense)" in tally_of(b'127.0.0.1 - - [now] "" 400 5 "-" "-" 0.002500 web.1\n')
    assert "(nonsense)" in tally_of(b'127.0.0.1 - - [now] "\\x16\\x03" 400 5 "-" "-" 0.002500 web.1\n')
    many = tally_of(b"".join(line % number for number in range(500)))
    assert many.startswith("500 requests, 500 in all: 500 with 200\n    480 (other pages), slowest 2.5 ms\n")
    assert many.count("\n") == 22
    assert tally_of(b"x" * 300_000 + b"\n" + line % 1).startswith("1 requests, 1 in all")


def test_the_configuration_is_right_and_names_what_is_there(storefront: Path) -> None:
    configuration = read(storefront / "loopwright.toml")
    services = {service.name: service for service in configuration.services}
    assert configuration.warnings == ()
    assert set(services) == {"web", "worker", "report", "visitors", "flaky"}
    for service in services.values():
        assert service.command[0] == sys.executable
        assert (storefront / service.command[1]).is_file()
        assert service.working_directory == storefront
    assert services["visitors"].command[2] == str(services["web"].instances)
    for name in ("web", "visitors"):  # the port is to be set once, for both
        assert services[name].environment["STOREFRONT_NAME"] == "The Bell and Lantern"
    assert [service.name for service in services.values() if service.essential] == ["web"]
