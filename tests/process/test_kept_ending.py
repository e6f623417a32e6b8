"""Trees under a keeper or a guard: what has left its tree is found, and nothing remains after kill -9."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from loopwright.process import cgroup_obstacle
from tests.process.kept_program import Program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Runs = Callable[[int], bool]
    Soon = Callable[..., None]
    Start = Callable[..., "Program"]

pytestmark = pytest.mark.slow


LEVELS = [
    pytest.param("keep(cgroup=True)", "b", id="keeper-cgroup"),
    pytest.param("keep(cgroup=False)", "c", id="keeper"),
    pytest.param("guard(cgroup=True)", "b", id="guard-cgroup"),
    pytest.param("guard(cgroup=False)", "d", id="guard"),
]
KEEPERS = LEVELS[:2]
GUARDS = LEVELS[2:]


@pytest.fixture
def start(no_leaks: None, tmp_path: object) -> Iterator[Start]:
    """Starts a `Program`, and looks that no cgroup is left of it."""
    started: list[Program] = []

    def start_one(code: str, kept: str) -> Program:
        if "cgroup=True" in kept and (obstacle := cgroup_obstacle()) is not None:
            pytest.skip(f"no cgroups: {obstacle}")
        started.append(Program(code, kept))
        return started[-1]

    yield start_one
    for program in started:
        if program.popen.poll() is None:
            program.popen.kill()
        program.popen.communicate()


@pytest.mark.parametrize("leader", ["lives", "end"])
@pytest.mark.parametrize(("kept", "level"), LEVELS)
def test_escapees_are_ended_with_their_tree(start: Start, runs: Runs, kept: str, level: str, leader: str) -> None:
    """Also when its first process, through which they could be seen, ended long before."""
    code = f"""
    process = await tree({leader!r})
    other = await spawn(["sleep", "1000"], start_new_session=True)
    ended = await process.end(grace=0.1)
    say(ended.guarantee.value, ended.proved, len(ended.killed), *ended.left)
    say(other.status)
    say(other.pid)
    sys.stdin.readline()
    await other.end()
    await finish(process)
    """
    program = start(code, kept)
    pids = program.numbers()
    killed = "4" if leader == "lives" else "3"
    assert program.line() == f"{level} {level != 'd'} {killed}"
    assert program.line() == "None"
    [other] = program.numbers()
    assert not any(map(runs, pids))
    assert runs(other)
    program.go_on()
    assert program.end() == (0, "", "")
    assert not runs(program.above)


@pytest.mark.parametrize(("kept", "level"), LEVELS)
def test_a_daemon_that_cleared_its_environment(start: Start, runs: Runs, soon: Soon, kept: str, level: str) -> None:
    """A cgroup holds it all the same; a keeper alone cannot say whose it is, and says that; it ends it in the end."""
    code = """
    process = await tree("clean", "end")
    ended = await process.end(grace=0.1)
    say(ended.proved)
    say(*[left.pid for left in ended.left])
    say(*[left.why for left in ended.left])
    await finish(process)
    """
    program = start(code, kept)
    _, member, session, daemon = program.numbers()
    assert program.line() == str(level == "b")
    named = program.numbers() if level == "c" else [int(word) for word in program.line().split()]
    why = program.line()
    assert not runs(member)
    if level == "c":
        assert sorted(named) == sorted([session, daemon])
        assert "carries no mark" in why
    else:
        assert (named, why) == ([], "")
    if level == "d":  # and it holds the output
        for pid in (session, daemon):
            os.kill(pid, signal.SIGKILL)
    program.end()
    soon(lambda: not runs(daemon) and not runs(session))


@pytest.mark.parametrize("words", ["'lives'", "'end'", "'clean', 'lives'", "'clean', 'end'"])
@pytest.mark.parametrize(("kept", "level"), LEVELS)
def test_kill_9_of_the_program(start: Start, runs: Runs, soon: Soon, kept: str, level: str, words: str) -> None:
    program = start(f"process = await tree({words})\nsay('ready')\nsys.stdin.readline()", kept)
    pids = program.numbers()
    assert program.line() == "ready"
    os.kill(program.pid, signal.SIGKILL)
    if level == "d" and "clean" in words:  # not promised
        soon(lambda: not runs(program.above))
        for pid in filter(runs, pids):
            os.kill(pid, signal.SIGKILL)
    _, _, said = program.end()  # which ends when nobody has its output any more
    soon(lambda: not any(map(runs, [*pids, program.above])))
    assert ("killed" in said) is not (level == "d" and words == "'clean', 'end'")


@pytest.mark.parametrize(("kept", "level"), LEVELS)
def test_those_that_breed_when_the_program_is_killed(
    start: Start, soon: Soon, runs: Runs, kept: str, level: str
) -> None:
    code = """
    breed = '''
    import os, time
    print(os.getpid(), flush=True)
    for number in range(400):
        if not os.fork():
            os.setsid()
            if os.fork():
                os._exit(0)
            time.sleep(1000)
            os._exit(0)  # or, were it ever left behind, it would breed in its turn
        time.sleep(0.001)
    time.sleep(1000)
    '''.replace("\\n    ", "\\n")
    process = await spawn([sys.executable, "-I", "-S", "-c", breed])
    sys.stdin.readline()
    """
    program = start(code, kept)
    program.numbers()
    os.kill(program.pid, signal.SIGKILL)
    _, _, said = program.end()
    assert "killed" in said
    soon(lambda: not runs(program.above))


@pytest.mark.parametrize(("kept", "level"), LEVELS)
def test_kill_9_of_who_stands_above(start: Start, runs: Runs, kept: str, level: str) -> None:
    code = """
    lost = asyncio.Event()
    above.when_lost(lost.set)
    process = await tree("lives")
    say(process.guarantee.value)
    await lost.wait()
    say(process.guarantee.value, above.lost)
    say((await process.end(grace=0)).guarantee.value)
    later = await spawn(["sleep", "1000"], start_new_session=True)
    say(later.guarantee.value, (await later.end()).guarantee.value)
    await finish(process)
    """
    program = start(code, kept)
    pids = program.numbers()
    assert program.line() == level
    os.kill(program.above, signal.SIGKILL)
    assert program.line() == "group True"
    assert program.line() == "group"
    assert program.line() == "group group"
    assert program.end()[1:] == ("", "")
    assert not any(map(runs, pids))


@pytest.mark.parametrize(("kept", "level"), GUARDS)
def test_a_guard_that_is_dismissed(start: Start, runs: Runs, soon: Soon, kept: str, level: str) -> None:
    code = """
    process = await tree("lives")
    await above.dismiss()
    await above.dismiss()
    say(process.guarantee.value, above.lost)
    os.kill(os.getpid(), signal.SIGKILL)
    """
    program = start(code, kept)
    pids = program.numbers()
    assert program.line() == "group True"
    soon(lambda: not runs(program.pid) and not runs(program.above))
    assert all(map(runs, pids))
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_guard_that_is_dismissed_twice_at_once(start: Start, runs: Runs, *, cancelled: bool) -> None:
    """Whoever comes second waits until it is gone, also if the first is cancelled."""
    code = f"""
    both = [asyncio.create_task(above.dismiss()) for _ in range(2)]
    await asyncio.sleep(0)
    say([each.done() for each in both])
    if {cancelled}:
        both[0].cancel()
    await both[1]
    say("gone")
    sys.stdin.readline()
    await asyncio.wait(both)
    say(both[0].cancelled() or both[0].exception())
    await above.dismiss()
    """
    program = start(code, "guard(cgroup=False)")
    assert program.line() == "[False, False]"
    assert program.line() == "gone"
    assert not runs(program.above)
    program.go_on()
    assert program.end() == (0, "True\n" if cancelled else "None\n", "")


@pytest.mark.parametrize(("kept", "level"), GUARDS)
def test_a_guard_leaves_others_processes_alone(start: Start, runs: Runs, soon: Soon, kept: str, level: str) -> None:
    code = """
    import subprocess
    others = subprocess.Popen(["sleep", "1000"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    ours = await spawn(["sleep", "1000"])
    say(others.pid, ours.pid)
    sys.stdin.readline()
    os.kill(os.getpid(), signal.SIGKILL)
    """
    program = start(code, kept)
    others, ours = program.numbers()
    program.go_on()
    soon(lambda: not runs(program.above))
    assert not runs(ours)
    assert runs(others)
    os.kill(others, signal.SIGKILL)


@pytest.mark.parametrize(("kept", "level"), LEVELS)
def test_one_is_enough(start: Start, kept: str, level: str) -> None:
    code = """
    try:
        await guard()
    except Exception as error:
        say(type(error).__name__)
    await finish(await spawn(["true"]))
    """
    program = start(code, kept)
    assert program.line() == "CallerError"
    assert program.end() == (0, "", "")


@pytest.mark.parametrize(("kept", "level"), LEVELS)
def test_environments(start: Start, kept: str, level: str) -> None:
    """What was asked for, and the mark; an outer one's is kept."""
    code = """
    os.environ["LOOPWRIGHT_TREE"] = "outer"
    for env in (None, {"A": "1"}, {b"A": b"1"}):
        process = await spawn(["env"], stdout=PIPE, env=env)
        output, _ = await process.communicate()
        lines = sorted(output.decode().split())
        [mark] = [line for line in lines if line.startswith("LOOPWRIGHT_TREE=outer:")]
        say(len(mark.split(":")), *[line for line in lines if line != mark and (env or line[:5] == "PATH=")])
    await finish(process)
    """
    program = start(code, kept)
    assert program.line() == f"3 PATH={os.environ['PATH']}"
    assert program.line() == "3 A=1"
    assert program.line() == "3 A=1"
    assert program.end() == (0, "", "")


def test_no_cgroup_is_left(start: Start) -> None:
    """After all the ways there are: ended, killed, left behind."""
    from loopwright.process._cgroup import own_folder

    if (obstacle := cgroup_obstacle()) is not None:
        pytest.skip(obstacle)
    folder = own_folder()
    for code in (
        "await finish(await tree('lives'))",
        "await tree('end'); os.kill(os.getpid(), signal.SIGKILL)",
        "await tree('clean', 'end')",
    ):
        for kept in ("keep()", "guard()"):
            program = start(code, kept)
            program.numbers()
            program.end()
            mine = f"loopwright-{program.above if kept == 'keep()' else program.pid}-"
            assert [name for name in os.listdir(folder) if name.startswith(mine)] == []
