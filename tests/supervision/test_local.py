"""Real children under a real supervisor, on every loop there is: short, and to the end of each of them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from loopwright._core import Pacing
from loopwright.supervision import (
    Event,
    Exited,
    Failed,
    Finished,
    Note,
    Outcome,
    Output,
    Restarting,
    RestartPolicy,
    RestartRule,
    ServiceSpec,
    Started,
    State,
    Stopped,
    Stopping,
    Supervisor,
)
from loopwright.testing import LeakCheck

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ONCE = RestartPolicy(rule=RestartRule.NEVER)
AT_ONCE = Pacing(initial_delay=0.0, max_delay=0.0)

LoopFactory: TypeAlias = "Callable[[], asyncio.AbstractEventLoop]"


@pytest.fixture(autouse=True)
def no_leaks(whole_process_things_are_open: None) -> Iterator[None]:
    """Here there is everything that can be left behind."""
    with LeakCheck():
        yield


def shell(script: str, **options: Any) -> ServiceSpec:
    return ServiceSpec("it", ("/bin/sh", "-c", script), **{"restart": ONCE, **options})


class Story:
    """A run of a supervisor, what it said, and what is done when it says something."""

    def __init__(self, *services: ServiceSpec) -> None:
        self.events: list[Event] = []
        self.times: list[float] = []
        self.listen: Callable[[Event], object] = self._remember
        self._then: list[tuple[Callable[[Event], bool], Callable[[], object]]] = []
        self.supervisor = Supervisor(services, listener=lambda event: self.listen(event))

    def _remember(self, event: Event) -> None:
        self.events.append(event)
        self.times.append(time.monotonic())
        for condition, action in self._then:
            if condition(event):
                action()

    def when(self, condition: Callable[[Event], bool], action: Callable[[], object]) -> Story:
        self._then.append((condition, action))
        return self

    def when_it_says(self, line: str, action: Callable[[], object]) -> Story:
        return self.when(lambda event: isinstance(event, Output) and event.line == line, action)

    def run(self, loop_factory: LoopFactory, *, within: float = 20.0) -> Outcome:
        async def main() -> Outcome:
            async with asyncio.timeout(within):
                return await self.supervisor.run()

        with asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(main())

    def said(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def only(self, kind: type[Event]) -> Any:
        [event] = self.said(kind)
        return event

    def lines(self) -> list[str]:
        return [event.line for event in self.said(Output)]

    def when_said(self, number: int, kind: type[Event]) -> float:
        """When the n-th event of a kind was."""
        return [at for at, event in zip(self.times, self.events, strict=True) if isinstance(event, kind)][number]


def runs(pid: int) -> bool:
    """Whether a process exists that is more than a zombie, whoever its parent is by now."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


# --- what it is given


def test_it_finds_its_name_and_number_and_what_was_set_for_it(loop_factory: LoopFactory, tmp_path: Path) -> None:
    script = 'echo "$LOOPWRIGHT_SERVICE $LOOPWRIGHT_INSTANCE $PYTHONUNBUFFERED $MINE ${HOME:+home} $(pwd)"'
    options = {"instances": 2, "working_directory": tmp_path, "environment": {"MINE": "yes", "PYTHONUNBUFFERED": "0"}}
    story = Story(shell(script, **options))
    assert story.run(loop_factory).success
    home = "home" if "HOME" in os.environ else ""
    assert sorted(story.lines()) == [f"it {number} 0 yes {home} {tmp_path}" for number in (1, 2)]
    assert {event.instance for event in story.said(Output)} == {"it.1", "it.2"}


@pytest.fixture
def standard_input() -> Iterator[None]:
    """Gives this program something to read, which is nobody else's."""
    before = os.dup(0)
    reader, writer = os.pipe()
    os.write(writer, b"for the supervisor\n")
    os.dup2(reader, 0)
    os.close(reader)
    os.close(writer)
    yield
    os.dup2(before, 0)
    os.close(before)


@pytest.mark.usefixtures("standard_input")
def test_it_has_a_session_of_its_own_and_nothing_to_read(loop_factory: LoopFactory) -> None:
    code = "import os, sys; print(os.getsid(0) == os.getpgid(0) == os.getpid(), repr(sys.stdin.read()))"
    story = Story(ServiceSpec("it", (sys.executable, "-S", "-c", code), restart=ONCE))
    assert story.run(loop_factory).success
    assert story.lines() == ["True ''"]


