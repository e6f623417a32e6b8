"""A pool of processes: many commands, a few at a time, and what they may take.

Theory of operation. Who may start is `Places`' business. What runs can be ended from outside at any moment:

- A call of `run()` is in a time limit without a time (`asyncio.timeout(None)`), which the pool sets to now. So the task
  of the caller is interrupted by asyncio's own means, which tell that from a cancellation by somebody else, and `run()`
  ends the process as it does for any cancellation. Ending the process alone would not do: the call would give a killed
  process's result as if it were one, and might wait for a pipe that a descendant holds.
- The block of a `spawn()` is the caller's: there, the process is ended, and the block goes on. Only its start is in a
  time limit as above; nothing is awaited between a start's end and the moment the process is in `_processes`.

So that the *tree* of a process ends with it, each is the first of a session: what it started is found by the group
that it leads, also once it has ended itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

from loopwright.errors import PoolClosedError, ProcessTimeoutError, WrongLoopError
from loopwright.process._memory import memory_of
from loopwright.process._options import check_options
from loopwright.process._places import Places
from loopwright.process._pool_options import checked, cpus, of_one, whole
from loopwright.process._run import run_telling
from loopwright.process._spawn import spawn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
    from types import TracebackType
    from typing import Self, Unpack

    from loopwright._spawning import Command
    from loopwright.process._cmd import Cmd
    from loopwright.process._completed import Completed
    from loopwright.process._options import RunOptions, SpawnOptions
    from loopwright.process._process import Process

__all__ = ["ProcessPool"]

#: Seconds between two looks at the memory, while somebody waits for that alone.
INTERVAL = 0.2

logger = logging.getLogger("loopwright.process")


class ProcessPool:
    """Runs commands, at most `size` at a time, all with the same options; first come, first served.

        async with ProcessPool(4, rlimits={resource.RLIMIT_AS: 512 << 20}, nice=10) as pool:
            done = await pool.run(["convert", "a.png", "a.jpg"], timeout=30)
            everything = [done async for done in pool.map(commands)]

    - `size`: how many processes run at most; by default as many as there are CPUs for this program. What those start
      themselves is not counted (RLIMIT_NPROC bounds it, for all of a user's processes).
    - `max_waiting`: how many calls may wait for a place; one more is a PoolFullError. Any number by default.
    - `max_memory`: in bytes. As long as the processes of the pool with their descendants have more resident memory,
      none is started. This is a brake, not a limit: what runs can grow as it likes, and is never ended for it; it is
      looked at just before a start, so several that start together may grow beyond it together; pages that processes
      share are counted for each of them; a process that descends from none that still runs is not counted. A process
      is always started when no other runs, so a bound that is too low makes them run one by one. For limits that the
      kernel enforces, use `rlimits` for each process, and `cgroup` (with its `memory.max`, `cpu.max`, `pids.max`) for
      all of them together.
    - All other options are those of `run()` and hold for every process, unless a call gives its own: `rlimits`, `nice`,
      `affinity`, `cgroup`, `user`, `env`, `timeout` and so on. They are checked here: TypeError, ValueError or
      ArgumentsConflictError, as from `run()`. Each process starts a session of its own (`start_new_session=True`),
      unless `start_new_session`, `process_group` or `pty` say otherwise, so that what it leaves is ended with it.

    The block of `async with` ends when all calls have been served and all processes have ended. If it is left by an
    exception or a cancellation, everything is ended, as by `end()`.

    It belongs to the loop on which it is first used: WrongLoopError on another. On that loop's thread only.
    """

    def __init__(
        self,
        size: int | None = None,
        *,
        max_waiting: int | None = None,
        max_memory: int | None = None,
        **options: Unpack[RunOptions],
    ) -> None:
        check_options("ProcessPool", options)
        size = cpus() if size is None else whole("size", size, 1)
        if max_waiting is not None:
            whole("max_waiting", max_waiting, 0)
        self._max_memory = max_memory if max_memory is None else whole("max_memory", max_memory, 1)
        self._options = checked(options)
        self._places = Places(size, max_waiting, None if max_memory is None else self._is_over, INTERVAL)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._is_ended = False
        self._processes: set[Process] = set()
        #: The time limits of what can be interrupted.
        self._clocks: set[asyncio.Timeout] = set()
        self._still = asyncio.Event()
        self._told_over = False

    def __repr__(self) -> str:
        state = ", ended" if self._is_ended else ", closed" if self._closed else ""
        return f"<ProcessPool {self.running} of {self.size} running, {self.waiting} waiting{state}>"

    @property
    def size(self) -> int:
        """How many processes run at most."""
        return self._places.size

    @property
    def running(self) -> int:
        """How many places are taken: by processes that run, are being started, or whose last output is being read."""
        return self._places.taken

    @property
    def waiting(self) -> int:
        """How many calls wait, with what `map()` has read ahead."""
        return self._places.waiting

    async def memory(self) -> int:
        """The resident memory, in bytes, of the processes that run, with what descends from them.

        Takes some 50 us for each, in a thread. Loads psutil at the first call.
        """
        self._belongs_here()
        pids = [process.pid for process in self._processes if process.status is None]
        return await asyncio.to_thread(memory_of, pids) if pids else 0

    async def run(self, args: Command | Cmd, **options: Unpack[RunOptions]) -> Completed[Any]:
        """`run()`, when it is this call's turn. `timeout` counts from then. It may be given a `cmd()`, too.

        Raises what `run()` raises; PoolFullError if too many wait; PoolClosedError after `close()`, or if everything is
        ended meanwhile. A cancellation gives up the turn, or ends the process with what it started.
        """
        check_options("run", options)
        return await self._run(args, options)

    async def check(self, args: Command | Cmd, **options: Unpack[RunOptions]) -> Completed[Any]:
        """`run()` of the pool, that raises ProcessFailedError if the program fails."""
        check_options("check", options)
        return (await self._run(args, options)).check()

    async def map(
        self, commands: Iterable[Command | Cmd], **options: Unpack[RunOptions]
    ) -> AsyncIterator[Completed[Any]]:
        """Run all of these commands, and give each result when it is there: `async for done in pool.map(commands)`.

        In the order in which they end; `Completed.args` says which it is. At most twice `size` commands are read from
        `commands` beyond those whose results were taken, and are waiting, running or done. They are in the pool's queue
        like other calls, but `max_waiting` does not bound them.

        A program that fails is a result. What `run()` raises (a program that does not exist, a time limit) is raised,
        and ends the others of this `map()`; so does leaving the loop early, as soon as the iterator is dropped or
        `aclose()`d (PEP 525).
        """
        check_options("map", options)
        if isinstance(commands, (str, bytes)) or not hasattr(type(commands), "__iter__"):
            raise TypeError(f"map() takes commands, a list or iterator of them, and not one: {commands!r}")
        self._check_open()
        loop = asyncio.get_running_loop()
        ahead, under_way = iter(commands), set[asyncio.Task[Any]]()
        ended: asyncio.Queue[asyncio.Task[Any]] = asyncio.Queue()
        try:
            while True:
                while len(under_way) < 2 * self.size:
                    try:
                        args = next(ahead)
                    except StopIteration:
                        break
                    task = loop.create_task(self._run(args, options, bounded=False), name="loopwright pool runs one")
                    task.add_done_callback(ended.put_nowait)
                    under_way.add(task)
                if not under_way:
                    return
                task = await ended.get()
                under_way.remove(task)
                yield task.result()
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    @contextlib.asynccontextmanager
    async def spawn(self, args: Command | Cmd, **options: Unpack[SpawnOptions]) -> AsyncIterator[Process]:
        """A process as from `spawn()`, when it is this call's turn: `async with pool.spawn(["cat"]) as process: ...`

        It has its place until the block is left, and is ended then with all that it started, if it has not ended.
        Of the pool's options those of `spawn()` hold. When everything is ended, it is too, and the block goes on.
        Raises what `spawn()` raises, and PoolFullError and PoolClosedError as `run()`.
        """
        check_options("spawn", options, runs=False)
        words, chosen = of_one(args, self._options, options, runs=False)
        async with self._place():
            with contextlib.ExitStack() as stack:
                async with self._interruptible(args):
                    process = await spawn(words, **chosen)
                    stack.enter_context(self._counted(process))
                async with process:
                    yield process

    def close(self) -> None:
        """Take no more calls: they raise PoolClosedError. Those that wait still get their turn. Idempotent."""
        self._closed = True

    async def aclose(self) -> None:
        """`close()`, and wait until all calls have been served and all processes have ended. Idempotent.

        If this is cancelled, everything is ended, as by `end()`. Not within a block of `spawn()`: it waits for that.
        """
        self._belongs_here()
        try:
            if not self._closed:
                await asyncio.sleep(0)  # the calls of tasks that were made just before, and have not run yet, count
                self.close()
            await self._places.wait_idle()
        except BaseException:
            await self.end()
            raise
        await self._places.stop_asking()

    async def end(self) -> None:
        """End every process at once (SIGKILL), with all that it started, as far as its `guarantee` goes.

        Calls that wait or run raise PoolClosedError, and so do further ones. Returns when all has ended; what does not
        die of SIGKILL is waited for for 10 s. A cancellation is raised after that. Idempotent.
        """
        loop = self._belongs_here()
        self._closed = True
        if not self._is_ended:
            self._is_ended = True
            for clock in self._clocks:
                clock.reschedule(loop.time())
        self._places.turn_away(lambda: PoolClosedError("the pool was ended while this call waited for its turn"))
        cancelled: asyncio.CancelledError | None = None
        while True:
            try:
                while self._clocks:
                    self._still.clear()
                    await self._still.wait()
                await asyncio.gather(*(process.end(grace=0.0) for process in self._processes))
                await self._places.stop_asking()
                break
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled

    async def __aenter__(self) -> Self:
        self._check_open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await (self.aclose() if kind is None else self.end())

    async def _run(self, args: Command | Cmd, options: Mapping[str, Any], *, bounded: bool = True) -> Completed[Any]:
        words, chosen = of_one(args, self._options, options)
        async with self._place(bounded=bounded):
            with contextlib.ExitStack() as stack:
                async with self._interruptible(args):
                    return await run_telling(
                        lambda process: stack.enter_context(self._counted(process)), words, **chosen
                    )

    @contextlib.asynccontextmanager
    async def _place(self, *, bounded: bool = True) -> AsyncIterator[None]:
        self._check_open()
        await self._places.take(bounded=bounded)
        try:
            if self._is_ended:  # after the place was handed over, before this ran
                raise PoolClosedError("the pool was ended when it was this call's turn")
            yield
        finally:
            self._places.give_back()

    @contextlib.asynccontextmanager
    async def _interruptible(self, args: Command | Cmd) -> AsyncIterator[None]:
        """What `end()` interrupts: PoolClosedError then."""
        try:
            async with asyncio.timeout(None) as clock:
                self._clocks.add(clock)
                try:
                    yield
                finally:
                    self._clocks.discard(clock)
                    if not self._clocks:
                        self._still.set()
        except TimeoutError as error:
            if not clock.expired() or isinstance(error, ProcessTimeoutError):
                raise
            raise PoolClosedError(f"the pool was ended while it ran {args!r}, which was ended too") from None

    @contextlib.contextmanager
    def _counted(self, process: Process) -> Iterator[None]:
        self._processes.add(process)
        try:
            yield
        finally:
            self._processes.discard(process)

    async def _is_over(self) -> bool:
        """Whether there is no memory for another process now."""
        used = await self.memory()
        over = self._max_memory is not None and used > self._max_memory
        if over and not self._told_over:
            logger.info(
                "%d processes of a pool use %d bytes: none is started above %d", self.running, used, self._max_memory
            )
        self._told_over = over
        return over

    def _check_open(self) -> None:
        self._belongs_here()
        if self._closed:
            raise PoolClosedError(
                "this pool takes no more calls: it was ended"
                if self._is_ended
                else "this pool takes no more calls: it was closed"
            )

    def _belongs_here(self) -> asyncio.AbstractEventLoop:
        running = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = running
        elif self._loop is not running:
            raise WrongLoopError(
                f"this pool was first used on {self._loop!r}, and this is {running!r}: make one for each loop"
            )
        return running
