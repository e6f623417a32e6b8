"""What came of a process that was run to its end, and of a pipeline; and who is to blame if it failed.

Theory of operation of blame. In a pipeline one stage's failure makes others fail. What is upstream of it cannot write
any more: by default it is ended by SIGPIPE, under a shell that is the status 141 (128 + 13), and a program that handles
it exits with a status of its own. What is downstream gets too little, and may fail for that. So:

- SIGPIPE, and 141, is never a failure but in the last stage: its reader ended first, and if that was wrong, the
  reader's own status says so.
- Of the other failures, the first in time is the cause. By position one cannot tell: the leftmost may be a victim that
  handles SIGPIPE, the rightmost (which a shell with `pipefail` reports) one that got too little.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic

from loopwright.errors import ProcessFailedError
from loopwright.process._words import command_words, ending_words, pipeline_words, size_words

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from typing import Self

    from typing_extensions import TypeVar

    from loopwright._core import ExitStatus, StatusLost
    from loopwright._spawning import Command

    Written = TypeVar("Written", bound=str | bytes, default=Any)
else:
    from typing import TypeVar

    Written = TypeVar("Written")  # which has a default from 3.13 on only

__all__ = ["Completed", "PipelineResult", "blame", "ended_by_sigpipe"]


@dataclass(frozen=True, slots=True)
class Completed(Generic[Written]):
    """A process that was run to its end by `run()` or `check()`; or a stage of a pipeline.

    For type checkers a `Completed[bytes]` or `Completed[str]`, where the options tell; just `Completed` is of either.
    """

    args: Command
    """What it was started with."""
    status: ExitStatus | StatusLost
    """How it ended."""
    # `| Any`, and not `| None`: nearly always it is captured, and then nobody should have to prove it.
    stdout: Written | Any = None
    """What it wrote: bytes, or str in text mode; None if that was not captured."""
    stderr: Written | Any = None
    """What it wrote to its standard error, likewise; of a stage of a pipeline the last 64 KiB."""
    duration: float = 0.0
    """Seconds from just before its start to the news of its end and of its streams' end."""
    ok: Collection[int] = (0,)
    """The exit codes that are no failure."""
    stdout_omitted: int = 0
    """How many bytes are left out of `stdout`, as `limit=` and `truncate=True` asked for."""
    stderr_omitted: int = 0
    """Likewise of `stderr`."""

    def __str__(self) -> str:
        return f"`{command_words(self.args)}` {self.status} after {self.duration:.3g} s{self._sizes()}"

    def _sizes(self) -> str:
        written = (("output", self.stdout, self.stdout_omitted), ("errors", self.stderr, self.stderr_omitted))
        return "".join(size_words(data, kind, omitted) for kind, data, omitted in written)

    @property
    def returncode(self) -> int:
        """As `subprocess.CompletedProcess.returncode`."""
        return self.status.returncode

    @property
    def success(self) -> bool:
        """Whether it ended by itself with a code that is `ok`."""
        return self.status.code in self.ok

    def check(self) -> Self:
        """Itself; ProcessFailedError if it failed."""
        if self.success:
            return self
        words = ending_words(command_words(self.args), self.status, self.duration, self.stderr)
        raise ProcessFailedError(words, self)


@dataclass(frozen=True, slots=True)
class PipelineResult:
    """What came of a pipeline."""

    stages: tuple[Completed, ...]
    """Each stage, in the order of the pipeline, with the end of its standard error."""
    order: tuple[int, ...] = field(repr=False)
    """The stages' numbers, from 0, in the order in which they ended."""
    stdout: Any = None
    """What the last stage wrote: bytes, or str in text mode; None if that was not captured."""
    duration: float = 0.0
    """Seconds from just before the first start to the end."""
    stdout_omitted: int = 0
    """How many bytes are left out of `stdout`, as `limit=` and `truncate=True` asked for."""

    def __str__(self) -> str:
        pipeline, failed = pipeline_words([stage.args for stage in self.stages]), self.failed
        how = self.status if failed is None or len(self.stages) == 1 else f"failed: stage {failed + 1} {self.status}"
        return f"`{pipeline}` {how} after {self.duration:.3g} s{size_words(self.stdout, 'output', self.stdout_omitted)}"

    @property
    def failed(self) -> int | None:
        """The number, from 0, of the stage that failed; None if none did. Of several the one that began it."""
        return blame([(stage.status, stage.success) for stage in self.stages], self.order)

    @property
    def success(self) -> bool:
        """Whether no stage failed. One that was ended by SIGPIPE, because the next one wanted no more, did not."""
        return self.failed is None

    @property
    def args(self) -> Command:
        """The command of the stage that failed, or of the last."""
        return self._telling.args

    @property
    def status(self) -> ExitStatus | StatusLost:
        """How the stage that failed has ended, or the last if none did."""
        return self._telling.status

    @property
    def returncode(self) -> int:
        """`status.returncode`."""
        return self.status.returncode

    @property
    def stderr(self) -> Any:
        """The end of the standard error of the stage that failed, or of the last."""
        return self._telling.stderr

    @property
    def _telling(self) -> Completed:
        failed = self.failed
        return self.stages[-1 if failed is None else failed]

    def check(self) -> Self:
        """Itself; ProcessFailedError if a stage failed, which says which, and why."""
        failed = self.failed
        if failed is None:
            return self
        if len(self.stages) == 1:
            self.stages[0].check()
        others = [
            f"stage {number + 1} {stage.status}"
            for number, stage in enumerate(self.stages)
            if number != failed and not stage.success
        ]
        words = ending_words(
            command_words(self.args), self.status, self.stages[failed].duration, self.stderr,
            f" ({'; '.join(others)})" if others else "",
        )  # fmt: skip
        pipeline = pipeline_words([stage.args for stage in self.stages])
        raise ProcessFailedError(f"stage {failed + 1} of `{pipeline}` failed: {words}", self)


def ended_by_sigpipe(status: ExitStatus | StatusLost) -> bool:
    """Whether it wrote to nobody: SIGPIPE, or 141, which is how a shell passes that on."""
    return status.signal == signal.SIGPIPE or status.code == 128 + signal.SIGPIPE


def blame(stages: Sequence[tuple[ExitStatus | StatusLost, bool]], order: Sequence[int]) -> int | None:
    """Which stage of a pipeline failed, given each one's status and success, and the order in which they ended."""
    last = len(stages) - 1
    for number in order:
        status, success = stages[number]
        if not success and (number == last or not ended_by_sigpipe(status)):
            return number
    return None
