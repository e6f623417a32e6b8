"""Not run: `make check` has mypy look at it, to see that the native loop is asyncio's to a type checker."""

import asyncio
from typing import assert_type

from loopwright import NativeEventLoop
from loopwright.loops import LoopFactory, LoopLike
from loopwright.policies import EventLoopPolicy, LoopPool, NativeEventLoopPolicy, ThreadLoop


async def main() -> int:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_connection(asyncio.Protocol, "localhost", 80)
    assert_type(transport, asyncio.Transport)
    assert_type(protocol, asyncio.Protocol)
    return 1


def made() -> None:
    loop = NativeEventLoop()
    standard: asyncio.SelectorEventLoop = loop
    factory: LoopFactory = NativeEventLoop
    like: LoopLike = NativeEventLoop
    assert_type(loop.run_until_complete(main()), int)
    assert_type(loop.call_soon(print, 1), asyncio.Handle)
    assert_type(loop.call_later(1, print), asyncio.TimerHandle)
    assert_type(loop.create_task(main()), asyncio.Task[int])
    assert_type(loop.time(), float)
    NativeEventLoop(None)  # type: ignore[call-arg] # it takes nothing
    print(loop.nonsense)  # type: ignore[attr-defined] # and has no more than asyncio's
    with asyncio.Runner(loop_factory=NativeEventLoop) as runner:
        assert_type(runner.run(main()), int)
    for each in (standard, factory(), ThreadLoop(like), LoopPool(1, loop=like)):
        print(each)
    EventLoopPolicy(loop=NativeEventLoop).close()
    NativeEventLoopPolicy(max_tasks=3).close()
    NativeEventLoopPolicy(loop="native")  # type: ignore[call-arg] # that is what it is
