"""Starting a child process from an event loop.

Theory of operation. What can fail comes before the child exists: its pipes are made, and this side's ends joined to the
loop. Then a worker starts it, off the loop (`_native._workers`), and the loop is told by the same set of descriptors
that will tell of the exit (`watchers._hub`). From the moment the child exists to the moment it is in the ledger and
watched there is no await; before that, a cancellation or a loop that closes has the worker not start it, or kill and
reap what it has started. Of many at once most have ended by the time that their loop is told that they run: those are
not watched, but come with their status (`_native._deliveries`). Whatever fails, the descriptors made on the way are
closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import signal
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, overload

from loopwright import _spawning
from loopwright._core import ExitStatus, StatusLost, tell_process_started
from loopwright._spawning import Request
from loopwright.errors import NotAWatcherError
from loopwright.process._options import SpawnOptions, check_options
from loopwright.process._pipes import PIPE
from loopwright.process._process import Process
from loopwright.process._standing import NOT_KEPT, admit, standing
from loopwright.process._streams import DEVNULL, NO_STREAMS, STDOUT, Streams, check_size, check_terminal
from loopwright.process._text import text_mode
from loopwright.process._text_process import TextProcess
from loopwright.watchers import ThreadedChildWatcher, _reaper
from loopwright.watchers._hubs import hub_of
from loopwright.watchers._watch import LOST, settled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Literal, Unpack

    from loopwright._spawning import Child, Command
    from loopwright.process._options import BytesOptions
    from loopwright.process._standing import Kept
    from loopwright.process._streams import NoStreams
    from loopwright.process._text import TextMode

__all__ = ["DEVNULL", "PIPE", "STDOUT", "SpawnWatcher", "check_values", "spawn"]

#: For a child without a process descriptor (refused, or none left). Of our own, so that no program that closes or
#: replaces the watcher it sees can make `wait()` hang.
_without_descriptors = ThreadedChildWatcher()

Special: TypeAlias = "tuple[TextMode | None, bool | tuple[int, int], SpawnWatcher | None, int]"
"""What `spawn()` itself does with options: text mode, a terminal, who watches, the size of pipes."""
NOTHING_SPECIAL: Special = (None, False, None, -1)
TEXT_OPTIONS = ("text", "encoding", "errors", "universal_newlines")
STREAMS = ("stdin", "stdout", "stderr")
#: Of what is not the request's.
DEFAULTS = {"bufsize": -1, "pipesize": -1, "pty": False}


class SpawnWatcher(Protocol):
    """What `spawn(watcher=)` takes: every watcher of `loopwright.watchers`."""

    def watch_child(self, child: Any, on_exit: Callable[[ExitStatus | StatusLost], None], /) -> None:
        """Have `on_exit(status)` called on the running loop when the child has ended, and the ledger told after."""


@overload
async def spawn(
    args: Command, *, text: Literal[True], encoding: str | None = None, **options: Unpack[BytesOptions]
) -> TextProcess: ...
@overload
async def spawn(
    args: Command, *, encoding: str, text: bool | None = None, **options: Unpack[BytesOptions]
) -> TextProcess: ...
@overload
async def spawn(args: Command, **options: Unpack[SpawnOptions]) -> Process: ...
async def spawn(args: Command, *, stdin: Any = None, stdout: Any = None, stderr: Any = None, **options: Any) -> Process:
    """Start a program and give its `Process`.

    The arguments are those of `subprocess.Popen` and mean the same. `stdin`, `stdout` and `stderr` take None
    (inherited), a descriptor or file, DEVNULL, or PIPE; `stderr` also STDOUT. With PIPE the process object has an
    `asyncio.StreamWriter` for its input and an `asyncio.StreamReader` for its output.

    With `text=True` (also by its old name, `universal_newlines`), an `encoding` or `errors` (the codec's, "strict" by
    default), it is a `TextProcess`, whose streams are of str. The encoding is the locale's by default. `bufsize` is
    there for programs written for Popen: what is written goes to the pipe at once, and what is read is kept at most
    in a few blocks of 64 KiB, whatever it says.

    Beyond Popen's:

    - `parent_death_signal`: sent to it when this program ends, in whatever way (prctl(2), PR_SET_PDEATHSIG). A program
      that is set-user-ID does not get it.
    - `rlimits`: resource limits, as `{resource.RLIMIT_CPU: 10}` or `{...: (soft, hard)}` (setrlimit(2)). One number
      is both, and so a limit of CPU time ends it by SIGKILL, not SIGXCPU.
    - `nice`: its niceness, -20 to 19; `affinity`: the CPUs it may run on.
    - `cgroup`: the folder of a cgroup (version 2) in which it starts (Linux 5.7).
    - `pty`: True, or (rows, columns), for a new pseudo-terminal as its three streams and controlling terminal, in a
      session of its own. `stdin` and `stdout` of the process object are then the terminal's other side: to close the
      first types the terminal's end-of-file character (VEOF, Ctrl-D). `resize_terminal()` changes its size.
    - `pid_namespace=True`: it is the first process of a new pid namespace (pid_namespaces(7); needs CAP_SYS_ADMIN).
      All that it starts ends with it. As with every first process, SIGTERM does nothing unless it handles it.
    - `watcher`: the child watcher that hears of its end; without one it is heard by process descriptor, or by a thread
      where those cannot be had.

    The program is started by a thread of ours, so that the loop is not held meanwhile; user=, group= and extra_groups=
    cost a copy of this program's page tables. With `preexec_fn`, which is Python to be run in a copy of this program,
    and where nothing is compiled, it is started here by `subprocess.Popen`, and the loop is held for that time.

    Must be called in a coroutine; the process belongs to the running loop, which may be any that has `add_reader`
    (asyncio's selector loop, uvloop, rloop), in any thread. Raises what Popen raises, FileNotFoundError with the
    missing program's or directory's name in `filename` above all; an OSError that says what else could not
    be done, such as PermissionError for a niceness; ValueError and TypeError for bad arguments, ArgumentsConflictError
    (a TypeError) for those that exclude each other; MechanismUnavailableError (an OSError) for what this machine cannot
    do. Nothing is left over when it raises: no child, no descriptor. Where it is
    cancelled while a worker is starting the program, that worker ends and reaps it a moment later.
    """
    loop = asyncio.get_running_loop()
    request = Request(args)
    mode, terminal, watcher, pipesize = _understood(request, options) if options else NOTHING_SPECIAL
    if terminal:
        check_terminal(stdin, stdout, stderr)
    streams: Streams | NoStreams = NO_STREAMS
    kept = NOT_KEPT
    child: Child | None = None
    try:
        if terminal or stdin is not None or stdout is not None or stderr is not None:
            streams = made = Streams(loop, pipesize)
            request.streams = (
                made.connect_terminal(terminal, request) if terminal else made.connect(stdin, stdout, stderr)
            )
        if standing() is not None:
            env, kept = admit(request.env, cgroup=request.cgroup is None)
            request.set(env=env)
            child, kept = await _start_kept(loop, request, kept)
        elif request.cgroup is not None:
            child = await _start_in_cgroup(loop, request)
        else:
            # Here, where nothing waits that a thread would help.
            here = request.is_plain and hub_of(loop).is_idle
            child = (_spawning.start_here(request) if here else None) or await _start(loop, request, watcher is None)
        kind = Process if mode is None else TextProcess
        process = kind(child, args, loop, streams, kept, mode)
        streams.close_theirs()
        if streams.terminal is not None:
            process._when_ended(streams.terminal.let_go)
        if child.status is not None or child.was_taken:
            _hear(loop, child, process)
        else:
            _watch(loop, child, process, watcher)
    except BaseException:
        with contextlib.ExitStack() as stack:  # the last first, and each whatever becomes of the others
            stack.callback(kept.close)
            stack.callback(streams.close_ours)
            stack.callback(streams.close_theirs)
            if child is not None:
                stack.callback(_abandon, child)
        raise
    tell_process_started(process)
    return process


def _signature() -> inspect.Signature:
    """What `spawn()` takes, for those who ask by inspect.signature(). Its code takes the rare options as they come."""
    words = [name for name in inspect.signature(spawn).parameters.values() if name.kind is not name.VAR_KEYWORD]
    named = {word.name for word in words}
    for name, kind in SpawnOptions.__annotations__.items():
        if name not in named:
            default = DEFAULTS.get(name, getattr(Request, name, None))
            words.append(
                inspect.Parameter(
                    name,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=default,
                    annotation=getattr(kind, "__forward_arg__", kind),
                )
            )
    return inspect.signature(spawn).replace(parameters=words)


def check_values(options: Mapping[str, Any]) -> None:
    """Raise what `spawn()` would for these options, as far as that can be told before there is a program to start."""
    request = Request(["a program"])
    _understood(request, {name: value for name, value in options.items() if name not in STREAMS})
    request.cpus(), request.credentials(), request.death_signal(), request.environment(), request.folder()


def _understood(request: Request, options: dict[str, Any]) -> Special:
    """Put what is asked for beyond a plain start into the request, and give the rest of it."""
    check_options("spawn", options, runs=False)
    text, encoding, errors, old = (options.pop(name, None) for name in TEXT_OPTIONS)
    mode = text_mode(text, encoding, errors, old, options.pop("bufsize", -1))
    terminal, watcher = options.pop("pty", False), options.pop("watcher", None)
    pipesize = options.pop("pipesize", -1)
    if not isinstance(pipesize, int):
        raise TypeError(f"pipesize is a number of bytes, not {pipesize!r}")
    check_size(terminal)
    if watcher is not None and not hasattr(watcher, "watch_child"):
        raise NotAWatcherError(f"watcher is a child watcher of loopwright.watchers, not {watcher!r}")
    if options:
        request.set(**options)
        request.check()
    return mode, terminal, watcher, pipesize


async def _start_kept(loop: asyncio.AbstractEventLoop, request: Request, kept: Kept) -> tuple[Child, Kept]:
    if kept.leaf is not None:
        request.cgroup = kept.leaf.path
        try:
            return await _start_in_cgroup(loop, request), kept
        except OSError:
            # The cgroup is our idea: where a child cannot be started into it, it is started, and then moved.
            request.cgroup = None
    child = await (_start(loop, request) if request.cgroup is None else _start_in_cgroup(loop, request))
    return child, kept.adopt(child.pid)


async def _start_in_cgroup(loop: asyncio.AbstractEventLoop, request: Request) -> Child:
    with request.opened():
        return await _start(loop, request)


async def _start(loop: asyncio.AbstractEventLoop, request: Request, settle_late: bool = False) -> Child:
    try:
        with _spawning.starting:
            start = _spawning.order(request, settle_late=settle_late)
            if start is not None:
                hub = hub_of(loop)
                try:
                    if hub.is_idle and not request.has_extras:
                        start.run()
                    else:
                        await hub.start(start)
                    child = _spawning.taken(start, request)
                except BaseException:
                    hub.drop(start)
                    raise
                if child is not None:
                    return child
            return _spawning.launch_plain(request)
    except FileNotFoundError as error:
        args = request.args
        if isinstance(args, str) and " " in args and not request.shell:
            error.add_note(
                f"a string is the name of a program as a whole; with arguments give a list: {args.split()!r}"
            )
        raise


def _hear(loop: asyncio.AbstractEventLoop, child: Child, process: Process) -> None:
    """It had ended before anybody came to watch it."""
    if child.status is None:
        child.status = settled(child, StatusLost(LOST))
    try:
        hub_of(loop).reap_soon(child)
    except BaseException as error:
        child.note_exit(child.status)
        if not isinstance(error, OSError):  # there is no descriptor left for a hub: it is reaped at once then
            raise
    if process._pipes:
        # In the loop's next pass: whoever started it may come to collect its output only now.
        loop.call_soon(process._see_to_pipes)
    process._note_end(child.status)


def _watch(loop: asyncio.AbstractEventLoop, child: Child, process: Process, watcher: SpawnWatcher | None) -> None:
    if watcher is not None:
        watcher.watch_child(child, process._on_exit)
        return
    if child.pidfd >= 0:
        try:
            hub_of(loop).watch(child, process._on_exit)
        except OSError:  # there is no room for it in the set: a thread can wait for it all the same
            _without_descriptors.watch_child(child, process._on_exit)
    else:
        _without_descriptors.watch_child(child, process._on_exit)


def _abandon(child: Child) -> None:
    """A child that nobody gets must not be left running, nor the group that it leads."""
    if child.reaped:
        return
    if child.was_taken:
        child.note_exit(child.status or StatusLost(LOST))
        return
    if child.leads_group:
        with contextlib.suppress(PermissionError):  # none of those may be signalled
            child.signal_group(signal.SIGKILL)
    try:
        child.send_signal(signal.SIGKILL)
    except PermissionError:  # it has made itself another user's already (sudo): it may live long
        _reaper.adopt_later([child])
        return
    kind, number = (os.P_PIDFD, child.pidfd) if child.pidfd >= 0 else (os.P_PID, child.pid)
    with contextlib.suppress(ChildProcessError):
        os.waitid(kind, number, os.WEXITED | os.WNOWAIT)
    child.note_exit(ExitStatus(None, signal.SIGKILL))


spawn.__signature__ = _signature()  # type: ignore[attr-defined]  # any function may have one (PEP 362)