# --- what it writes


def test_lines_come_in_the_order_in_which_they_were_written_whichever_way(loop_factory: LoopFactory) -> None:
    story = Story(shell("for n in 1 2 3 4 5; do echo out $n; echo err $n >&2; done; printf 'the last'"))
    assert story.run(loop_factory).success
    assert story.lines() == [f"{way} {number}" for number in range(1, 6) for way in ("out", "err")] + ["the last"]
    last_output = max(story.events.index(event) for event in story.said(Output))
    assert last_output < story.events.index(story.only(Finished))


def test_bytes_that_are_no_text_lose_nothing(loop_factory: LoopFactory) -> None:
    story = Story(shell(r"printf 'caf\303\251 caf\351 \000\377\n\200\n'"))
    assert story.run(loop_factory).success
    assert story.lines() == ["café caf\\xe9 \0\\xff", "\\x80"]


def test_a_line_of_ten_megabytes_comes_in_pieces_and_in_little_memory(loop_factory: LoopFactory) -> None:
    story = Story(shell("head -c 10000000 /dev/zero | tr '\\0' x; echo; echo after"))
    pieces: list[tuple[int, bool]] = []

    def measure(event: Event) -> None:
        if isinstance(event, Output):
            pieces.append((len(event.line), event.continued))

    story.listen = measure
    tracemalloc.start()
    try:
        assert story.run(loop_factory).success
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert pieces.pop() == (len("after"), False)
    assert sum(length for length, _ in pieces) == 10_000_000
    assert max(length for length, _ in pieces) <= 65_536
    assert [continued for _, continued in pieces] == [True] * (len(pieces) - 1) + [False]
    assert peak < 4_000_000


@pytest.mark.long
def test_a_service_waits_while_its_output_is_held_and_nothing_is_lost(
    loop_factory: LoopFactory, tmp_path: Path
) -> None:
    written = tmp_path / "written"
    story = Story(shell(f"echo go; seq 1 50000; : > {written}"))
    seen: list[tuple[bool, int]] = []

    def hold() -> None:
        story.supervisor.hold_output(True)
        asyncio.get_running_loop().call_later(0.3, release)

    def release() -> None:
        seen.append((written.exists(), len(story.said(Output))))
        story.supervisor.hold_output(False)

    story.when_it_says("go", hold)
    assert story.run(loop_factory).success
    # seq(1) writes 289 kB: more than the pipe (64 KiB) and the one reading that was under way can hold.
    assert len(seen) == 1
    assert seen[0][0] is False
    assert story.lines() == ["go", *map(str, range(1, 50_001))]


def test_output_may_be_held_at_the_last_word(loop_factory: LoopFactory) -> None:
    story = Story(shell("printf 'no newline'"))

    def hold() -> None:
        story.supervisor.hold_output(True)
        asyncio.get_running_loop().call_later(0.05, story.supervisor.hold_output, False)

    story.when_it_says("no newline", hold)
    assert story.run(loop_factory).success
    assert not story.said(Note)


@pytest.mark.long
def test_what_was_written_before_the_end_is_read_however_late_it_is_released(loop_factory: LoopFactory) -> None:
    story = Story(shell("echo first; echo second"))
    story.supervisor.hold_output(True)

    def release() -> None:
        # wait_gone() looks at its output every 0.25 s. It has to find it released and, this very moment, not yet read.
        time.sleep(0.1)
        story.supervisor.hold_output(False)

    story.when(lambda event: isinstance(event, Exited), lambda: asyncio.get_running_loop().call_later(0.45, release))
    assert story.run(loop_factory).success
    assert story.lines() == ["first", "second"]
    assert not story.said(Note)


@pytest.mark.long
def test_who_writes_for_ever_can_be_killed_while_its_output_is_held(loop_factory: LoopFactory) -> None:
    story = Story(shell("trap '' TERM; echo go; while :; do echo more; done", grace_period=0.2))

    def hold_and_stop() -> None:
        story.supervisor.hold_output(True)
        story.supervisor.stop()

    story.when_it_says("go", hold_and_stop)
    # And who shows it has no room for any of what then comes.
    story.when_it_says("more", lambda: story.supervisor.hold_output(True))
    assert story.run(loop_factory).asked
    assert story.only(Exited).status.signal == signal.SIGKILL
    assert not story.said(Note)[1:]


