"""The shop of the storefront example, as its customers and its supervisor meet it."""

from __future__ import annotations

import collections
import http.client
import json
import os
import re
import signal
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HOST = "127.0.0.1"
LOG_LINE = re.compile(
    r"127\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\] "
    r'"[ -!#-~]*" \d{3} \d+ "[ -!#-~]*" "[ -!#-~]*" \d+\.\d{6} web\.\d+'
)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_shop_serves_its_pages_and_takes_orders(start_web: Callable[..., Any], tmp_path: Path) -> None:
    web = start_web(instance=3)

    status, headers, body = web.ask("/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b"<b>web.3</b>" in body
    assert b"Storm lantern" in body
    status, headers, nothing = web.ask("/", "HEAD")
    assert (status, headers["Content-Length"], nothing) == (200, str(len(body)), b"")
    status, _, body = web.ask("/products.json?sort=price")
    assert status == 200
    assert [product["key"] for product in json.loads(body)["products"]] == [
        "teapot",
        "lantern",
        "rope",
        "compass",
    ]
    assert web.ask("/healthz")[::2] == (200, b"ok\n")
    assert web.ask("/cellar")[0] == 404
    assert web.ask("//cellar")[0] == 404
    status, headers, _ = web.ask("/order?item=rope")
    assert (status, headers["Allow"]) == (405, "POST")
    status, headers, _ = web.ask("/", "DELETE")
    assert (status, headers["Allow"]) == (405, "GET, HEAD")

    orders = tmp_path / "data" / "orders"
    assert names(orders / "new") == set()
    status, _, body = web.ask("/order?item=rope", "POST")
    assert status == 202
    assert json.loads((orders / "new" / json.loads(body)["order"]).read_bytes()) == {"item": "rope"}
    status, headers, _ = web.ask("/order?item=teapot", "POST", accept="text/html,*/*")
    assert (status, headers["Location"]) == (303, "/?ordered=teapot")
    assert b"Thank you. On its way to you: Teapot, short and stout." in web.ask(headers["Location"])[2]
    assert b"Thank you" not in web.ask("/?ordered=%3Cscript%3E")[2]
    status, _, body = web.ask("/order?item=unicorn", "POST")
    assert status == 400
    assert b"teapot, lantern, rope, compass" in body
    assert web.ask("/order", "POST")[0] == 400
    assert len(names(orders / "new")) == 2
    assert names(orders / "drafts") == set()

    for number in range(998):
        (orders / "new" / f"filler-{number}").touch()
    status, headers, _ = web.ask("/order?item=rope", "POST")
    assert (status, headers["Retry-After"]) == (503, "60")
    assert len(names(orders / "new")) == 1000
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    web.program.ends_well()


def test_a_connection_is_kept_for_further_requests(start_web: Callable[..., Any]) -> None:
    web = start_web()
    health = b"GET /healthz HTTP/1.1\r\nHost: shop\r\n"
    page = b"POST /order?item=rope HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\r\nhello"

    answer = web.talk(health + b"\r\n" + page + b"\r\n" + health + b"Connection: close\r\n\r\n")
    assert re.findall(rb"HTTP/1\.1 (\d+)", answer) == [b"200", b"202", b"200"]
    assert re.findall(rb"Connection: ([a-z-]+)", answer) == [b"keep-alive", b"keep-alive", b"close"]

    assert web.talk(b"GET /healthz HTTP/1.0\r\n\r\n").count(b"Connection: close") == 1
    answer = web.talk(b"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    answer = web.talk(b"GET http://shop/healthz HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
    assert answer.endswith(b"\r\n\r\nok\n")
    expecting = b"POST /healthz HTTP/1.1\r\nHost: shop\r\nContent-Length: 1\r\nExpect: 100-continue\r\n"
    assert web.talk(expecting + b"Connection: close\r\n\r\nx").startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 405")


GET = b"GET / HTTP/1.1\r\nHost: shop\r\n"
REFUSED = {
    "nonsense": (b"\x16\x03\x01\x00\r\n\r\n", 400),
    "two spaces": (b"GET  / HTTP/1.1\r\n\r\n", 400),
    "a quote and a line end in the target": (b'GET /"\r/ HTTP/1.1\r\nHost: shop\r\n\r\n', 400),
    "an address cut short": (b"GET http://[ HTTP/1.1\r\nHost: shop\r\n\r\n", 400),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (GET + b"Host: other\r\n\r\n", 400),
    "a folded header": (GET + b"X-Long: one\r\n two\r\n\r\n", 400),
    "space before the colon": (GET + b"X-Long : one\r\n\r\n", 400),
    "a null character": (GET + b"X-Null: \0\r\n\r\n", 400),
    "line feeds alone": (b"GET / HTTP/1.1\nHost: shop\n\n", 400),
    "a length that is none": (GET + b"Content-Length: -1\r\n\r\n", 400),
    "length and chunks": (GET + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "chunks": (GET + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
    "a large body": (GET + b"Content-Length: 65537\r\n\r\n" + b"x" * 65_537, 413),
    "a length of 5000 digits": (GET + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", 413),
    "a long target": (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: shop\r\n\r\n", 414),
    "a long header": (GET + b"X-Long: " + b"x" * 9000 + b"\r\n\r\n", 431),
    "many headers": (GET + b"X-Many: yes\r\n" * 2000 + b"\r\n", 431),
    "an unknown method": (b"BREW / HTTP/1.1\r\nHost: shop\r\n\r\n", 501),
    "another protocol": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
}


def test_what_makes_no_sense_is_refused_and_harms_nobody(start_web: Callable[..., Any], tmp_path: Path) -> None:
    web = start_web()
    got = {}
    for what, (sent, _) in REFUSED.items():
        answer = web.talk(sent, and_no_more=True)
        assert b"\r\nConnection: close\r\n" in answer, what
        got[what] = int(answer.split(b" ", 2)[1])
    assert got == {what: status for what, (_, status) in REFUSED.items()}

    # Whoever hangs up in the middle of a request is no trouble either.
    for sent in (b"", b"GET /", GET, GET + b"Content-Length: 5\r\n\r\nhel"):
        with web.connect() as client:
            client.sendall(sent)

    assert web.ask("/healthz")[0] == 200
    web.program.ends_well()  # a line is written once the answer is on its way, so it may come a moment later
    lines = (tmp_path / "data" / "access.log").read_text(encoding="ascii").splitlines()
    assert [line for line in lines if not LOG_LINE.fullmatch(line)] == []
    statuses = collections.Counter(int(re.search(r'" (\d{3}) ', line)[1]) for line in lines)  # type: ignore[index]
    assert statuses == collections.Counter([*got.values(), 200])


def test_a_taken_port_is_explained_in_one_line(start: Callable[..., Any]) -> None:
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        port = other.getsockname()[1]
        web = start("web.py", STOREFRONT_PORT=str(port - 1), LOOPWRIGHT_INSTANCE="2")
        assert web.end() == 1
    assert web.err.count("\n") == 1
    assert f"cannot listen on 127.0.0.1:{port}: the port is taken" in web.err
    assert "set STOREFRONT_PORT in storefront.env" in web.err
    assert web.out == ""


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        (
            {"STOREFRONT_PORT": "eighty"},
            "STOREFRONT_PORT is 'eighty'; it has to be a whole number from 1 to 65535",
        ),
        ({"STOREFRONT_PORT": "0"}, "STOREFRONT_PORT is '0'"),
        ({"STOREFRONT_PORT": "9" * 5000}, "it has to be a whole number"),
        ({"STOREFRONT_PORT": "65535", "LOOPWRIGHT_INSTANCE": "2"}, "port 65536, above 65535"),
        ({"STOREFRONT_DATA": "/dev/null"}, "no data folder at /dev/null: File exists; set STOREFRONT_DATA"),
        ({"STOREFRONT_DATA": "/dev/null/shop"}, "no data folder at /dev/null/shop: "),
    ],
)
def test_what_cannot_be_meant_is_explained_in_one_line(
    start: Callable[..., Any], environment: dict[str, str], told: str
) -> None:
    web = start("web.py", **environment)
    assert web.end() == 1
    assert web.err.count("\n") == 1
    assert told in web.err


def test_a_data_folder_that_waits_in_a_shared_place_is_not_trusted(start: Callable[..., Any], tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / f"storefront-{os.getuid()}").symlink_to(elsewhere)
    web = start("web.py", STOREFRONT_DATA="", TMPDIR=str(tmp_path))
    assert web.end() == 1
    assert "is not a folder of yours" in web.err
    assert names(elsewhere) == set()


def test_asked_to_end_the_shop_finishes_what_is_in_flight(start_web: Callable[..., Any], tmp_path: Path) -> None:
    web = start_web()
    post = b"POST /order?item=rope HTTP/1.1\r\nHost: shop\r\nContent-Length: 4\r\n\r\n"
    with (
        web.connect() as idle,
        web.connect() as busy,
    ):
        idle.sendall(GET + b"\r\n")
        assert idle.recv(65_536).startswith(b"HTTP/1.1 200")
        busy.sendall(post + b"ha")
        web.ask("/healthz")  # answered after what came before it was read
        web.program.signal(signal.SIGTERM)
        while idle.recv(65_536):
            pass
        with pytest.raises(ConnectionRefusedError):
            web.ask("/healthz")
        assert web.program.popen.poll() is None
        busy.sendall(b"lf")
        answer = b"".join(iter(lambda: busy.recv(65_536), b""))
    assert answer.startswith(b"HTTP/1.1 202 ")
    assert b"Connection: close" in answer
    assert web.program.end() == 0
    assert web.program.out.endswith("\ngoodbye\n")
    assert web.program.err == ""
    assert len(names(tmp_path / "data" / "orders" / "new")) == 1


@pytest.mark.slow
def test_asked_to_end_the_shop_waits_for_nobody_longer_than_two_seconds(
    start_web: Callable[..., Any],
) -> None:
    web = start_web()
    with web.connect() as slow:
        slow.sendall(GET + b"Content-Length: 5\r\n")
        web.ask("/healthz")
        began = time.monotonic()
        web.program.signal(signal.SIGTERM)
        assert web.program.end() == 0
    assert 1.8 < time.monotonic() - began < 8
    assert web.program.out.endswith("goodbye (requests cut short: 1)\n")
    assert web.program.err == ""


def test_two_instances_write_one_log_without_mixing_lines_and_begin_a_new_one_in_time(
    start_web: Callable[..., Any], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    log = data / "access.log"
    old_line = "x" * 1023 + "\n"
    log.write_text(old_line * (5 * 1024 - 50))  # 50 KiB short of the limit: reached by both, at about the same time
    webs = [start_web(instance=number) for number in (1, 2)]
    each, failures = 150, []

    def visit(port: int, mark: str) -> None:
        connection = http.client.HTTPConnection(HOST, port, timeout=20)
        try:
            for _ in range(each):
                connection.request("HEAD", f"/{mark * 180}", headers={"User-Agent": mark * 190})
                connection.getresponse().read()
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=visit, args=(web.port, mark)) for web in webs for mark in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    for web in webs:
        web.program.ends_well()

    lines = [
        line
        for path in (data / "access.log.1", log)
        for line in path.read_text(encoding="ascii").splitlines()
        if line != old_line.rstrip()
    ]
    assert [line for line in lines if not LOG_LINE.fullmatch(line)] == []
    whole = collections.Counter(
        re.fullmatch(r'.* "HEAD /(.)\1{179} HTTP/1.1" 404 \d+ "-" "\1{190}" [\d.]+ (web\.\d)', line).groups()  # type: ignore[union-attr]
        for line in lines
    )
    assert whole == {(mark, f"web.{number}"): each for mark in "abc" for number in (1, 2)}
    assert log.stat().st_size < 1024 * 1024
