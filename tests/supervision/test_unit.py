"""One instance under its driver: processes that follow a script, and a clock that jumps to the exact second."""

from __future__ import annotations

import asyncio
import errno
import signal
from typing import TYPE_CHECKING, Any

import pytest

from loopwright._core import ExitStatus, Pacing
from loopwright.errors import LoopwrightError
from loopwright.supervision import (
    Event,
    Exited,
    Failed,
    Finished,
    Healthy,
    Note,
    Outcome,
    Output,
    Restarting,
    RestartPolicy,
    RestartRule,
    Started,
    State,
    Stopped,
    Stopping,
    Supervisor,
)
from loopwright.testing import Refusal, Run, ScriptedPlacement, run_with_fake_clock
from tests.supervision.scripted import CRASH, DAY, EXACT, KILL, TERM, Play, service

if TYPE_CHECKING:
    pass

# --- restarts


def test_restarts_come_after_exact_and_growing_delays_up_to_the_cap(play: Play) -> None:
    scene = play([service("web")], {"web": [CRASH]}).stop_at(21.0)
    assert scene.run() == Outcome("asked to stop", asked=True, failed=())
    # One second each of running, and 0.5, 1, 2, 4, 4, ... between.
    assert scene.placement.starts("web") == [0.0, 1.5, 3.5, 6.5, 11.5, 16.5]
    assert [(at, event.delay, event.attempt) for at, event in scene.said(Restarting)] == [
        (1.0, 0.5, 1),
        (2.5, 1.0, 2),
        (4.5, 2.0, 3),
        (7.5, 4.0, 4),
        (12.5, 4.0, 5),
        (17.5, 4.0, 6),
    ]
    assert {event.reason for _, event in scene.said(Restarting)} == {"exited with status 1; its restart rule is always"}
    assert [event.attempt for _, event in scene.said(Started)] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(("chance", "delays"), [(0.0, [0.5, 1.0, 2.0]), (0.5, [0.375, 0.75, 1.5])])
def test_jitter_shortens_by_the_chance_that_is_drawn_once_a_restart(
    chance: float, delays: list[float], play: Play
) -> None:
    jittery = RestartPolicy(pacing=Pacing(initial_delay=0.5, factor=2.0, max_delay=4.0, jitter=0.5), max_restarts=3)
    scene = play([service("web", restart=jittery)], {"web": [Run(seconds=0.0)]}, chance=chance)
    scene.run()
    assert [event.delay for _, event in scene.said(Restarting)] == delays
    assert scene.placement.starts("web") == [0.0, delays[0], sum(delays[:2]), sum(delays)]
    assert scene.chances == 3


def test_a_hundred_services_felled_at_once_do_not_come_back_at_once() -> None:
    jittery = RestartPolicy(pacing=Pacing(jitter=0.5))
    scripts: dict[str, list[Run | Refusal]] = {"web": [CRASH, Run()]}
    placement = ScriptedPlacement(scripts)
    supervisor = Supervisor([service("web", instances=100, restart=jittery)], placement=placement)

    async def main() -> None:
        asyncio.get_running_loop().call_at(5.0, supervisor.stop)
        await supervisor.run()

    run_with_fake_clock(main())
    second = {placement.starts(f"web.{number}")[1] for number in range(1, 101)}
    assert len(second) > 90
    assert 1.25 <= min(second) < max(second) <= 1.5


def test_a_healthy_while_makes_the_pacing_begin_anew(play: Play) -> None:
    crash, healthy = Run(seconds=1.0, status=ExitStatus(1)), Run(seconds=10.0, status=ExitStatus(1))
    scene = play([service("web")], {"web": [crash, crash, healthy, crash, Run()]}).stop_at(60.0)
    scene.run()
    assert scene.placement.starts("web") == [0.0, 1.5, 3.5, 14.0, 16.0]
    assert [event.attempt for _, event in scene.said(Restarting)] == [1, 2, 1, 2]
    # Said once when it mattered: at the end of the third run, and for the last.
    assert scene.times(Healthy) == [13.5, 26.0]


def test_a_moment_less_than_a_healthy_while_is_not_one(play: Play) -> None:
    scene = play([service("web")], {"web": [CRASH, Run(seconds=9.875, status=ExitStatus(1))]}).stop_at(15.0)
    scene.run()
    assert [event.attempt for _, event in scene.said(Restarting)] == [1, 2]
    assert not scene.said(Healthy)


def test_being_healthy_is_not_worth_a_word_when_nothing_was_wrong(play: Play) -> None:
    scene = play([service("web")]).stop_at(100.0)
    scene.run()
    assert not scene.said(Healthy)


