"""Running a program to its end, with what it writes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING, Any, overload

from loopwright._spawning import listed
from loopwright.errors import ArgumentsConflictError, OutputLimitError, ProcessTimeoutError
from loopwright.process._capture import Capture
from loopwright.process._completed import Completed
from loopwright.process._exchange import Exchange, encoded
from loopwright.process._options import capturing, check_codes, check_options, check_seconds
from loopwright.process._pipes import PIPE
from loopwright.process._spawn import spawn
from loopwright.process._text import text_mode
from loopwright.process._words import command_words, held_words

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence
    from typing import Literal, Unpack

    from loopwright._spawning import Command
    from loopwright.process._options import PlainRunOptions, RunOptions, SpawnOptions, TextRunOptions
    from loopwright.process._process import Process

__all__ = ["check", "check_times", "conclude", "end_all", "late_words", "run", "run_telling", "with_input"]


@overload
async def run(
    args: Command, *, text: Literal[True], encoding: str | None = None, **options: Unpack[TextRunOptions]
) -> Completed[str]: ...
@overload
async def run(
    args: Command, *, encoding: str, text: bool | None = None, **options: Unpack[TextRunOptions]
) -> Completed[str]: ...
@overload
async def run(
    args: Command,
    *,
    text: Literal[False] | None = None,
    encoding: None = None,
    errors: None = None,
    universal_newlines: Literal[False] | None = None,
    **options: Unpack[PlainRunOptions],
) -> Completed[bytes]: ...
@overload
async def run(args: Command, **options: Unpack[RunOptions]) -> Completed[Any]: ...
async def run(
    args: Command,
    *,
    input: Any = None,  # noqa: A002 - subprocess's name
    timeout: float | None = None,
    linger: float | None = None,
    limit: int | None = None,
    truncate: bool = False,
    ok: Collection[int] | None = (0,),
    **options: Unpack[SpawnOptions],
) -> Completed[Any]:
    """Start a program, give it `input`, read what it writes, wait until it has ended, and say what came of it.

    As `subprocess.run()`, but that output and errors are captured unless `stdout=` or `stderr=` say otherwise (None:
    where this program's go). With `pty=` all that the terminal gets is the result's `stdout`, and `stderr` is None.
    Further `options` are those of `spawn()`: with `text=True` or an `encoding`, input and output are str. What it fails
    at is in the result, see `Completed.check()`; `check()` raises it.

    - `timeout`: after so many seconds it is killed, and ProcessTimeoutError raised, with what it wrote until then.
    - `linger`: seconds that a descendant is waited for which holds a pipe after the process has ended; for ever by
      default.
    - `limit`: how many bytes of each stream are kept at most. If it writes more, it is killed and OutputLimitError
      raised; with `truncate=True` its beginning and its end are kept instead, half of the limit each, with a line in
      between that says so.
    - `ok`: the exit codes that are no failure.

    It is killed when this is left by a cancellation or an error; with `start_new_session=True`, or `process_group=0`,
    so is all that is in its group. Raises what `spawn()` raises; TextModeError, a TypeError, for an input of the wrong
    type; TypeError for options that there are not; UnicodeDecodeError for output that is not in the encoding, with a
    note that says whose and how that ended.
    """
    return await run_telling(
        None, args, input=input, timeout=timeout, linger=linger, limit=limit, truncate=truncate, ok=ok, **options
    )


async def run_telling(
    started: Callable[[Process], object] | None,
    args: Command,
    *,
    input: Any = None,  # noqa: A002 - subprocess's name
    timeout: float | None = None,
    linger: float | None = None,
    limit: int | None = None,
    truncate: bool = False,
    ok: Collection[int] | None = (0,),
    **options: Unpack[SpawnOptions],
) -> Completed[Any]:
    """`run()`, that calls `started(process)` as soon as there is one; if that raises, the process is ended."""
    began = time.monotonic()
    if not isinstance(args, (str, bytes, os.PathLike, list, tuple)):
        args = listed(args)  # what can be gone through once only is asked for twice
    check_options("run", options, runs=False)
    check_codes(ok)
    check_times(timeout, linger)
    chosen = with_input(capturing(options, "stdout", "stderr"), input)
    Capture(limit)  # a wrong limit is told before anything runs
    async with contextlib.AsyncExitStack() as stack:

        async def start() -> tuple[Sequence[Process], Exchange]:
            process = await stack.enter_async_context(await spawn(args, **chosen))
            if started is not None:
                started(process)
            streams: dict[str, Any] = {"stdout": process.stdout, "stderr": process.stderr}
            return [process], Exchange(process.stdin, streams, process._text_mode, input, limit, truncate=truncate)

        (process,), exchange = await conclude(start, args, command_words(args), timeout, linger)
        return Completed(
            args,
            await process.wait(),
            exchange.output("stdout", process),
            exchange.output("stderr", process),
            time.monotonic() - began,
            (0,) if ok is None else ok,
            exchange.omitted("stdout"),
            exchange.omitted("stderr"),
        )


@overload
async def check(
    args: Command, *, text: Literal[True], encoding: str | None = None, **options: Unpack[TextRunOptions]
) -> Completed[str]: ...
@overload
async def check(
    args: Command, *, encoding: str, text: bool | None = None, **options: Unpack[TextRunOptions]
) -> Completed[str]: ...
@overload
async def check(
    args: Command,
    *,
    text: Literal[False] | None = None,
    encoding: None = None,
    errors: None = None,
    universal_newlines: Literal[False] | None = None,
    **options: Unpack[PlainRunOptions],
) -> Completed[bytes]: ...
@overload
async def check(args: Command, **options: Unpack[RunOptions]) -> Completed[Any]: ...
async def check(args: Command, **options: Unpack[RunOptions]) -> Completed[Any]:
    """`run()`, that raises ProcessFailedError if the program fails: with its command, how it ended, its last errors.

    That is a `subprocess.CalledProcessError` too.
    """
    check_options("check", options)
    return (await run(args, **options)).check()


def check_times(timeout: Any, linger: Any) -> None:
    """TypeError or ValueError for what are no seconds."""
    check_seconds("timeout", timeout)
    check_seconds("linger", linger)


def with_input(options: dict[str, Any], data: Any) -> dict[str, Any]:
    """The options of a process that is given this input. TextModeError if that is of the wrong type."""
    if data is None:
        return options
    if options.get("stdin", PIPE) != PIPE:
        raise ArgumentsConflictError(f"input= is written to a pipe, so stdin={options['stdin']!r} cannot be: give one")
    text, encoding, errors = options.get("text"), options.get("encoding"), options.get("errors")
    encoded(data, text_mode(text, encoding, errors, options.get("universal_newlines"), -1))
    return options if options.get("pty") else {**options, "stdin": PIPE}


async def conclude(
    start: Callable[[], Awaitable[tuple[Sequence[Process], Exchange]]],
    args: Any,
    words: str,
    timeout: float | None,
    linger: float | None,
    errors: Callable[[], Any] | None = None,
) -> tuple[Sequence[Process], Exchange]:
    """Start, exchange, wait; end what runs if that takes too long or brings too much. `errors` gives the last errors,
    if the exchange does not have them."""
    processes: Sequence[Process] = ()
    exchange: Exchange | None = None
    try:
        async with asyncio.timeout(timeout) as clock:
            processes, exchange = await start()
            await exchange.run(processes, linger)
            for process in processes:
                await process.wait()
    except TimeoutError:
        if timeout is None or not clock.expired():
            raise
        message = late_words(words, processes, timeout)
        output, last = await _stopped(processes, exchange, errors)
        raise ProcessTimeoutError(message, args, timeout, output, last) from None
    except OutputLimitError as error:
        output, last = await _stopped(processes, exchange, errors)
        raise OutputLimitError(f"`{words}` {error}, and was ended", output, last) from None
    return processes, exchange


async def _stopped(
    processes: Sequence[Process], exchange: Exchange | None, errors: Callable[[], Any] | None
) -> tuple[Any, Any]:
    """End all, and give what they wrote until then."""
    await end_all(processes)
    if exchange is None:
        return None, None
    await exchange.what_is_there()
    return exchange.so_far("stdout"), exchange.so_far("stderr") if errors is None else errors()


def late_words(words: str, processes: Sequence[Process], timeout: float) -> str:
    """What to say of a command that is ended because it was not done in time."""
    if processes and all(process.status is not None for process in processes):
        return held_words(f"`{words}`", processes[-1].status, timeout)
    return f"`{words}` was not done after {timeout:g} s{still_running(processes)}, and was ended"


def still_running(processes: Sequence[Process]) -> str:
    """Which stages of a pipeline have not ended, in brackets; nothing for a single process, or if all have."""
    running = [str(number) for number, process in enumerate(processes, 1) if process.status is None]
    if len(processes) < 2 or not running:
        return ""
    *others, last = running
    which = f"stages {', '.join(others)} and {last}" if others else f"stage {last}"
    return f" ({which} of {len(processes)} still ran)"


async def end_all(processes: Sequence[Process]) -> None:
    """End each with its tree, all at once.

    They are stopped first: a stage that reads what another writes must not see that end, and act on it. Not killed, for
    what a dead one has started cannot be told any more from what others have.
    """
    if len(processes) > 1:
        for process in processes:
            process.send_signal(signal.SIGSTOP)
    await asyncio.gather(*(process.end(grace=0.0) for process in processes))
