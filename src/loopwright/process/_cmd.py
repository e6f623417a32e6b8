"""Commands as values: put together first, run later, joined by `|`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast, overload

from loopwright.errors import ArgumentsConflictError, ProcessTimeoutError
from loopwright.process._capture import Capture
from loopwright.process._exchange import Exchange
from loopwright.process._options import OF_RUNS, check_options, check_seconds
from loopwright.process._output import Lines
from loopwright.process._pipeline import start_pipeline
from loopwright.process._pipes import PIPE
from loopwright.process._run import check_times, conclude, end_all, late_words, run, with_input
from loopwright.process._spawn import spawn
from loopwright.process._words import command_words, pipeline_words

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Generator
    from contextlib import AbstractAsyncContextManager
    from typing import Literal, Unpack

    from loopwright.process._completed import Completed, PipelineResult
    from loopwright.process._options import RunOptions, SpawnOptions, TextRunOptions
    from loopwright.process._output import TextLine
    from loopwright.process._pipeline import RunningPipeline
    from loopwright.process._process import Process

__all__ = ["Cmd", "Pipeline", "cmd", "pipeline"]

NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, repr=False)
class Cmd:
    """A program with its arguments and options: made by `cmd()`, never changed, to be run as often as one likes.

    Called, it gives another with further arguments, and other options: `git = cmd("git"); git("log", cwd=there)`.
    Awaited, it is run by `check()`. `one | other` is a `Pipeline`.
    """

    args: tuple[str | bytes | os.PathLike[str], ...]
    """The program and its arguments."""
    options: Mapping[str, Any] = field(default_factory=lambda: NOTHING, hash=False)
    """The keyword arguments that it is run with, as `run()` takes them."""

    def __call__(self, *args: str | bytes | os.PathLike[str], **options: Unpack[RunOptions]) -> Cmd:
        check_options("cmd", options)
        return Cmd((*self.args, *args), MappingProxyType({**self.options, **options}))

    async def spawn(self, **options: Unpack[SpawnOptions]) -> Process:
        """Start it: `spawn()`. The options given here go before its own, here and in all that follows."""
        chosen = {**self.options, **options}
        chosen.pop("ok", None)
        check_options("spawn", chosen, runs=False)
        return cast("Process", await spawn(self.started(chosen), **chosen))

    @overload
    async def run(
        self, *, text: Literal[True], encoding: str | None = None, **options: Unpack[TextRunOptions]
    ) -> Completed[str]: ...
    @overload
    async def run(
        self, *, encoding: str, text: bool | None = None, **options: Unpack[TextRunOptions]
    ) -> Completed[str]: ...
    @overload
    async def run(self, **options: Unpack[RunOptions]) -> Completed[Any]: ...
    async def run(self, **options: Unpack[RunOptions]) -> Completed[Any]:
        """Run it to its end: `run()`. A failure is in the result."""
        check_options("run", options)
        chosen: Any = {**self.options, **options}
        done: Completed[Any] = await run(self.started(chosen), **chosen)
        return done

    @overload
    async def check(
        self, *, text: Literal[True], encoding: str | None = None, **options: Unpack[TextRunOptions]
    ) -> Completed[str]: ...
    @overload
    async def check(
        self, *, encoding: str, text: bool | None = None, **options: Unpack[TextRunOptions]
    ) -> Completed[str]: ...
    @overload
    async def check(self, **options: Unpack[RunOptions]) -> Completed[Any]: ...
    async def check(self, **options: Unpack[RunOptions]) -> Completed[Any]:
        """Run it to its end; ProcessFailedError if it fails."""
        return (await self.run(**options)).check()

    @overload
    def lines(
        self, *, text: Literal[True], encoding: str | None = None, **options: Unpack[TextRunOptions]
    ) -> AbstractAsyncContextManager[Lines[TextLine]]: ...
    @overload
    def lines(
        self, *, encoding: str, text: bool | None = None, **options: Unpack[TextRunOptions]
    ) -> AbstractAsyncContextManager[Lines[TextLine]]: ...
    @overload
    def lines(self, **options: Unpack[RunOptions]) -> AbstractAsyncContextManager[Lines[Any]]: ...
    def lines(self, **options: Unpack[RunOptions]) -> AbstractAsyncContextManager[Lines[Any]]:
        """Run it, and read its output line by line: `async with command.lines() as lines: async for line in lines: ...`

        See `Pipeline.lines()`.
        """
        return Pipeline((Cmd(self.args),), self.options).lines(**options)

    def __await__(self) -> Generator[Any, Any, Completed]:
        return self.check().__await__()

    def __or__(self, other: Cmd | Pipeline) -> Pipeline:
        return Pipeline((self,)) | other

    def __str__(self) -> str:
        return command_words(self.args)

    def __repr__(self) -> str:
        options = "".join(f", {name}={value!r}" for name, value in self.options.items())
        return f"cmd({', '.join(map(repr, self.args))}{options})"

    def started(self, options: Mapping[str, Any]) -> Any:
        """What `spawn()` takes with these options."""
        # With a shell, the one argument is a line for it, as with Popen.
        return self.args[0] if options.get("shell") and len(self.args) == 1 else self.args

    def as_stage(self, common: Mapping[str, Any], ok: Any) -> tuple[Any, dict[str, Any], Any]:
        """What `start_pipeline()` takes. ArgumentsConflictError for options that only a whole pipeline can have."""
        if wrong := [name for name in OF_RUNS if name in self.options]:
            raise ArgumentsConflictError(
                f"{wrong[0]}= is for a whole pipeline: give it to run(), check() or such of that, not to `{self}` in it"
            )
        own = {name: value for name, value in self.options.items() if name != "ok"}
        return self.started({**common, **own}), own, self.options.get("ok", ok)


@dataclass(frozen=True, slots=True, repr=False)
class Pipeline:
    """Commands of which each reads what the one before it writes: made by `|` or `pipeline()`.

    Never changed, to be run as often as one likes. Awaited, it is run by `check()`.
    """

    commands: tuple[Cmd, ...]
    """The stages."""
    options: Mapping[str, Any] = field(default_factory=lambda: NOTHING, hash=False)
    """The keyword arguments that it is run with: those of `run()`; for each stage, but `stdin`, `stdout`, `input`."""

    def __or__(self, other: Cmd | Pipeline) -> Pipeline:
        if isinstance(other, Cmd):
            return Pipeline((*self.commands, other), self.options)
        if isinstance(other, Pipeline):
            both = MappingProxyType({**self.options, **other.options})
            return Pipeline((*self.commands, *other.commands), both)
        return NotImplemented

    async def spawn(self, **options: Unpack[SpawnOptions]) -> RunningPipeline:
        """Start all stages: `async with await pipeline.spawn(stdout=PIPE) as running`.

        `stdin` is the first stage's, `stdout` the last's; the other options are for each stage, and a stage's own go
        before them. Without `stderr=` the end of each stage's standard error is kept for the result. With
        `process_group=0` all stages are in one process group, which the first leads.

        Raises what `spawn()` raises, with a note that says which stage it was; those started already are ended then.
        """
        chosen = {**self.options, **options}
        ok = chosen.pop("ok", None)
        if wrong := [name for name in OF_RUNS if name in chosen]:
            raise ArgumentsConflictError(f"{wrong[0]}= is for run() and check(): this only starts a pipeline")
        check_options("spawn", chosen, runs=False)
        return await self._start(chosen, ok)

    async def run(self, **options: Unpack[RunOptions]) -> PipelineResult:
        """Run it to its end, and say what came of it. A failure is in the result: `PipelineResult.check()`.

        `input`, `timeout`, `linger`, `limit` and `truncate` are those of `loopwright.process.run()`, for the first
        stage's input, the last one's output, and the end of all. The output is captured unless `stdout=` says
        otherwise.
        """
        check_options("run", options)
        chosen: dict[str, Any] = {**self._output_to_pipe(options), **self.options, **options}
        data, timeout, linger, limit, truncate = (chosen.pop(name, None) for name in OF_RUNS)
        ok = chosen.pop("ok", None)
        # Tells what cannot be before anything runs.
        if data is not None and "stdin" in with_input({**chosen, **self.commands[0].options}, data):
            chosen["stdin"] = PIPE
        check_times(timeout, linger)
        Capture(limit)
        async with contextlib.AsyncExitStack() as stack:
            running: RunningPipeline | None = None

            async def start() -> tuple[Sequence[Process], Exchange]:
                nonlocal running
                running = await stack.enter_async_context(await self._start(chosen, ok))
                last = running.stages[-1]
                exchange = Exchange(
                    running.stdin,
                    {"stdout": running.stdout},
                    last._text_mode or running.stages[0]._text_mode,
                    data,
                    limit,
                    truncate=bool(truncate),
                )
                return running.stages, exchange

            def errors() -> Any:
                return None if running is None else running.all_last_errors()

            commands = [command.args for command in self.commands]
            _, exchange = await conclude(start, commands, str(self), timeout, linger, errors)
            assert running is not None  # noqa: S101 - conclude() has called start()
            await running.wait()
            return running.result(exchange.output("stdout", running.stages[-1]), exchange.omitted("stdout"))

    async def check(self, **options: Unpack[RunOptions]) -> PipelineResult:
        """Run it to its end; ProcessFailedError if a stage fails, which says which, and why."""
        return (await self.run(**options)).check()

    @contextlib.asynccontextmanager
    async def lines(self, **options: Unpack[RunOptions]) -> AsyncIterator[Lines[Any]]:
        """Run it, and read its output line by line: `async with one.lines() as lines: async for line in lines: ...`

        The lines are those of `Process.lines()`. After the last one ProcessFailedError is raised if it failed. Whoever
        leaves the block before that has it killed, and that is no failure. Takes the options of `spawn()`, and `ok`.

        `timeout`: after so many seconds from its start it is ended with all that it started, and ProcessTimeoutError
        raised, whatever the block waits for then.
        """
        check_options("lines", options)
        chosen = {**self.options, **self._output_to_pipe(options), **options}
        ok, timeout = chosen.pop("ok", None), chosen.pop("timeout", None)
        if wrong := [name for name in OF_RUNS if name in chosen]:
            raise ArgumentsConflictError(f"{wrong[0]}= is for run() and check(): lines() keeps nothing, and reads on")
        check_seconds("timeout", timeout)
        deadline = None if timeout is None else asyncio.get_running_loop().time() + timeout
        async with await self._start(chosen, ok) as running:
            try:
                async with asyncio.timeout_at(deadline) as clock:
                    yield _CheckedLines(running)
            except TimeoutError:
                if timeout is None or not clock.expired():
                    raise
                commands = [stage.args for stage in running.stages]
                message = late_words(pipeline_words(commands), running.stages, timeout)
                await end_all(running.stages)
                args = commands if len(commands) > 1 else commands[0]
                raise ProcessTimeoutError(message, args, timeout, None, running.all_last_errors()) from None

    def __await__(self) -> Generator[Any, Any, PipelineResult]:
        return self.check().__await__()

    def __str__(self) -> str:
        return pipeline_words([command.args for command in self.commands])

    def __repr__(self) -> str:
        if not self.options:
            return " | ".join(map(repr, self.commands))
        options = "".join(f", {name}={value!r}" for name, value in self.options.items())
        return f"pipeline({', '.join(map(repr, self.commands))}{options})"

    def _output_to_pipe(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """What makes the output readable here: a pipe, or nothing on a terminal, which is readable as it is."""
        return {} if {**self.options, **options, **self.commands[-1].options}.get("pty") else {"stdout": PIPE}

    async def _start(self, chosen: Mapping[str, Any], ok: Any) -> RunningPipeline:
        ok = (0,) if ok is None else ok
        return await start_pipeline([command.as_stage(chosen, ok) for command in self.commands], chosen)


class _CheckedLines(Lines[Any]):
    """Lines that end with the error, if there is one."""

    def __init__(self, running: RunningPipeline) -> None:
        super().__init__(())
        self._running = running
        self._lines = running.lines()

    async def __anext__(self) -> Any:
        try:
            return await self._lines.__anext__()
        except StopAsyncIteration:
            (await self._running.wait()).check()
            raise


def cmd(*args: str | bytes | os.PathLike[str], **options: Unpack[RunOptions]) -> Cmd:
    """A command, to be run later: `await cmd("make", "-j2", cwd=there)`.

    Options are those of `run()`. With `shell=True` and one argument, that is a line for the shell. TypeError for a list
    in place of arguments; ValueError without any.
    """
    if not args:
        raise ValueError("a command begins with the program to start")
    for arg in args:
        if not isinstance(arg, (str, bytes)) and not hasattr(arg, "__fspath__"):
            raise TypeError(f"an argument is a str, bytes or a path, not {arg!r}; of a list give cmd(*arguments)")
    check_options("cmd", options)
    return Cmd(args, MappingProxyType(dict(options)))


def pipeline(*commands: Cmd | Sequence[Any], **options: Unpack[RunOptions]) -> Pipeline:
    """Commands, or lists of a program and its arguments, each to read what the one before it writes.

    `options` are for the whole: see `Pipeline`. ValueError without any command; TypeError for what is none.
    """
    if not commands:
        raise ValueError("a pipeline needs a command")
    stages = []
    for command in commands:
        if isinstance(command, (str, bytes)) or not isinstance(command, (Cmd, Sequence)):
            raise TypeError(f"a stage is a cmd(...) or a list of a program and its arguments, not {command!r}")
        stages.append(command if isinstance(command, Cmd) else cmd(*command))
    check_options("pipeline", options)
    return Pipeline(tuple(stages), MappingProxyType(dict(options)))