@pytest.mark.parametrize(
    ("rule", "status", "starts", "end"),
    [
        (RestartRule.ALWAYS, ExitStatus(0), 3, Stopped),
        (RestartRule.ALWAYS, ExitStatus(1), 3, Stopped),
        (RestartRule.ON_FAILURE, ExitStatus(0), 1, Finished),
        (RestartRule.ON_FAILURE, ExitStatus(1), 3, Stopped),
        (RestartRule.ON_FAILURE, ExitStatus(None, signal.SIGSEGV), 3, Stopped),
        (RestartRule.NEVER, ExitStatus(0), 1, Finished),
        (RestartRule.NEVER, ExitStatus(1), 1, Failed),
        (RestartRule.NEVER, ExitStatus(None, signal.SIGSEGV), 1, Failed),
    ],
)
def test_the_rule_says_after_which_ends_it_is_started_again(
    rule: RestartRule, status: ExitStatus, starts: int, end: type[Event], play: Play
) -> None:
    policy = RestartPolicy(rule=rule, pacing=EXACT)
    scene = play([service("web", restart=policy)], {"web": [Run(seconds=1.0, status=status)]}).stop_at(4.0)
    outcome = scene.run()
    assert len(scene.placement.starts("web")) == starts
    assert scene.only(end)
    assert outcome.success is (end is not Failed)
    assert outcome.asked is (end is Stopped)


def test_too_many_restarts_in_a_row_are_a_named_failure(play: Play) -> None:
    policy = RestartPolicy(pacing=EXACT, max_restarts=2)
    scene = play([service("web", restart=policy)], {"web": [CRASH]})
    assert scene.run() == Outcome("nothing is left to run", asked=False, failed=("web",))
    assert scene.placement.starts("web") == [0.0, 1.5, 3.5]
    assert scene.only(Failed).reason == (
        "exited with status 1; crash-looping: 2 restarts in a row did not help, and max_restarts is 2"
    )
    assert scene.events[-1] == (4.5, scene.only(Failed))


def test_a_restart_waits_for_what_the_last_process_left_and_ends_it(play: Play) -> None:
    leaving = Run(seconds=1.0, status=ExitStatus(1), leaves=DAY, left_ignores=(TERM,))
    scene = play([service("web", grace_period=5.0)], {"web": [leaving, Run()]}).stop_at(10.0)
    scene.run()
    assert scene.placement.signals("web")[:2] == [(1.0, TERM), (6.0, KILL)]
    assert scene.placement.starts("web") == [0.0, 6.5]
    killing = scene.said(Stopping)[0][1]
    assert killing.reason == "something that it started still runs after a grace period of 5 s"
    assert (killing.signal, killing.grace) == (KILL, 0.0)


def test_what_is_left_and_heeds_the_stop_signal_holds_nothing_up_and_is_not_worth_a_word(play: Play) -> None:
    scene = play([service("web")], {"web": [Run(seconds=1.0, leaves=DAY, ending=0.25), Run()]}).stop_at(10.0)
    scene.run()
    assert scene.placement.starts("web") == [0.0, 1.75]
    assert scene.times(Stopping) == [10.0]


# --- refusals


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ETXTBSY])
def test_what_the_machine_may_get_over_is_tried_again_with_pacing(number: int, play: Play) -> None:
    refusal = Refusal(error=OSError(number, "not now"))
    scene = play([service("web")], {"web": [refusal, refusal, Run()]}).stop_at(30.0)
    assert scene.run().success
    assert scene.placement.starts("web") == [0.0, 0.5, 1.5]
    assert [event.reason for _, event in scene.said(Restarting)] == [
        "cannot start 'program': not now; its restart rule is always"
    ] * 2
    assert scene.only(Started).attempt == 2


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES, errno.ENOEXEC, errno.ENOTDIR, errno.E2BIG])
def test_what_only_a_person_can_mend_is_not_tried_again(number: int, play: Play) -> None:
    scene = play([service("web")], {"web": [Refusal(error=OSError(number, "no"))]})
    assert scene.run() == Outcome("nothing is left to run", asked=False, failed=("web",))
    assert scene.placement.starts("web") == [0.0]
    assert "'program'" in scene.only(Failed).reason


@pytest.mark.parametrize("error", [ValueError("embedded null byte"), LoopwrightError("no way of watching works here")])
def test_other_refusals_say_what_was_said(error: Exception, play: Play) -> None:
    scene = play([service("web")], {"web": [Refusal(error=error)]})
    assert scene.run().failed == ("web",)
    assert scene.only(Failed).reason == f"cannot start 'program': {error}"


def test_refusals_count_as_restarts_and_have_their_limit(play: Play) -> None:
    policy = RestartPolicy(pacing=EXACT, max_restarts=1)
    refusal = Refusal(error=OSError(errno.EAGAIN, "not now"))
    scene = play([service("web", restart=policy)], {"web": [refusal]})
    assert scene.run().failed == ("web",)
    assert scene.only(Failed).reason == (
        "cannot start 'program': not now; crash-looping: 1 restart did not help, and max_restarts is 1"
    )