# --- how it ends


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_the_stop_signal_is_the_one_that_was_chosen(loop_factory: LoopFactory, number: signal.Signals) -> None:
    name = number.name.removeprefix("SIG")
    script = f"trap 'echo got {name}; exit 3' {name}; echo ready; while :; do sleep 0.02; done"
    story = Story(shell(script, stop_signal=number))
    story.when_it_says("ready", story.supervisor.stop)
    assert story.run(loop_factory) == Outcome("asked to stop", asked=True, failed=())
    # Between the two a shell may tell what its sleep(1), which is in its group, ended of.
    assert (story.lines()[0], story.lines()[-1]) == ("ready", f"got {name}")
    assert story.only(Stopping).signal is number
    assert (story.only(Exited).status.code, story.only(Exited).asked) == (3, True)
    assert story.only(Stopped)


@pytest.mark.long
def test_who_ignores_sigterm_is_killed_after_its_grace_period(loop_factory: LoopFactory) -> None:
    story = Story(shell("trap '' TERM; echo ready; while :; do sleep 0.02; done", grace_period=0.3))
    story.when_it_says("ready", story.supervisor.stop)
    assert story.run(loop_factory).success
    assert [event.signal for event in story.said(Stopping)] == [signal.SIGTERM, signal.SIGKILL]
    # uvloop counts in milliseconds from when the loop last looked at the clock.
    assert 0.25 <= story.when_said(1, Stopping) - story.when_said(0, Stopping) < 5.0
    assert story.only(Exited).status.signal == signal.SIGKILL


def test_what_a_process_leaves_in_its_group_is_ended_before_the_restart(loop_factory: LoopFactory) -> None:
    policy = RestartPolicy(pacing=AT_ONCE, max_restarts=1)
    story = Story(shell("sleep 60 & echo $!; exit 1", restart=policy))
    left: list[bool] = []
    story.when(
        lambda event: isinstance(event, Restarting), lambda: left.extend(runs(int(line)) for line in story.lines())
    )
    assert story.run(loop_factory).failed == ("it",)
    assert left == [False]
    assert len(story.lines()) == 2
    assert not any(runs(int(line)) for line in story.lines())


@pytest.mark.long
def test_what_it_leaves_and_ignores_the_stop_signal_is_killed(loop_factory: LoopFactory, tmp_path: Path) -> None:
    script = (
        "(trap '' TERM; : > ready; while :; do sleep 0.02; done) & echo $!; while [ ! -e ready ]; do sleep 0.01; done"
    )
    story = Story(shell(script, grace_period=0.3, working_directory=tmp_path))
    assert story.run(loop_factory).success
    killing = story.only(Stopping)
    assert killing.signal is signal.SIGKILL
    assert killing.reason == "something that it started still runs after a grace period of 0.3 s"
    assert not runs(int(story.lines()[0]))


@pytest.fixture
def outsiders(tmp_path: Path) -> Iterator[Path]:
    """A file for the pid of a process that leaves its group, which is killed at the end."""
    file = tmp_path / "pid"
    yield file
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        os.kill(int(file.read_text()), signal.SIGKILL)


@pytest.mark.long
def test_who_left_the_group_and_holds_the_output_is_named_and_waited_for_no_longer(
    loop_factory: LoopFactory, outsiders: Path
) -> None:
    leave = f"import os, time; os.setsid(); open({str(outsiders)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    story = Story(
        shell(f'{sys.executable} -S -c "{leave}" & while [ ! -s {outsiders} ]; do sleep 0.01; done; echo done')
    )
    assert story.run(loop_factory, within=10.0).success
    note = story.only(Note)
    assert note.text.startswith("a process that left its process group still holds its output")
    assert f"process {story.only(Started).pid})" in note.text
    assert story.lines() == ["done"]
    assert runs(int(outsiders.read_text()))
    assert story.when_said(0, Finished) - story.when_said(0, Exited) < 3.0


@pytest.mark.long
def test_a_status_that_somebody_took_is_said_and_what_may_be_anybodys_is_not_touched(
    loop_factory: LoopFactory, outsiders: Path
) -> None:
    script = f"sleep 60 & echo $! > {outsiders}; sleep 0.1; exit 0"
    story = Story(shell(script))
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # wait(2): the kernel then reaps without a status
    try:
        outcome = story.run(loop_factory)
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert outcome.failed == ("it",)
    assert "its status lost" in story.only(Failed).reason
    left = int(outsiders.read_text())
    assert any(str(left) in note.text and "may be somebody else's" in note.text for note in story.said(Note))
    assert runs(left)


