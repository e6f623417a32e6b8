"""The queue of steps that a user's own `TaskScheduler` chooses from."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from loopwright._core._scheduling import ReadyStep

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

__all__ = ["Selected"]


class _View(Sequence[ReadyStep]):
    """A list to be looked at: who selects from it cannot take from it."""

    __slots__ = ("_steps",)

    def __init__(self, steps: list[ReadyStep]) -> None:
        self._steps = steps

    def __getitem__(self, index: Any) -> Any:
        return self._steps[index]

    def __len__(self) -> int:
        return len(self._steps)

    def __iter__(self) -> Any:
        return iter(self._steps)


class Selected:
    """Asks the `select()` of a user's scheduler, and does not trust it."""

    def __init__(
        self,
        select: Callable[[Sequence[ReadyStep]], int | ReadyStep],
        task_of: Callable[[Any], Any],
        failed: Callable[[str, BaseException | None], None],
    ) -> None:
        self._select = select
        self._task_of = task_of
        self._failed = failed
        self._told = False
        self._ready: list[ReadyStep] = []
        self._view = _View(self._ready)
        # By the id() of each task that has steps here, how many, lest all are looked at each time. Should it be wrong,
        # after a KeyboardInterrupt, it is too high or missing, and they are.
        self._counts: dict[int, int] = {}

    def push(self, step: Any, context: Context, since: float, /) -> None:
        task = self._task_of(step)
        self._counts[id(task)] = self._counts.get(id(task), 0) + 1
        self._ready.append(ReadyStep(step, context, since, task))

    def pop(self, _now: float, /) -> Any:
        ready = self._ready
        if not ready:
            raise IndexError("no step is ready")
        index = self._chosen(ready)
        task = ready[index].task
        if self._counts.get(id(task)) != 1:
            index = next(earlier for earlier, step in enumerate(ready) if step.task is task)
        step = ready.pop(index)._step
        others = self._counts.pop(id(task), 1) - 1
        if others:
            self._counts[id(task)] = others
        return step

    def _chosen(self, ready: list[ReadyStep]) -> int:
        try:
            choice = self._select(self._view)
        except (SystemExit, KeyboardInterrupt):
            raise  # as from any callback
        except BaseException as error:  # noqa: BLE001 - of a user's, and told of; CancelledError is no Exception
            return self._failure("raised an exception", error)
        if isinstance(choice, int) and not isinstance(choice, bool):
            if -len(ready) <= choice < len(ready):
                return choice % len(ready)
            return self._failure(f"gave {choice}, and {len(ready)} steps are ready", None)
        if isinstance(choice, ReadyStep):
            with contextlib.suppress(ValueError):
                return ready.index(choice)
        return self._failure(f"gave {choice!r}, which is no step that is ready, nor the index of one", None)

    def _failure(self, what: str, error: BaseException | None) -> int:
        if not self._told:
            self._told = True
            self._failed(what, error)
        return 0

    def take(self, until: float, /) -> list[Any]:
        taken = [step._step for step in self._ready if step.since <= until]
        self._ready[:] = [step for step in self._ready if step.since > until]
        self._counts = Counter(id(step.task) for step in self._ready)
        return taken

    def entries(self) -> list[tuple[float, Any]]:
        return [(step.since, step._step) for step in self._ready]

    def clear(self) -> None:
        self._ready.clear()
        self._counts.clear()

    def ready(self, most: int, /) -> int:
        return min(most, len(self._ready))

    def __len__(self) -> int:
        return len(self._ready)
