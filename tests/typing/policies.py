"""Not run: `make check` has mypy look at it, to see that what is given to a loop comes back as what it gives."""

import asyncio
from collections.abc import Iterator
from typing import assert_type

from loopwright.policies import (
    EventLoopPolicy,
    LoopPool,
    ThreadedEventLoopPolicy,
    UvloopEventLoopPolicy,
    WorkFuture,
    on,
    policy,
    policy_from,
    run,
    submit,
)


async def length(text: str, factor: int = 1) -> int:
    return len(text) * factor


async def main(loop: asyncio.AbstractEventLoop, pool: LoopPool) -> None:
    assert_type(await on(loop, length("a")), int)
    assert_type(await on(loop, length, "a"), int)
    assert_type(await on(loop, length, "a", 2), int)
    assert_type(submit(loop, length("a")), WorkFuture[int])
    assert_type(submit(loop, length, "a"), WorkFuture[int])
    assert_type(await pool.submit(length, "a", 2), int)
    assert_type(pool.submit(length("a")).result(), int)
    assert_type(pool.map(length, ["a", "b"]), Iterator[int])
    submit(loop, length, 1)  # type: ignore[arg-type] # the wrong argument is found
    pool.submit(len, "a")  # type: ignore[arg-type] # and what gives nothing to await


assert_type(policy_from("uvloop; max_tasks=100"), EventLoopPolicy)
policy_from({"loop": "uvloop"}).close()
assert_type(policy_from(UvloopEventLoopPolicy), UvloopEventLoopPolicy)
assert_type(policy_from(ThreadedEventLoopPolicy()), ThreadedEventLoopPolicy)
with policy("shared") as shared:
    assert_type(shared, EventLoopPolicy)
with policy(UvloopEventLoopPolicy) as other:
    assert_type(other, UvloopEventLoopPolicy)
assert_type(run(length("a"), policy="uvloop"), int)
assert_type(run(length("a"), policy=ThreadedEventLoopPolicy), int)
