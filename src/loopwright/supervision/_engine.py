"""The supervisor: starts services in their order, keeps them, and ends them in the reverse of it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loopwright.errors import CallerError
from loopwright.supervision import _events
from loopwright.supervision._order import blocked_by, is_free_to_start, is_free_to_stop, start_order
from loopwright.supervision._placement import LocalPlacement
from loopwright.supervision._table import ENDED, State, Stimulus
from loopwright.supervision._unit import Surroundings, Unit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from loopwright.supervision._placement import Placement
    from loopwright.supervision._spec import Instance, ServiceSpec
    from loopwright.supervision._table import Life

__all__ = ["Outcome", "Supervisor"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a supervisor's work ended."""

    reason: str
    """Why it ended, as half a sentence."""
    asked: bool
    """Whether it was asked to stop, rather than having nothing left to run or having lost what was essential."""
    failed: tuple[str, ...]
    """The instances that had failed for good by then."""
    left: tuple[str, ...] = ()
    """The instances of which something could not be ended, and still runs."""

    @property
    def success(self) -> bool:
        """True if nothing is left, and it was asked to stop or all that it ran finished well."""
        return not self.left and (self.asked or not self.failed)


class Supervisor:
    """Runs services until it is asked to stop, an essential one fails, or none is left to run.

        supervisor = Supervisor([ServiceSpec("web", ("python", "web.py"))], listener=print)
        outcome = await supervisor.run()

    It belongs to the loop on which `run()` is awaited; its other methods must be called on that loop's thread
    (`loop.call_soon_threadsafe(supervisor.stop)` from another, `loop.add_signal_handler` for signals). `listener` is
    called there with every `Event`, of which `clock` gives the time; what either raises goes to the loop's exception
    handler.

    DependencyError, a ValueError, if the services cannot be put in an order; ValueError if there are none.
    """

    def __init__(
        self,
        services: Sequence[ServiceSpec],
        *,
        listener: Callable[[_events.Event], object] | None = None,
        placement: Placement | None = None,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        if not services:
            raise ValueError("there are no services to supervise")
        self._services = start_order(services)
        self._listener = listener
        self._clock = clock
        around = Surroundings(
            placement=placement if placement is not None else LocalPlacement(),
            announce=self._announce,
            chance=chance,
            changed=self._changed,
            kill=self.kill,
            broke=self._broke,
            output_held=lambda: self._held,
        )
        self._units = {
            service.name: tuple(Unit(instance, around) for instance in service.each()) for service in self._services
        }
        self._lives = _Lives(self._units)
        # Looked at after every step of every unit, so what does not change is worked out once.
        self._dependents = {
            service.name: [other for other in self._services if service.name in other.depends_on]
            for service in self._services
        }
        self._done: asyncio.Future[None] | None = None
        self._advance_due = False
        self._stopping = False
        self._asked = False
        self._held = False
        self._reason = self._brief_reason = "nothing is left to run"
        self._broken: BaseException | None = None

    @property
    def lives(self) -> Mapping[str, Life]:
        """Where every instance stands, by its name, in starting order."""
        return {unit.instance.name: unit.life for units in self._units.values() for unit in units}

    async def run(self) -> Outcome:
        """Start the services, keep them, and give the `Outcome` when nothing of them is left.

        Cancelling it kills everything at once, and ends when all is gone. CallerError if it is called twice.
        """
        if self._done is not None:
            raise CallerError("a Supervisor runs once; make another to run the services again")
        self._done = asyncio.get_running_loop().create_future()
        self._advance()
        try:
            await asyncio.shield(self._done)
        except asyncio.CancelledError:
            self.kill("the supervisor was cancelled")
            await _through_cancellation(self._done)
            raise
        if self._broken is not None:
            raise self._broken
        left = tuple(unit.instance.name for unit in self._all_units() if unit.gave_up)
        return Outcome(self._reason, self._asked, self._names_in(State.FAILED), left)

    def stop(self, reason: str = "asked to stop") -> None:
        """End everything in the reverse of the starting order, each with its grace period. Idempotent.

        A service is asked to end once all that depend on it have ended; those that nobody waits for, at the same time.
        Called before `run()`, it has that start nothing; called after it, it does nothing.
        """
        if not self._stopping and not self._over():
            self._asked = True
            self._begin_stopping(reason)

    def kill(self, reason: str = "asked to end at once") -> None:
        """End everything at once, with SIGKILL. Before and after `run()` as `stop()`."""
        if self._over():
            return
        if not self._stopping:
            self._asked = True
            self._begin_stopping(reason)
        for unit in reversed(self._all_units()):
            unit.handle(Stimulus.KILL, reason)

    def hold_output(self, hold: bool) -> None:
        """Stop reading what services write, so that they wait when their pipe is full; or go on reading.

        For a listener that cannot keep up: nothing is lost and nothing piles up.
        """
        self._held = hold
        for unit in self._all_units():
            unit.hold_output(hold)

    # --- what a unit needs

    def _announce(self, kind: type[_events.Event], instance: Instance | None, **details: Any) -> None:
        """Tell the listener of an event."""
        if self._listener is None:
            return
        name = instance.name if instance is not None else ""
        event: _events.Event | None = None
        try:
            event = kind(instance=name, at=self._clock(), **details)
            self._listener(event)
        except Exception as error:  # noqa: BLE001 - clock and listener are the user's: that must not cost a service
            untold = f"the supervisor's clock raised, and its listener is not told: {kind.__name__} of {name!r}"
            message = untold if event is None else f"the supervisor's listener raised on {event!r}"
            asyncio.get_running_loop().call_exception_handler({"message": message, "exception": error})

    def _changed(self, unit: Unit) -> None:
        """A unit has taken a step: look at the whole again, once, after all that happens now has happened."""
        if unit.life.state is State.FAILED and unit.instance.spec.essential and not self._stopping:
            failed = f"essential service {unit.instance.name} failed"
            self._begin_stopping(f"{failed}: {unit.reason}", brief=failed)
        self._look_again()

    def _broke(self, error: BaseException) -> None:
        """Something that cannot happen did: end all there is rather than leave it unwatched, then raise."""
        self._broken = self._broken or error
        self._look_again()  # first, for that is done later, and what broke may break the next line, too
        self.kill(f"an internal error: {error!r}")

    # --- the whole

    def _begin_stopping(self, reason: str, *, brief: str | None = None) -> None:
        self._stopping = True
        self._reason = reason
        self._brief_reason = brief if brief is not None else reason
        self._announce(_events.Note, None, text=f"ending everything: {reason}", warning=not self._asked)
        self._look_again()

    def _over(self) -> bool:
        return self._done is not None and self._done.done()

    def _look_again(self) -> None:
        if self._done is not None and not self._advance_due:  # run() begins with a look
            self._advance_due = True
            asyncio.get_running_loop().call_soon(self._advance)

    def _advance(self) -> None:
        self._advance_due = False
        try:
            self._advance_stop() if self._stopping else self._advance_start()
        except Exception as error:  # noqa: BLE001 - the loop would log it and run() would wait for ever
            self._broken = self._broken or error
            for unit in self._all_units():
                unit.handle(Stimulus.KILL)
            self._finish()
        if all(unit.life.state in ENDED for unit in self._all_units()):
            self._finish()

    def _finish(self) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_result(None)

    def _advance_start(self) -> None:
        for service in self._services:
            waiting = [unit for unit in self._units[service.name] if unit.life.state is State.WAITING]
            if not waiting:
                continue
            if (name := blocked_by(service, self._lives)) is not None:
                for unit in waiting:
                    unit.handle(Stimulus.BLOCKED, f"it depends on {name}, which failed before it was ever started")
            elif is_free_to_start(service, self._lives):
                for unit in waiting:
                    unit.handle(Stimulus.RELEASED)

    def _advance_stop(self) -> None:
        for service in reversed(self._services):
            free = is_free_to_stop(service, self._dependents[service.name], self._lives)
            for unit in reversed(self._units[service.name]):
                # What does not run is not started for the sake of an order of ending.
                if unit.life.state in (State.WAITING, State.PAUSED) or (free and not self._is_ending(unit)):
                    unit.handle(Stimulus.STOP, self._brief_reason)

    @staticmethod
    def _is_ending(unit: Unit) -> bool:
        return unit.life.state in ENDED or unit.life.state in (State.STOPPING, State.KILLING)

    def _all_units(self) -> tuple[Unit, ...]:
        return tuple(unit for units in self._units.values() for unit in units)

    def _names_in(self, state: State) -> tuple[str, ...]:
        return tuple(name for name, life in self.lives.items() if life.state is state)


class _Lives(Mapping[str, "tuple[Life, ...]"]):
    """The lives of each service's instances, as they are at the moment of asking."""

    def __init__(self, units: Mapping[str, Sequence[Unit]]) -> None:
        self._units = units

    def __getitem__(self, name: str) -> tuple[Life, ...]:
        return tuple(unit.life for unit in self._units[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._units)

    def __len__(self) -> int:
        return len(self._units)


async def _through_cancellation(future: asyncio.Future[None]) -> None:
    """Wait for something that must not be left half done, however often this task is cancelled meanwhile."""
    while not future.done():
        try:
            await asyncio.shield(future)
        except asyncio.CancelledError:
            continue
