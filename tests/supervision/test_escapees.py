"""What a service leaves outside its process group, under a guard: gone before it is started again, or has ended."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from loopwright._core import Pacing
from loopwright.process import guard
from loopwright.supervision import Event, Note, Restarting, RestartPolicy, ServiceSpec, Started, Stopped, Supervisor
from loopwright.testing import LeakCheck

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: A daemon that ignores SIGTERM, and whose parent and group are not its service's.
DAEMON = "(setsid sh -c 'trap \"\" TERM; echo $$ >> pids; while :; do sleep 0.05; done' >/dev/null 2>&1 &) ; "
WAIT = "while [ ! -s pids ]; do sleep 0.01; done; "


@pytest.fixture(autouse=True)
def no_leaks(whole_process_things_are_open: None) -> Iterator[None]:
    """Here there is everything that can be left behind."""
    with LeakCheck():
        yield


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def daemons(tmp_path: Path) -> Iterator[Callable[[], list[int]]]:
    """The pids that daemons wrote down; whatever runs of them in the end is killed."""

    def told() -> list[int]:
        file = tmp_path / "pids"
        return [int(word) for word in file.read_text().split()] if file.exists() else []

    yield told
    for pid in filter(runs, told()):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.long
@pytest.mark.parametrize("cgroup", [True, False])
@pytest.mark.parametrize("how", ["restarted", "stopped"])
def test_a_daemon_goes_with_its_service(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
    tmp_path: Path,
    daemons: Callable[[], list[int]],
    cgroup: bool,
    how: str,
) -> None:
    events: list[Event] = []
    running: list[tuple[str, list[bool]]] = []

    def listen(event: Event) -> None:
        events.append(event)
        if isinstance(event, (Restarting, Stopped)):
            running.append((type(event).__name__, [runs(pid) for pid in daemons()]))

    async def main() -> None:
        policy = RestartPolicy(pacing=Pacing(initial_delay=0.0, max_delay=0.0), max_restarts=1)
        script = DAEMON + WAIT + ("exit 1" if how == "restarted" else "echo ready; exec sleep 60")
        spec = ServiceSpec(
            "it", ("/bin/sh", "-c", script), restart=policy, working_directory=tmp_path, grace_period=0.2
        )
        supervisor = Supervisor([spec], listener=listen)

        async def stop_when_ready() -> None:
            while not daemons() or not any(isinstance(event, Started) for event in events):  # noqa: ASYNC110 - a file
                await asyncio.sleep(0.01)
            supervisor.stop()

        async with asyncio.timeout(30), await guard(cgroup=cgroup):
            stopping = asyncio.create_task(stop_when_ready()) if how == "stopped" else None
            await supervisor.run()
            if stopping is not None:
                await stopping

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
    assert daemons()
    assert not any(map(runs, daemons()))
    assert running
    assert not any(any(still) for _, still in running)
    assert not [event for event in events if isinstance(event, Note) and event.warning]
