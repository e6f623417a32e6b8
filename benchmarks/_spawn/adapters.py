"""How each side starts a program, waits for it and talks with it: always by its public API, as its manual shows it.

An adapter is used in one process and runs there in one loop. Every operation checks what came of it: the children end
with code 7, and one of them says "hello", so that an exit that was never heard of does not pass for a fast one.
"""

from __future__ import annotations

import asyncio
import collections
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

CODE = 7
WORDS = b"hello\n"


class WrongAnswerError(Exception):
    """A child's status or output is not what it was."""


def check(code: int | None, output: bytes | None = None) -> None:
    if code != CODE or (output is not None and output != WORDS):
        raise WrongAnswerError(f"code {code}, output {output!r}, where {CODE} and {WORDS!r} are right")


class Adapter:
    """What all have in common; those of asyncio need no more than this."""

    def __init__(self, exits: str, talks: str, sleeps: str) -> None:
        self.exits, self.talks, self.sleeps = exits, talks, sleeps

    def run(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        asyncio.run(main())

    async def nothing(self) -> None:
        """Start, and wait for the end."""
        raise NotImplementedError

    async def communicate(self) -> None:
        """Start with a pipe for its output, and read that to the end, too."""
        raise NotImplementedError

    async def start(self) -> Any:
        """Start one that sleeps."""
        raise NotImplementedError

    async def wait(self, process: Any) -> None:
        await process.wait()

    async def watch(self, process: Any) -> Any:
        """Have something hear of the end of one that sleeps; most sides do that since they started it."""
        return process

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def side_by_side(self, *parts: Callable[[], Awaitable[None]]) -> None:
        await asyncio.gather(*(part() for part in parts))

    async def many(self, operation: Callable[[], Awaitable[None]], count: int, flight: int) -> None:
        """`count` operations, `flight` of them at a time."""
        left = count

        async def some() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                await operation()

        if flight == 1:
            await some()
        else:
            await self.side_by_side(*[some] * flight)


class Ours(Adapter):
    def run(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        from loopwright import process

        self.process = process
        super().run(main)

    async def nothing(self) -> None:
        process = await self.process.spawn([self.exits])
        check((await process.wait()).returncode)

    async def communicate(self) -> None:
        process = await self.process.spawn([self.talks], stdout=self.process.PIPE)
        output, _ = await process.communicate()
        check(process.returncode, output)

    async def start(self) -> Any:
        return await self.process.spawn([self.sleeps])


class OursOnNative(Ours):
    def run(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        from loopwright import NativeEventLoop, process

        self.process = process
        with asyncio.Runner(loop_factory=NativeEventLoop) as runner:
            runner.run(main())


class OursOnUvloop(Ours):
    def run(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        import uvloop

        from loopwright import process

        self.process = process
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())


class Asyncio(Adapter):
    """On whatever loop."""

    def new_loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.SelectorEventLoop()

    def run(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        with asyncio.Runner(loop_factory=self.new_loop) as runner:
            runner.run(main())

    async def nothing(self) -> None:
        process = await asyncio.create_subprocess_exec(self.exits)
        check(await process.wait())

    async def communicate(self) -> None:
        process = await asyncio.create_subprocess_exec(self.talks, stdout=subprocess.PIPE)
        output, _ = await process.communicate()
        check(process.returncode, output)

    async def start(self) -> Any:
        return await asyncio.create_subprocess_exec(self.sleeps)


class Watched(Asyncio):
    """The standard loop with one of its two watchers that need no signal."""

    watcher = ""

    def new_loop(self) -> asyncio.AbstractEventLoop:
        loop: Any = asyncio.SelectorEventLoop()
        if sys.version_info < (3, 14):
            watcher = getattr(asyncio, f"{self.watcher}ChildWatcher")()
            watcher.attach_loop(loop)
            asyncio.get_event_loop_policy().set_child_watcher(watcher)
        else:  # there it is the loop's own affair, and private
            from asyncio import unix_events

            loop._watcher = getattr(unix_events, f"_{self.watcher}ChildWatcher")()
        return loop


class ByPidfd(Watched):
    watcher = "Pidfd"


class ByThread(Watched):
    watcher = "Threaded"


class Uvloop(Asyncio):
    def new_loop(self) -> asyncio.AbstractEventLoop:
        import uvloop

        return uvloop.new_event_loop()


class Rloop(Asyncio):
    def new_loop(self) -> asyncio.AbstractEventLoop:
        import rloop

        return rloop.new_event_loop()


class Trio(Adapter):
    def run(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        import trio

        self.trio = trio

        async def inside() -> None:
            async with trio.open_nursery() as self.nursery:
                await main()

        trio.run(inside)

    async def nothing(self) -> None:
        process = await self.trio.lowlevel.open_process([self.exits])
        check(await process.wait())

    async def communicate(self) -> None:
        done = await self.trio.run_process([self.talks], stdin=None, capture_stdout=True, check=False)
        check(done.returncode, done.stdout)

    async def start(self) -> Any:
        return await self.trio.lowlevel.open_process([self.sleeps])

    async def watch(self, process: Any) -> Any:
        self.nursery.start_soon(process.wait)

    async def sleep(self, seconds: float) -> None:
        await self.trio.sleep(seconds)

    async def side_by_side(self, *parts: Callable[[], Awaitable[None]]) -> None:
        async with self.trio.open_nursery() as nursery:
            for part in parts:
                nursery.start_soon(part)


class Anyio(Adapter):
    """On asyncio, which is its default."""

    def run(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        import anyio

        self.anyio = anyio
        anyio.run(main)

    async def nothing(self) -> None:
        process = await self.anyio.open_process([self.exits], stdin=None, stdout=None, stderr=None)
        check(await process.wait())

    async def communicate(self) -> None:
        done = await self.anyio.run_process([self.talks], stdin=None, stderr=None, check=False)
        check(done.returncode, done.stdout)

    async def start(self) -> Any:
        return await self.anyio.open_process([self.sleeps], stdin=None, stdout=None, stderr=None)

    async def sleep(self, seconds: float) -> None:
        await self.anyio.sleep(seconds)

    async def side_by_side(self, *parts: Callable[[], Awaitable[None]]) -> None:
        async with self.anyio.create_task_group() as group:
            for part in parts:
                group.start_soon(part)


class Popen(Adapter):
    """Without a loop: the coroutines here never wait for anything but the kernel."""

    def run(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            main().send(None)
        except StopIteration:
            return
        raise AssertionError("it awaited something")

    async def nothing(self) -> None:
        self._finish(subprocess.Popen([self.exits]))

    async def communicate(self) -> None:
        self._finish(subprocess.Popen([self.talks], stdout=subprocess.PIPE))

    async def start(self) -> Any:
        return subprocess.Popen([self.sleeps])

    async def wait(self, process: Any) -> None:
        process.wait()

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    async def many(self, operation: Callable[[], Awaitable[None]], count: int, flight: int) -> None:
        """The one that was started first is waited for first."""
        piped = operation == self.communicate
        words, stdout = ([self.talks], subprocess.PIPE) if piped else ([self.exits], None)
        running: collections.deque[subprocess.Popen[bytes]] = collections.deque()
        for _ in range(count):
            if len(running) == flight:
                self._finish(running.popleft())
            running.append(subprocess.Popen(words, stdout=stdout))
        while running:
            self._finish(running.popleft())

    def _finish(self, process: subprocess.Popen[bytes]) -> None:
        output, _ = process.communicate()
        check(process.returncode, output)


ADAPTERS: dict[str, type[Adapter]] = {
    "loopwright": Ours,
    "loopwright/native": OursOnNative,
    "loopwright/uvloop": OursOnUvloop,
    "asyncio/pidfd": ByPidfd,
    "asyncio/thread": ByThread,
    "uvloop": Uvloop,
    "rloop": Rloop,
    "trio": Trio,
    "anyio": Anyio,
    "Popen": Popen,
}
