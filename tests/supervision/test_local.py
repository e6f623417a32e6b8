"""Real children under a real supervisor, on every loop there is: short, and to the end of each of them."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from loopwright.observe import TaskWatcher
from loopwright.supervision import (
    Exited,
    Failed,
    Finished,
    Note,
    Outcome,
    Output,
    Restarting,
    RestartPolicy,
    ServiceSpec,
    Started,
    State,
    Stopped,
    Stopping,
    Supervisor,
)
from loopwright.testing import LeakCheck
from tests.supervision.stories import AT_ONCE, ONCE, LoopFactory, Story, runs, shell

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def no_leaks(whole_process_things_are_open: None) -> Iterator[None]:
    """Here there is everything that can be left behind."""
    with LeakCheck():
        yield


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


def test_whoever_bounds_the_tasks_around_it_does_not_hold_up_its_killing(loop_factory: LoopFactory) -> None:
    async def main() -> Outcome:
        started, supervisor = asyncio.Event(), Supervisor([shell("sleep 100")], listener=lambda _: started.set())

        async def kill() -> None:
            await started.wait()
            loop.call_soon(supervisor.kill, context=here)

        loop = asyncio.get_running_loop()
        killing = asyncio.create_task(kill())
        async with asyncio.timeout(20), TaskWatcher(limit=1):
            here = contextvars.copy_context()  # the watched task's: what is started in it is a child of that
            outcome = await supervisor.run()
        await killing
        return outcome

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        assert runner.run(main()).success


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
    # For as long as this program runs, which cannot end it.
    asleep = (
        "import os, time; above = os.getppid(); os.setgroups([]); os.setgid(65534); os.setuid(65534); print('here')\\n"
        "while os.getppid() == above: time.sleep(0.02)"
    )
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
