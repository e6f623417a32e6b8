"""Runs the programs of examples/storefront as what they are: child processes with ports and files."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FOLDER = Path(__file__).parents[2] / "examples" / "storefront"
HOST = "127.0.0.1"
T = TypeVar("T")


class Program:
    """One of the programs as a child process; its output goes to files, where the test looks."""

    def __init__(self, folder: Path, name: str, *args: str, **environment: str) -> None:
        self.out_path, self.err_path = folder / "stdout", folder / "stderr"
        with self.out_path.open("wb") as out, self.err_path.open("wb") as err:
            self.popen = subprocess.Popen(
                # With warnings as errors: what they leave unclosed shows on stderr.
                [sys.executable, "-W", "error", str(FOLDER / name), *args],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=os.environ | environment,
                process_group=0,
            )

    @property
    def out(self) -> str:
        return self.out_path.read_text(encoding="utf-8", errors="backslashreplace")

    @property
    def err(self) -> str:
        return self.err_path.read_text(encoding="utf-8", errors="backslashreplace")

    def until(self, look: Callable[[], T | None], what: str, seconds: float = 20.0) -> T:
        """Waits until `look` gives something, and gives that."""
        deadline = time.monotonic() + seconds
        while not (found := look()):
            if time.monotonic() > deadline:
                pytest.fail(f"not within {seconds} s: {what}; the program said:\n{self.out}{self.err}")
            time.sleep(0.02)
        return found

    def said(self, pattern: str) -> re.Match[str]:
        """Waits until its standard output has what the pattern describes."""
        return self.until(lambda: re.search(pattern, self.out), repr(pattern))

    def signal(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)

    def end(self, seconds: float = 20.0) -> int:
        """Waits for its end; the returncode as Popen has it."""
        return self.popen.wait(seconds)

    def ends_well(self) -> None:
        """Asks it to end, and fails the test unless it does so properly."""
        self.signal(signal.SIGTERM)
        assert (self.end(), self.err, self.out.splitlines()[-1]) == (0, "", "goodbye")


class Web:
    """An instance of the shop that listens."""

    def __init__(self, program: Program, port: int) -> None:
        self.program = program
        self.port = port

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, http.client.HTTPMessage, bytes]:
        """One request on a connection of its own: status, headers and body of the response."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=10)
        try:
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def connect(self) -> socket.socket:
        return socket.create_connection((HOST, self.port), timeout=10)

    def talk(self, sent: bytes, *, and_no_more: bool = False) -> bytes:
        """Sends bytes as they are and gives all that comes back until the shop closes the connection."""
        with self.connect() as client:
            client.sendall(sent)
            if and_no_more:
                client.shutdown(socket.SHUT_WR)
            return everything(client)


def everything(client: socket.socket) -> bytes:
    return b"".join(iter(lambda: client.recv(65_536), b""))


@pytest.fixture
def storefront() -> Path:
    """The folder of the programs."""
    return FOLDER


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Starts a program with its data in tmp_path/data; whatever is left of it afterwards is killed."""
    programs: list[Program] = []

    def start_one(name: str, *args: str, **environment: str) -> Program:
        folder = tmp_path / f"output-{len(programs)}"
        folder.mkdir()
        programs.append(Program(folder, name, *args, **{"STOREFRONT_DATA": str(tmp_path / "data"), **environment}))
        return programs[-1]

    yield start_one
    for program in programs:
        with contextlib.suppress(ProcessLookupError):  # nothing is left of its group
            os.killpg(program.popen.pid, signal.SIGKILL)
        program.popen.wait()


@pytest.fixture
def start_web(start: Callable[..., Program]) -> Callable[..., Web]:
    """Starts an instance of the shop and waits until it listens."""

    def start_one(instance: int = 1) -> Web:
        port = free_port()
        program = start("web.py", STOREFRONT_PORT=str(port - instance + 1), LOOPWRIGHT_INSTANCE=str(instance))
        program.said(rf"listening on http://127\.0\.0\.1:{port}\b")
        return Web(program, port)

    return start_one
