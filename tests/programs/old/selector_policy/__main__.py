"""A service whose loop also serves a bus, by way of a selector of its own.

Project: allisonkarlitskaya/systemd_ctypes (vendored by cockpit-project/cockpit)
Where: src/systemd_ctypes/event.py at 0aad601497a0, `Selector`, `EventLoopPolicy` and `run_async`
Leans on: `asyncio.run()` asking the policy for its loop; run as `-m`, relative imports and all
Arguments: start reload --now
Plain: warns: 'asyncio.DefaultEventLoopPolicy' is deprecated
Prints:
    bus: start
    bus: reload
    bus: --now
    module: __main__, in package 'selector_policy', with 3 arguments
"""

import asyncio
import sys

from .event import Bus, run_async


async def main(bus, messages):
    heard = asyncio.Queue()
    bus.listeners.append(heard.put_nowait)
    for message in messages:
        bus.post(message)
    for _ in messages:
        print("bus:", await heard.get())


bus = Bus()
run_async(main(bus, sys.argv[1:]), bus)
print(f"module: {__name__}, in package {__package__!r}, with {len(sys.argv) - 1} arguments")
