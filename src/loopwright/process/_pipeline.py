"""Several processes, each reading what the one before it writes.

Theory of operation. The data goes through the kernel's pipes and never through this program: each stage is given its
end of a pipe, and this side closes both ends as soon as both neighbours have theirs. That is more than tidiness:
whoever holds a writing end keeps its reader from seeing the end of the data, and whoever holds a reading end keeps
SIGPIPE from its writer.

Stages are started from the first to the last, as shells do. If one cannot be started, those before it are killed and
waited for; the error says which it was.

The standard error of a stage goes to where the stage's or the pipeline's `stderr=` says; unless that is given, into a
pipe of which the last 64 KiB are kept for the result and for the message of an error.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from loopwright.errors import ArgumentsConflictError, ProcessTimeoutError
from loopwright.process._completed import Completed, PipelineResult
from loopwright.process._options import check_seconds
from loopwright.process._pipes import PIPE
from loopwright.process._run import end_all
from loopwright.process._spawn import spawn
from loopwright.process._tails import TailReceiver
from loopwright.process._words import command_words, pipeline_words

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from loopwright._spawning import Command
    from loopwright.process._output import Lines
    from loopwright.process._process import Process

__all__ = ["RunningPipeline", "start_pipeline"]

#: How long the last errors are waited for once all stages have ended, if a descendant holds the pipe; seconds.
LAST_ERRORS = 0.2


class RunningPipeline:
    """A pipeline that was started: `async with await pipeline.spawn() as running`.

    As a context manager it never leaves a stage running: whatever has not ended when the block does is killed, and
    waited for.
    """

    def __init__(
        self,
        stages: Sequence[Process],
        tails: Sequence[TailReceiver | None],
        ok: Sequence[Collection[int]],
        began: float,
        until_ended: contextlib.ExitStack,
    ) -> None:
        self.stages = tuple(stages)
        """The processes, in the order of the pipeline."""
        self._tails = tuple(tails)
        self._ok = tuple(ok)
        self._began = began
        self._ended: dict[int, float] = {}
        self._block = contextlib.AsyncExitStack()
        for number, stage in enumerate(self.stages):
            stage._when_ended(partial(self._note_end, number))
        self._until_ended = until_ended

    def _note_end(self, number: int) -> None:
        self._ended[number] = time.monotonic() - self._began
        if len(self._ended) == len(self.stages):
            self._until_ended.close()

    @property
    def stdin(self) -> Any:
        """Where to write the first stage's input, with `stdin=PIPE`; else None."""
        return self.stages[0].stdin

    @property
    def stdout(self) -> Any:
        """Where to read the last stage's output, with `stdout=PIPE`; else None."""
        return self.stages[-1].stdout

    def lines(self) -> Lines[Any]:
        """The lines of the last stage's output, with `stdout=PIPE`; see `Process.lines()`."""
        return self.stages[-1].lines()

    def send_signal(self, number: int) -> bool:
        """Send a signal to every stage that runs; False if none does."""
        return True in [stage.send_signal(number) for stage in self.stages]

    def kill(self) -> bool:
        """`send_signal(SIGKILL)`."""
        return self.send_signal(signal.SIGKILL)

    async def wait(self, timeout: float | None = None) -> PipelineResult:
        """Wait until all stages have ended, and say what came of it.

        What they write to pipes of this program must be read meanwhile. After `timeout` seconds ProcessTimeoutError
        is raised, a TimeoutError; the stages go on.
        """
        check_seconds("timeout", timeout)
        try:
            async with asyncio.timeout(timeout) as clock:
                for stage in self.stages:
                    await stage.wait()
        except TimeoutError:
            if timeout is None or not clock.expired():
                raise
            commands = [stage.args for stage in self.stages]
            message = f"`{pipeline_words(commands)}` still ran after {timeout:g} s"
            raise ProcessTimeoutError(message, commands, timeout, None, self.all_last_errors()) from None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_ERRORS):
                for tail in self._tails:
                    if tail is not None:
                        await asyncio.shield(tail.ended)
        return self.result()

    def result(self, stdout: Any = None, stdout_omitted: int = 0) -> PipelineResult:
        """What came of it. To be asked when all have ended, by whoever has read the output."""
        last = len(self.stages) - 1
        ended = {number: self._ended.get(number, time.monotonic() - self._began) for number in range(last + 1)}
        stages = []
        for number, stage in enumerate(self.stages):
            status = stage.status
            assert status is not None, f"stage {number + 1} still runs"  # noqa: S101 - of our own making
            stages.append(
                Completed(
                    stage.args,
                    status,
                    stdout if number == last else None,
                    self.last_errors(number),
                    ended[number],
                    self._ok[number],
                    stdout_omitted if number == last else 0,
                )
            )
        # As heard: `_ended` is filled in the order of the news. One of which the news is still to come was last.
        order = (*self._ended, *(number for number in ended if number not in self._ended))
        return PipelineResult(tuple(stages), order, stdout, max(ended.values()), stdout_omitted)

    def last_errors(self, number: int) -> Any:
        """The last that a stage wrote to its standard error; None if that goes elsewhere."""
        tail = self._tails[number]
        if tail is None:
            return None
        mode = self.stages[number]._text_mode
        return tail.value() if mode is None else mode.decode_part(tail.value())

    def all_last_errors(self) -> Any:
        """Those of all stages, one after the other; None if there are none."""
        found = [errors for number in range(len(self.stages)) if (errors := self.last_errors(number)) is not None]
        return type(found[0])().join(found) if found else None

    async def __aenter__(self) -> Self:
        for tail in self._tails:
            if tail is not None:
                self._block.callback(tail.close)
        for stage in self.stages:
            await self._block.enter_async_context(stage)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await end_all(self.stages)
        finally:
            await self._block.aclose()

    def __repr__(self) -> str:
        words = pipeline_words([stage.args for stage in self.stages])
        return f"<RunningPipeline {words}: {len(self.stages) - len(self._ended)} of {len(self.stages)} running>"


