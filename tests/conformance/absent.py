"""Takes from asyncio what Python 3.16 takes away, on a Python before. To be called before Loopwright is imported."""

from __future__ import annotations

import asyncio
import asyncio.events


def remove_policies() -> None:
    """Delete every name that goes with policies: the variable, its getters and setters, the base classes, the default.

    Of what is left in asyncio the functions `get_event_loop()`, `set_event_loop()` and `new_event_loop()` no longer
    work here, since they ask for a policy. Those of 3.16 do work, but ask for none, so that is as well for a test.
    """
    for module in (asyncio.events, asyncio.unix_events, asyncio):
        for name in [name for name in vars(module) if "policy" in name.lower()]:
            delattr(module, name)
