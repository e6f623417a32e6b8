"""The life of one service instance, as a table.

Nothing here does anything. `step(life, stimulus)` says what an instance is after something happened to it and what is
to be done about it; the engine does it and comes back with what happened next. So every history can be tried in a test
without a process, a clock or a wait, and the table below is the whole truth about what a service can go through.

Two rules keep it small. *A timer belongs to a state*: leaving a state disarms it, so no state hears another's timer.
And *`EXITED` is not the end*: it says that the process is gone, `GONE_...` that everything in its group is. Only then
is the instance restarted or over, for what is left of the old one may still hold its port.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from loopwright.supervision._spec import RestartPolicy, RestartRule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loopwright._core import ExitStatus, StatusLost

__all__ = ["ENDED", "TABLE", "Action", "Life", "State", "Stimulus", "judge", "step"]


class State(enum.Enum):
    """Where an instance stands."""

    WAITING = "waiting"
    """For what it depends on to be started."""
    STARTING = "starting"
    """Its process is being made."""
    RUNNING = "running"
    """Its process runs."""
    CLEARING = "clearing"
    """Its process ended by itself, or wrote what has it restarted; what is there of it is being ended."""
    PAUSED = "paused"
    """It will be started again in a while."""
    STOPPING = "stopping"
    """It was asked to end."""
    KILLING = "killing"
    """It was sent SIGKILL."""
    STOPPED = "stopped"
    """It was asked to end, and nothing of it is left."""
    FINISHED = "finished"
    """It ended well by itself, and is not to be started again."""
    FAILED = "failed"
    """It failed, and is not to be started again."""


ENDED = frozenset({State.STOPPED, State.FINISHED, State.FAILED})
"""The states that nothing leads out of."""


class Stimulus(enum.Enum):
    """What can happen to an instance."""

    RELEASED = "all that it depends on was started"
    BLOCKED = "something that it depends on will never be started"
    SPAWNED = "its process was made"
    REFUSED_RESTART = "its process could not be made now, but perhaps later"
    REFUSED_FAILED = "its process cannot be made"
    HEALTHY = "it has run for a healthy while"
    MATCHED = "it wrote a line that has it restarted"
    EXITED = "its process ended"
    GONE_RESTART = "nothing of it is left, and it is to be started again"
    GONE_FINISHED = "nothing of it is left, and it is done"
    GONE_FAILED = "nothing of it is left, and it has failed"
    DUE = "the delay before its restart is over"
    GRACE_OVER = "it has had its grace period"
    STOP = "it is to end"
    KILL = "it is to end at once"


class Action(enum.Enum):
    """What the engine is to do."""

    SPAWN = "make its process"
    SIGNAL = "send its process group the stop signal"
    KILL = "send its process group SIGKILL"
    ARM_HEALTHY = "wake it with HEALTHY after a healthy while"
    ARM_DUE = "wake it with DUE after the restart delay"
    ARM_GRACE = "wake it with GRACE_OVER after the grace period"
    FORGET = "forget its failures"


S, E, A = State, Stimulus, Action

TABLE: Mapping[tuple[State, Stimulus], tuple[State, tuple[Action, ...]]] = {
    (S.WAITING, E.RELEASED): (S.STARTING, (A.SPAWN,)),
    (S.WAITING, E.BLOCKED): (S.FAILED, ()),
    (S.WAITING, E.STOP): (S.STOPPED, ()),
    (S.WAITING, E.KILL): (S.STOPPED, ()),
    (S.STARTING, E.SPAWNED): (S.RUNNING, (A.ARM_HEALTHY,)),
    (S.STARTING, E.REFUSED_RESTART): (S.PAUSED, (A.ARM_DUE,)),
    (S.STARTING, E.REFUSED_FAILED): (S.FAILED, ()),
    (S.STARTING, E.STOP): (S.STOPPING, ()),
    (S.STARTING, E.KILL): (S.KILLING, ()),
    (S.RUNNING, E.HEALTHY): (S.RUNNING, (A.FORGET,)),
    (S.RUNNING, E.MATCHED): (S.CLEARING, (A.SIGNAL, A.ARM_GRACE)),
    (S.RUNNING, E.EXITED): (S.CLEARING, (A.SIGNAL, A.ARM_GRACE)),
    (S.RUNNING, E.STOP): (S.STOPPING, (A.SIGNAL, A.ARM_GRACE)),
    (S.RUNNING, E.KILL): (S.KILLING, (A.KILL,)),
    # Of what was told to end for what it wrote: what it leaves was told with it, and has the rest of its grace period.
    (S.CLEARING, E.EXITED): (S.CLEARING, ()),
    (S.CLEARING, E.GONE_RESTART): (S.PAUSED, (A.ARM_DUE,)),
    (S.CLEARING, E.GONE_FINISHED): (S.FINISHED, ()),
    (S.CLEARING, E.GONE_FAILED): (S.FAILED, ()),
    (S.CLEARING, E.GRACE_OVER): (S.CLEARING, (A.KILL,)),
    (S.CLEARING, E.STOP): (S.STOPPING, (A.SIGNAL, A.ARM_GRACE)),
    (S.CLEARING, E.KILL): (S.KILLING, (A.KILL,)),
    (S.PAUSED, E.DUE): (S.STARTING, (A.SPAWN,)),
    (S.PAUSED, E.STOP): (S.STOPPED, ()),
    (S.PAUSED, E.KILL): (S.STOPPED, ()),
    # A process that was being made when the stop came is asked to end as soon as it is there to be asked.
    (S.STOPPING, E.SPAWNED): (S.STOPPING, (A.SIGNAL, A.ARM_GRACE)),
    (S.STOPPING, E.REFUSED_RESTART): (S.STOPPED, ()),
    (S.STOPPING, E.REFUSED_FAILED): (S.STOPPED, ()),
    (S.STOPPING, E.EXITED): (S.STOPPING, ()),
    (S.STOPPING, E.GONE_RESTART): (S.STOPPED, ()),
    (S.STOPPING, E.GONE_FINISHED): (S.STOPPED, ()),
    (S.STOPPING, E.GONE_FAILED): (S.STOPPED, ()),
    (S.STOPPING, E.GRACE_OVER): (S.KILLING, (A.KILL,)),
    (S.STOPPING, E.KILL): (S.KILLING, (A.KILL,)),
    (S.KILLING, E.SPAWNED): (S.KILLING, (A.KILL,)),
    (S.KILLING, E.REFUSED_RESTART): (S.STOPPED, ()),
    (S.KILLING, E.REFUSED_FAILED): (S.STOPPED, ()),
    (S.KILLING, E.EXITED): (S.KILLING, ()),
    (S.KILLING, E.GONE_RESTART): (S.STOPPED, ()),
    (S.KILLING, E.GONE_FINISHED): (S.STOPPED, ()),
    (S.KILLING, E.GONE_FAILED): (S.STOPPED, ()),
}
"""(state, what happened): (next state, what to do). What is not here changes nothing: a stop of what is stopping."""


@dataclass(frozen=True, slots=True)
class Life:
    """What is remembered of an instance."""

    state: State = State.WAITING
    attempts: int = 0
    """Restarts in a row without a healthy while."""
    started: bool = False
    """Whether its process was ever made: what those wait for that depend on it."""


def step(life: Life, stimulus: Stimulus) -> tuple[Life, tuple[Action, ...]]:
    """What becomes of an instance when something happens to it, and what is to be done."""
    row = TABLE.get((life.state, stimulus))
    if row is None:
        return life, ()
    state, actions = row
    attempts = life.attempts
    if Action.FORGET in actions:
        attempts = 0
    elif Action.ARM_DUE in actions:
        attempts += 1
    started = life.started or stimulus is Stimulus.SPAWNED
    return replace(life, state=state, attempts=attempts, started=started), actions


def judge(policy: RestartPolicy, attempts: int, status: ExitStatus | StatusLost | None) -> tuple[Stimulus, str]:
    """What an end that nobody asked for leads to (one of the GONE_... stimuli), and why, as half a sentence.

    `attempts` are the restarts in a row so far; `status` is None for a process that could not be made.
    """
    succeeded = status is not None and status.success
    if policy.rule is RestartRule.NEVER or (policy.rule is RestartRule.ON_FAILURE and succeeded):
        if succeeded:
            return Stimulus.GONE_FINISHED, f"its restart rule is {policy.rule.value}"
        return Stimulus.GONE_FAILED, f"its restart rule is {policy.rule.value}"
    if policy.max_restarts is not None and attempts >= policy.max_restarts:
        times = "1 restart" if attempts == 1 else f"{attempts} restarts in a row"
        return Stimulus.GONE_FAILED, f"crash-looping: {times} did not help, and max_restarts is {policy.max_restarts}"
    return Stimulus.GONE_RESTART, f"its restart rule is {policy.rule.value}"