async def start_pipeline(
    commands: Sequence[tuple[Command, Mapping[str, Any], Collection[int]]], options: Mapping[str, Any]
) -> RunningPipeline:
    """Start each command with its own options over those of all. See `Pipeline.spawn()`."""
    began = time.monotonic()
    common = {name: value for name, value in options.items() if name not in ("stdin", "stdout")}
    common_group = options.get("process_group") == 0
    last = len(commands) - 1
    for number, (_, own, _) in enumerate(commands):
        _no_conflict(number, last, {**common, **own})
    stages: list[Process] = []
    tails: list[TailReceiver | None] = []
    until_ended = contextlib.ExitStack()
    async with contextlib.AsyncExitStack() as undo, contextlib.AsyncExitStack() as starting:
        undo.enter_context(until_ended)
        upstream: Any = options.get("stdin")
        upstream_end = contextlib.ExitStack()
        for number, (args, own, _) in enumerate(commands):
            chosen = {**common, **own}
            with contextlib.ExitStack() as childs_ends:
                if number:
                    childs_ends.callback(upstream_end.close)
                    chosen["stdin"] = upstream
                else:
                    chosen.setdefault("stdin", upstream)
                if number < last:
                    upstream, chosen["stdout"] = os.pipe()
                    childs_ends.callback(os.close, chosen["stdout"])
                    # Closed by the next stage, or here if it does not come to that.
                    upstream_end = starting.enter_context(contextlib.ExitStack())
                    upstream_end.callback(os.close, upstream)
                else:
                    chosen.setdefault("stdout", options.get("stdout"))
                tail = None
                if _keeps_errors(chosen):
                    tail, chosen["stderr"] = TailReceiver.join(childs_ends)
                    undo.callback(tail.close)
                if common_group and number and "process_group" not in own:
                    chosen["process_group"] = stages[0].pid
                try:
                    stage = await spawn(args, **chosen)
                except Exception as error:
                    if last:
                        error.add_note(
                            f"stage {number + 1} of `{pipeline_words([each for each, _, _ in commands])}` "
                            f"could not be started: `{command_words(args)}`; the others were ended"
                        )
                    raise
                undo.push_async_callback(_end, stage)
                stages.append(stage)
                tails.append(tail)
                if common_group and not number:
                    # Else its number might be given away, if it ends before the others.
                    until_ended.enter_context(stage.hold_group())
        undo.pop_all()
    return RunningPipeline(stages, tails, [ok for _, _, ok in commands], began, until_ended)


def _no_conflict(number: int, last: int, own: Mapping[str, Any]) -> None:
    if last and own.get("pty"):
        raise ArgumentsConflictError(
            f"stage {number + 1} of a pipeline has pty={own['pty']!r}, which takes its streams from the pipes to its "
            "neighbours: only a command by itself can be on a terminal"
        )
    for name, inner in (("stdin", number > 0), ("stdout", number < last)):
        if inner and own.get(name) is not None:
            raise ArgumentsConflictError(
                f"stage {number + 1} of a pipeline has {name}={own[name]!r}, where the pipe to its neighbour is"
            )


async def _end(stage: Process) -> None:
    async with stage:
        pass


def _keeps_errors(options: Mapping[str, Any]) -> bool:
    return not options.get("pty") and options.get("stderr", PIPE) == PIPE
