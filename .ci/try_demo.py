"""Does with the demo what a person would: `make demo`, a look at the shop, Ctrl-C; then again without make.

Both runs have a port and a folder of their own, so they neither meet nor disturb a demo that runs already.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

READY_WITHIN = 60.0
GONE_WITHIN = 30.0


def free_ports() -> int:
    """The first of two neighbouring free TCP ports: one for each of the shop's instances."""
    for _ in range(100):
        with socket.create_server(("127.0.0.1", 0)) as first:
            port: int = first.getsockname()[1]
            try:
                socket.create_server(("127.0.0.1", port + 1)).close()
            except (OSError, OverflowError):
                continue
            return port
    sys.exit("no two neighbouring TCP ports are free here")


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read().decode()


def wait_until_both_answer(port: int, demo: subprocess.Popen[bytes]) -> None:
    waiting = [port, port + 1]
    deadline = time.monotonic() + READY_WITHIN
    while waiting:
        if demo.poll() is not None:
            raise AssertionError(f"the demo ended by itself with status {demo.returncode}")
        if time.monotonic() > deadline:
            raise AssertionError(f"ports {waiting} did not answer within {READY_WITHIN:g} s")
        try:
            fetch(f"http://127.0.0.1:{waiting[0]}/healthz")
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
        else:
            waiting.pop(0)


def of_this_run(mark: str) -> list[str]:
    """Every process that carries the mark in its environment: the demo, and all that it started."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                environment = (folder / "environ").read_bytes()
                command = (folder / "cmdline").read_bytes()
            except OSError:
                continue  # it has ended, or is somebody else's
            if f"STOREFRONT_DATA={mark}".encode() in environment.split(b"\0"):
                shown = command.replace(b"\0", b" ").decode(errors="replace")
                found.append(f"{folder.name} {shown}")
    return found


def run(command: list[str], interrupt_all: bool, expected: set[int]) -> None:
    folder = tempfile.mkdtemp(prefix="loopwright-demo-")
    port = free_ports()
    log = Path(folder, "log")
    environment = {**os.environ, "STOREFRONT_PORT": str(port), "STOREFRONT_DATA": folder}
    print(f"$ {' '.join(command)}    (at port {port})", flush=True)
    with log.open("wb") as output:
        demo = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
        try:
            wait_until_both_answer(port, demo)
            products = fetch(f"http://127.0.0.1:{port}/products.json")
            assert len(products) > 20, products
            time.sleep(3)  # long enough for the crashing service to have been restarted
            if interrupt_all:
                os.killpg(demo.pid, signal.SIGINT)  # what a terminal does at Ctrl-C
            else:
                demo.send_signal(signal.SIGINT)
            status = demo.wait(GONE_WITHIN)
            text = log.read_text(errors="replace")
            assert status in expected, f"ended with status {status}, not one of {sorted(expected)}"
            for wanted in ("web.1", "web.2", "worker", "visitors", "flaky", "restart"):
                assert wanted in text, f"its output has no {wanted!r}"
            assert "\x1b[" not in text, "its output has colours though it is no terminal"
            left = of_this_run(folder)
            assert not left, f"still running: {left}"
        except BaseException:
            print(log.read_text(errors="replace")[-6000:], flush=True)
            raise
        finally:
            for line in of_this_run(folder):
                try:
                    os.kill(int(line.split()[0]), signal.SIGKILL)
                except ProcessLookupError:
                    print(f"had ended by then: {line}")
            demo.wait()
    print("".join(text.splitlines(keepends=True)[-12:]), flush=True)
    print(f"ended with status {status}; nothing is left of it\n", flush=True)
    shutil.rmtree(folder)


# A make that was interrupted waits for its command and then ends by that signal, whatever the status was.
run(["make", "demo"], interrupt_all=True, expected={-signal.SIGINT, 128 + signal.SIGINT})
run([".venv/bin/loopwright", "up", "examples/storefront/loopwright.toml"], interrupt_all=False, expected={0})
