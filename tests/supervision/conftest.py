from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.supervision import Event, Outcome, ServiceSpec, Supervisor
from loopwright.testing import Refusal, Run, ScriptedPlacement, run_with_fake_clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    """Descriptors alone, which is quick: these tests are many and tiny, and nothing real is started."""
    before = len(os.listdir("/proc/self/fd"))
    yield
    assert len(os.listdir("/proc/self/fd")) == before


class Scene:
    """A supervisor on a fake clock, and all that it said, with the times."""

    def __init__(
        self,
        services: Sequence[ServiceSpec],
        scripts: dict[str, list[Run | Refusal]] | None = None,
        *,
        chance: float = 0.0,
        listener: Callable[[Event], object] | None = None,
        placement: type[ScriptedPlacement] = ScriptedPlacement,
    ) -> None:
        self.events: list[tuple[float, Event]] = []
        self.placement = placement(scripts)
        self.listener = listener
        self.chances = 0
        self._chance = chance
        self._plan: list[tuple[float, Callable[[], object]]] = []
        self.supervisor = Supervisor(
            services, listener=self._listen, placement=self.placement, clock=lambda: self.now, chance=self._draw
        )

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def _listen(self, event: Event) -> None:
        assert event.at == self.now
        self.events.append((event.at, event))
        if self.listener is not None:
            self.listener(event)

    def _draw(self) -> float:
        self.chances += 1
        return self._chance

    def at(self, seconds: float, action: Callable[[], object]) -> Scene:
        """Do something at a time."""
        self._plan.append((seconds, action))
        return self

    def stop_at(self, seconds: float) -> Scene:
        return self.at(seconds, self.supervisor.stop)

    def run(self) -> Outcome:
        """The whole of it; nothing must be left, and nothing be said in an impossible order."""

        async def main() -> Outcome:
            loop = asyncio.get_running_loop()
            for seconds, action in self._plan:
                loop.call_at(seconds, action)
            try:
                return await self.supervisor.run()
            finally:
                assert not self.placement.present
                assert all(life.state.name in ("STOPPED", "FINISHED", "FAILED") for life in self.lives.values())
                assert asyncio.all_tasks() == {asyncio.current_task()}

        return run_with_fake_clock(main())

    @property
    def lives(self) -> Any:
        return self.supervisor.lives

    def said(self, *kinds: type[Event], of: str | None = None) -> list[tuple[float, Event]]:
        return [(at, event) for at, event in self.events if isinstance(event, kinds) and of in (None, event.instance)]

    def only(self, kind: type[Event], of: str | None = None) -> Any:
        [(_, event)] = self.said(kind, of=of)
        return event

    def times(self, kind: type[Event], of: str | None = None) -> list[float]:
        return [at for at, _ in self.said(kind, of=of)]

    def order(self, what: str) -> list[str]:
        """Who had something happen to it, in order."""
        return [act.instance for act in self.placement.acts if act.what == what]


@pytest.fixture
def play() -> type[Scene]:
    """Makes a `Scene`."""
    return Scene
