"""The packer: takes the shop's orders out of their folder and packs them, one after the other.

What it shows: a background worker that loses nothing. Asked to end (SIGTERM), it packs what it has in hands
first; killed, it leaves an order that the next worker finds and begins again (see orders.py). When nobody
orders anything it makes up an order itself, and says so, to give you something to watch.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
import time

import shop
from orders import Order, Spool

from loopwright.policies import run

LOOK_EVERY = 0.25  # seconds between two looks into the folder of new orders
PATIENCE = 4.0  # seconds without an order before one is made up


def say(text: str) -> None:
    print(text, flush=True)


async def pack(order: Order, spool: Spool) -> None:
    """Pack one order."""
    say(f"{'packing again, left half done' if order.resumed else 'packing'}: {order.item} ({order.name})")
    await asyncio.sleep(random.uniform(0.4, 1.2))
    spool.finish(order)
    say(f"packed: {order.item} ({order.name})")


async def main() -> None:
    """Pack until SIGTERM or SIGINT."""
    spool = Spool(shop.data_folder() / "orders")
    stopping = asyncio.Event()
    shop.stop_on_signals(asyncio.get_running_loop(), stopping)
    say("waiting for orders")
    idle_since = time.monotonic()
    while not stopping.is_set():
        order = spool.take()
        if order is not None:
            await pack(order, spool)
            idle_since = time.monotonic()
            continue
        if time.monotonic() - idle_since >= PATIENCE:
            item = random.choice(list(shop.PRODUCTS))
            say(f"nobody has ordered for {PATIENCE:.0f} s, so I make up an order: {item}")
            spool.put(item)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_EVERY):
                await stopping.wait()
    say("nothing left in hands, goodbye")


if __name__ == "__main__":
    try:
        run(main())
    except shop.SetupError as trouble:
        sys.exit(f"worker: {trouble}")