@pytest.mark.slow
def test_two_hundred_at_once(loop_factory: LoopFactory) -> None:
    story = Story(ServiceSpec("it", ("sleep", "60"), instances=200))
    story.when(lambda _: len(story.said(Started)) == 200, story.supervisor.stop)
    assert story.run(loop_factory, within=50.0).success
    assert len(story.said(Stopped)) == 200
    assert not any(runs(event.pid) for event in story.said(Started))


# --- what cannot start


def refused(story: Story, loop_factory: LoopFactory) -> str:
    """The reason for which the only service, which is not started again, failed."""
    assert story.run(loop_factory) == Outcome("nothing is left to run", asked=False, failed=("it",))
    assert not story.said(Started)
    reason = story.only(Failed).reason
    assert isinstance(reason, str)
    return reason


def plain(tmp_path: Path, text: str, mode: int) -> Path:
    file = tmp_path / "program"
    file.write_text(text)
    file.chmod(mode)
    return file


def test_a_command_that_does_not_exist(loop_factory: LoopFactory) -> None:
    story = Story(ServiceSpec("it", ("no-such-program", "--really"), environment={"PATH": "/nowhere:/bin"}))
    reason = refused(story, loop_factory)
    assert reason == "its command 'no-such-program' was not found in any folder of PATH (/nowhere:/bin)"


def test_a_file_that_does_not_exist_is_looked_for_from_the_working_directory(
    loop_factory: LoopFactory, tmp_path: Path
) -> None:
    story = Story(ServiceSpec("it", ("./no-such-file",), working_directory=tmp_path))
    assert refused(story, loop_factory) == f"its command './no-such-file' does not exist (looked for from '{tmp_path}')"


def test_a_working_directory_that_does_not_exist(loop_factory: LoopFactory, tmp_path: Path) -> None:
    story = Story(ServiceSpec("it", ("true",), working_directory=tmp_path / "gone"))
    assert refused(story, loop_factory) == f"its working_directory '{tmp_path / 'gone'}' does not exist"


def test_a_working_directory_that_is_a_file(loop_factory: LoopFactory, tmp_path: Path) -> None:
    file = plain(tmp_path, "", 0o644)
    story = Story(ServiceSpec("it", ("true",), working_directory=file))
    assert refused(story, loop_factory) == f"its working_directory '{file}' is not a directory"


def test_a_working_directory_that_no_system_call_takes(loop_factory: LoopFactory) -> None:
    story = Story(ServiceSpec("it", ("true",), working_directory=Path("x" * 300)))
    assert refused(story, loop_factory).endswith("x' cannot be entered: File name too long")


def test_a_command_without_permission(loop_factory: LoopFactory, tmp_path: Path) -> None:
    file = plain(tmp_path, "#!/bin/sh\n", 0o644)
    reason = refused(Story(ServiceSpec("it", (str(file),))), loop_factory)
    assert reason == f"its command '{file}' may not be executed: no permission (chmod +x?)"


def test_a_command_that_is_a_directory(loop_factory: LoopFactory, tmp_path: Path) -> None:
    reason = refused(Story(ServiceSpec("it", (str(tmp_path),))), loop_factory)
    assert reason == f"its command '{tmp_path}' is a directory"


def test_a_command_that_the_kernel_cannot_run(loop_factory: LoopFactory, tmp_path: Path) -> None:
    file = plain(tmp_path, "echo hello\n", 0o755)
    reason = refused(Story(ServiceSpec("it", (str(file),))), loop_factory)
    assert reason == f"its command '{file}' is nothing the kernel can run (a script needs a first line like #!/bin/sh)"


@pytest.mark.parametrize("by_path", [False, True], ids=["by name", "by path"])
def test_a_script_whose_interpreter_does_not_exist(loop_factory: LoopFactory, tmp_path: Path, by_path: bool) -> None:
    file = plain(tmp_path, "#!/no/such/interpreter\n", 0o755)
    command = (str(file),) if by_path else (file.name,)
    story = Story(ServiceSpec("it", command, environment={"PATH": str(tmp_path)}))
    reason = refused(story, loop_factory)
    assert reason == f"its command '{command[0]}' needs an interpreter that does not exist (see its first line)"


