"""A model of the world that knows nothing of states, for the table of states to be held against.

`World` is what can physically be the matter with a service instance: is its process being made, does it run, is
something of its group left, which timer is set, what was it sent, what was asked for. It lets happen only what can
happen, and after every step compares what the table said with what a world like that demands. It is used three times:
in random histories with a clock (hypothesis), in *every* history there is (the world has a few hundred states), and on
tables with one mistake in them, which it must notice.
"""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from loopwright._core import ExitStatus, StatusLost
from loopwright.supervision import Action, Life, RestartPolicy, RestartRule, State, Stimulus, judge, step
from loopwright.supervision._table import ENDED

if TYPE_CHECKING:
    from collections.abc import Iterator

S, E, A = State, Stimulus, Action
Status: TypeAlias = ExitStatus | StatusLost

WELL, BADLY, KILLED, LOST = ExitStatus(0), ExitStatus(1), ExitStatus(None, 9), StatusLost("somebody took it")
TIMERS = {A.ARM_HEALTHY: E.HEALTHY, A.ARM_DUE: E.DUE, A.ARM_GRACE: E.GRACE_OVER}
ASKED = {E.STOP: 1, E.KILL: 2}
REFUSED = {E.GONE_RESTART: E.REFUSED_RESTART, E.GONE_FAILED: E.REFUSED_FAILED}
ENDS = {
    E.BLOCKED: S.FAILED,
    E.REFUSED_FAILED: S.FAILED,
    E.GONE_FAILED: S.FAILED,
    E.GONE_FINISHED: S.FINISHED,
}

#: What can happen and changes nothing, on purpose: who is ending is not asked twice, who has ended not at all, and what
#: ends or is cleared away is not ended for what it still writes.
DELIBERATE = {
    (S.STOPPING, E.STOP),
    (S.KILLING, E.STOP),
    (S.KILLING, E.KILL),
    (S.CLEARING, E.MATCHED),
    (S.STOPPING, E.MATCHED),
    (S.KILLING, E.MATCHED),
    *itertools.product(ENDED, (E.STOP, E.KILL)),
}
#: What has a row to say that it is expected, though there is nothing to do until its group is gone.
EXPECTED = {(S.CLEARING, E.EXITED), (S.STOPPING, E.EXITED), (S.KILLING, E.EXITED)}


class BrokenLawError(AssertionError):
    """The table said what the world does not allow or did not demand."""


def demand(condition: bool, law: str, *details: object) -> None:
    if not condition:
        raise BrokenLawError(law, *details)