# --- output


def test_what_it_writes_is_said_line_by_line(play: Play) -> None:
    scene = play([service("web", instances=2)], {"web": [Run(lines=[(0.5, "one"), (1.5, "two")])]}).stop_at(5.0)
    scene.run()
    assert [(at, event.instance, event.line, event.continued) for at, event in scene.said(Output)] == [
        (0.5, "web.1", "one", False),
        (0.5, "web.2", "one", False),
        (1.5, "web.1", "two", False),
        (1.5, "web.2", "two", False),
    ]


def test_output_that_is_held_comes_when_it_is_released_and_before_the_end(play: Play) -> None:
    never = RestartPolicy(rule=RestartRule.NEVER)
    scene = play([service("web", restart=never)], {"web": [Run(seconds=3.0, lines=[(1.0, "one"), (2.0, "two")])]})
    scene.at(0.5, lambda: scene.supervisor.hold_output(True)).at(6.0, lambda: scene.supervisor.hold_output(False))
    assert scene.run().success
    assert [(at, event.line) for at, event in scene.said(Output)] == [(6.0, "one"), (6.0, "two")]
    assert (scene.times(Exited), scene.times(Finished)) == ([3.0], [6.0])


def test_who_starts_while_output_is_held_is_held_too(play: Play) -> None:
    scene = play([service("web")], {"web": [Run(starting=1.0, lines=[(1.0, "one")])]}).stop_at(9.0)
    scene.at(0.5, lambda: scene.supervisor.hold_output(True)).at(6.0, lambda: scene.supervisor.hold_output(False))
    scene.run()
    assert scene.times(Output) == [6.0]


def test_a_kill_holds_no_output_back(play: Play) -> None:
    scene = play([service("web")], {"web": [Run(lines=[(1.0, "last words")])]})
    scene.at(0.5, lambda: scene.supervisor.hold_output(True)).at(2.0, lambda: scene.supervisor.kill())
    assert scene.run().success
    assert [(at, event.line) for at, event in scene.said(Output)] == [(2.0, "last words")]


def test_a_note_about_its_end_is_passed_on(play: Play) -> None:
    never = RestartPolicy(rule=RestartRule.NEVER)
    scene = play([service("web", restart=never)], {"web": [Run(seconds=1.0, note="something may be left")]})
    scene.run()
    note = scene.only(Note)
    assert (note.instance, note.text, note.warning) == ("web", "something may be left", True)


# --- what should not happen


class Broken(ScriptedPlacement):
    """A placement with a mistake in it."""

    def __init__(self, where: str, error: BaseException) -> None:
        super().__init__({"web": [Run(seconds=1.0)]})
        self._where = where
        self._error = error

    async def start(self, instance: Any, on_line: Any) -> Any:
        placed = await super().start(instance, on_line)
        if instance.name == "web":

            async def breaks() -> Any:
                raise self._error

            setattr(placed, self._where, breaks)
        return placed


@pytest.mark.parametrize("where", ["wait", "wait_gone"])
@pytest.mark.parametrize(
    "error", [ZeroDivisionError("a mistake"), asyncio.CancelledError()], ids=["error", "cancelled"]
)
def test_a_mistake_in_a_placement_ends_everything_and_is_raised(where: str, error: BaseException) -> None:
    placement = Broken(where, error)
    supervisor = Supervisor([service("web"), service("db")], placement=placement)
    expected = ZeroDivisionError if isinstance(error, ZeroDivisionError) else RuntimeError
    with pytest.raises(expected):
        run_with_fake_clock(supervisor.run())
    assert not placement.present
    assert supervisor.lives["db"].state is State.STOPPED


def test_a_signal_that_cannot_be_sent_is_said() -> None:
    class NotMine(ScriptedPlacement):
        async def start(self, instance: Any, on_line: Any) -> Any:
            placed = await super().start(instance, on_line)

            def refuses(number: int) -> bool:
                raise PermissionError(errno.EPERM, "Operation not permitted")

            placed.signal = refuses  # type: ignore[method-assign]  # a process of another user
            return placed

    notes: list[Note] = []

    def listen(event: Event) -> None:
        if isinstance(event, Note):
            notes.append(event)

    supervisor = Supervisor([service("web")], placement=NotMine({"web": [Run(seconds=30.0)]}), listener=listen)

    async def main() -> Outcome:
        asyncio.get_running_loop().call_at(1.0, supervisor.stop)
        return await supervisor.run()

    assert run_with_fake_clock(main()).success
    assert [note.text for note in notes if note.instance] == [
        "SIGTERM could not be sent: Operation not permitted",
        "SIGKILL could not be sent: Operation not permitted",
    ]