@pytest.fixture
def locked() -> Iterator[Path]:
    """A folder that this program may not enter; run as root, it is another user for the while."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        inner = folder / "locked"
        inner.mkdir()
        (inner / "deeper").mkdir()
        user = os.getresuid()
        inner.chmod(0)
        if user[1] == 0:
            os.setresuid(65534, 65534, 0)
        try:
            yield inner
        finally:
            os.setresuid(*user)
            inner.chmod(0o755)


@pytest.mark.parametrize(
    ("below", "why"),
    [(".", "may not be entered: no permission"), ("deeper", "cannot be entered: Permission denied")],
)
def test_a_working_directory_without_permission(loop_factory: LoopFactory, locked: Path, below: str, why: str) -> None:
    folder = locked / below
    reason = refused(Story(ServiceSpec("it", ("true",), working_directory=folder)), loop_factory)
    assert reason == f"its working_directory '{folder}' {why}"


def test_no_descriptors_left_is_tried_again(loop_factory: LoopFactory) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    story = Story(shell("echo here", restart=RestartPolicy(rule=RestartRule.ON_FAILURE, pacing=AT_ONCE)))
    story.when(lambda event: isinstance(event, Restarting), lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limits))

    async def main() -> Outcome:
        free = os.dup(0)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
        return await story.supervisor.run()

    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            assert runner.run(main()).success
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert "Too many open files" in story.only(Restarting).reason
    assert story.lines() == ["here"]


# --- what comes in between


def test_a_cancellation_at_any_moment_leaves_nothing(loop_factory: LoopFactory) -> None:
    """What might be left is found by the fixture that every test here has."""

    async def main(story: Story, passes: int) -> None:
        task = asyncio.create_task(story.supervisor.run())
        for _ in range(passes):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    for passes in (*range(8), 50):
        story = Story(ServiceSpec("it", ("sleep", "60"), instances=2))
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(main(story, passes))
        begun = State.STOPPED if passes else State.WAITING
        assert {life.state for life in story.supervisor.lives.values()} == {begun}, passes


def test_a_loop_that_cancels_every_task_leaves_nothing(loop_factory: LoopFactory) -> None:
    async def main(story: Story, passes: int) -> asyncio.Task[Outcome]:
        task = asyncio.create_task(story.supervisor.run())
        for _ in range(passes):
            await asyncio.sleep(0)
        return task

    for passes in (*range(1, 8), 50):
        story = Story(ServiceSpec("it", ("sleep", "60"), instances=2))
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            task = runner.run(main(story, passes))
        assert task.cancelled()
        assert {life.state for life in story.supervisor.lives.values()} == {State.STOPPED}, passes


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start what it may not signal afterwards")
def test_what_may_not_be_signalled_is_given_up_and_named() -> None:
    # In a process of its own: what it gives away (CAP_KILL, capabilities(7)) does not come back.
    program = """
import asyncio, ctypes, os, signal, sys
from loopwright.supervision import ServiceSpec, Supervisor
from loopwright.supervision import _placement

_placement.PATIENCE = 0.3
PR_CAPBSET_DROP, CAP_KILL = 24, 5
assert ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_KILL, 0, 0, 0) == 0
if len(sys.argv) == 1:
    os.execv(sys.executable, [sys.executable, __file__, "again"])  # root regains what the bounding set has, at exec

async def main():
    asleep = "import os, time; os.setgroups([]); os.setgid(65534); os.setuid(65534); print('here'); time.sleep(3)"
    def listen(event):
        print(event)
        if "here" in str(event):
            asyncio.get_running_loop().call_soon(supervisor.stop)
    supervisor = Supervisor([ServiceSpec("s", (sys.executable, "-c", asleep), grace_period=0.1)], listener=listen)
    outcome = await supervisor.run()
    assert outcome.left == ("s",) and outcome.asked and not outcome.success, outcome

asyncio.run(main())
"""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "program.py"
        file.write_text(program)
        ran = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, timeout=30)
    assert ran.returncode == 0, ran.stderr
    assert "SIGKILL could not be sent: Operation not permitted" in ran.stdout
    assert "still running 0.3 s after SIGKILL, and not waited for any longer" in ran.stdout
    assert "Stopped(" not in ran.stdout
    assert "Exited(" not in ran.stdout
