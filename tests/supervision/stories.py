"""Supervising real processes, and what came of it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from loopwright._core import Pacing
from loopwright.supervision import (
    Event,
    Outcome,
    Output,
    RestartPolicy,
    RestartRule,
    ServiceSpec,
    Supervisor,
)

if TYPE_CHECKING:
    from collections.abc import Callable

ONCE = RestartPolicy(rule=RestartRule.NEVER)
AT_ONCE = Pacing(initial_delay=0.0, max_delay=0.0)

LoopFactory: TypeAlias = "Callable[[], asyncio.AbstractEventLoop]"


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