@dataclass(frozen=True)
class World:
    """One instance as it is, and `life` as the table sees it. `happen()` gives the world after something happened."""

    policy: RestartPolicy = dataclasses.field(compare=False)
    life: Life = dataclasses.field(default_factory=Life)
    process: str = "none"
    """`none`, `making`, `runs`, or `left`: the process has ended, what it left in its group has not."""
    status: Status | None = None
    """How the last process ended."""
    timer: Stimulus | None = None
    told: int = 0
    """The worst that its group was sent since it was there, or since an end was first asked for: 0 nothing, 1 the stop
    signal, 2 SIGKILL."""
    asked: int = 0
    """What was asked for: 0 nothing, 1 to stop, 2 to end at once."""
    pressed: bool = False
    """Whether its grace period is over, counted like `told`."""
    unwanted: bool = False
    """Whether the process, or what it left, wrote what has it restarted."""
    proven: bool = False
    """Whether the process has run for a healthy while."""
    over: State | None = None
    """What its end, once it has come, has to be called."""
    restarts: int = 0
    """In a row."""
    ever: bool = False
    """Whether it was ever started."""

    def possible(self) -> Iterator[tuple[Stimulus, Status | None]]:
        """All that can happen now."""
        yield E.STOP, None
        yield E.KILL, None
        yield from ((stimulus, None) for stimulus in (E.RELEASED, E.BLOCKED) if self.life.state is S.WAITING)
        if self.process in ("runs", "left"):
            yield E.MATCHED, None  # not to come by itself: it may write nothing
        yield from self.to_come()

    def to_come(self) -> Iterator[tuple[Stimulus, Status | None]]:
        """What can happen now without anybody's doing."""
        if self.timer is not None:
            yield self.timer, None
        if self.process == "making":
            yield E.SPAWNED, None
            yield E.REFUSED_FAILED, None
            yield REFUSED[judge(self.policy, self.life.attempts, None)[0]], None
        elif self.process == "runs":
            yield from ((E.EXITED, status) for status in (WELL, BADLY, LOST))
        elif self.process == "left":
            yield self.verdict(), None

    def verdict(self) -> Stimulus:
        """What its end leads to, once nothing of it is left: what wrote the wrong thing did not end well."""
        return judge(self.policy, self.life.attempts, None if self.unwanted else self.status)[0]

    def goes_on(self) -> bool:
        """Whether something must happen, however stubborn what runs is: only SIGKILL ends that for certain."""
        return self.timer is not None or self.process == "making" or self.told == 2

    def happen(self, stimulus: Stimulus, status: Status | None = None) -> World:
        """The world after something happened, by the table. BrokenLawError if the table broke a law."""
        life, actions = step(self.life, stimulus)
        world = self if self.over else self._by_nature(stimulus, status)
        timer = None if stimulus is self.timer or life.state is not self.life.state else self.timer
        process, told = world.process, world.told
        for action in actions:
            if action is A.SPAWN:
                demand(process == "none", "never two processes at a time", self, stimulus)
                demand(not world.asked, "nothing is started after a stop", self, stimulus)
                process = "making"
            elif action in (A.SIGNAL, A.KILL):
                worse = 1 if action is A.SIGNAL else 2
                there = process in ("runs", "left")
                # Who is to be ended while being made is told when it is there (SPAWNED); until then nobody hears it.
                demand(there or (process == "making" and self.asked > 0), "nobody is told who is not there", self)
                demand(told < worse, "nobody is told twice", self, stimulus)
                told = worse if there else told
            elif action in TIMERS:
                demand(timer is None, "no timer is set anew, so no grace period grows", self, stimulus)
                timer = TIMERS[action]
        demand((A.FORGET in actions) == (stimulus is E.HEALTHY), "forgotten after a healthy while, and only then")
        after = dataclasses.replace(world, life=life, process=process, told=told, timer=timer)
        after.check(self, stimulus, actions)
        return after

    def _by_nature(self, stimulus: Stimulus, status: Status | None) -> World:
        """What is different whatever anybody does about it."""
        unwanted = self.unwanted or (stimulus is E.MATCHED and not self.asked)
        change: dict[str, Any] = {"asked": max(self.asked, ASKED.get(stimulus, 0)), "unwanted": unwanted}
        if stimulus in ASKED and not self.asked:
            change.update(told=0, pressed=False)
        elif stimulus is E.SPAWNED:
            change.update(process="runs", ever=True, proven=False)
        elif stimulus is E.EXITED:
            change.update(process="left", status=status)
        elif stimulus is E.GRACE_OVER:
            change.update(pressed=True)
        elif stimulus is E.HEALTHY:
            change.update(restarts=0, proven=True)
        elif stimulus in ENDS or stimulus in (E.GONE_RESTART, E.REFUSED_RESTART):
            change.update(process="none", told=0, pressed=False, status=None, unwanted=False)
            if stimulus in ENDS:
                change.update(over=ENDS[stimulus])
            elif not self.asked:
                change.update(restarts=self.restarts + 1)
        if change["asked"] and change.get("process", self.process) == "none":
            change.update(over=S.STOPPED)
        return dataclasses.replace(self, **change)

    def check(self, before: World, stimulus: Stimulus, actions: tuple[Action, ...]) -> None:
        """The laws, for a world and how it came to be."""
        story = (before, stimulus, actions, self)
        if before.life.state in ENDED:
            demand(self.life == before.life and not actions, "what has ended stays as it is", *story)
        demand(self.process == "none" or not self.over, "nothing is left when it is over", *story)
        demand(self.process == "making" or stimulus not in (E.RELEASED, E.DUE), "what is due is done", *story)
        demand(self.life.state is self.right_state(), f"it is {self.right_state()}", *story)
        demand(self.timer is self.right_timer(), f"the timer set is {self.right_timer()}", *story)
        demand(self.life.attempts == self.restarts, "restarts in a row are counted", *story)
        demand(self.life.started == self.ever, "it is known whether it was ever started", *story)
        most = self.policy.max_restarts
        demand(most is None or self.restarts <= most, "max_restarts is a limit", *story)
        if self.process in ("runs", "left"):
            left = self.process == "left"
            demand(self.told == 2 or self.asked < 2, "who is to end at once is killed at once", *story)
            demand(self.told >= 1 or not (self.asked or left or self.unwanted), "who is to end is told to", *story)
            demand(
                self.told == 0 or self.asked > 0 or left or self.unwanted, "nobody is told to end for nothing", *story
            )
            demand(self.told < 2 or self.asked == 2 or self.pressed, "nobody is killed for nothing", *story)
            demand(self.told == 2 or not self.pressed, "a grace period ends", *story)

    def right_state(self) -> State:
        """What a world like this is called."""
        if self.over is not None:
            return self.over
        if self.asked:
            return S.KILLING if self.asked == 2 or self.pressed else S.STOPPING
        if self.process == "none":
            return S.PAUSED if self.restarts else S.WAITING
        if self.unwanted:
            return S.CLEARING
        return {"making": S.STARTING, "runs": S.RUNNING, "left": S.CLEARING}[self.process]

    def settled(self) -> bool:
        """Whether it may stay as it is: over, waiting to be released, or running without having been asked to end."""
        wanted = self.process == "runs" and not self.asked and not self.unwanted
        return self.over is not None or self.life.state is S.WAITING or wanted

    def right_timer(self) -> Stimulus | None:
        """The timer that a world like this has to have set."""
        if self.over is not None or self.process == "making":
            return None
        if self.process == "none":
            return E.DUE if self.restarts else None
        if self.process == "runs" and not self.asked and not self.unwanted:
            return None if self.proven else E.HEALTHY
        return None if self.pressed or self.asked == 2 else E.GRACE_OVER


POLICIES = [RestartPolicy(rule=each, max_restarts=most) for each in RestartRule for most in (0, 2)]
