"""What loops in threads of their own need of asyncio's private parts; a sibling of `_asyncio_private.py`.

- `asyncio._register_task` puts a task of another make among those that `asyncio.all_tasks()` gives (documented under
  "Extending", 3.12; there since 3.7). It takes whatever has `get_loop()` and `done()`, on 3.11 to 3.15.
- `asyncio.gather()`, `shield()` and `as_completed()` hang callbacks of their own on the futures they are given, and
  count on none being called before they have returned (`nfuts` in gather(), the set in as_completed(): 3.11 to
  3.15). Such a callback is known by its module.
"""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["counts_on_rest", "list_as_task"]


def list_as_task(future: Any) -> None:
    """Have `asyncio.all_tasks(future.get_loop())` give this future as well, for as long as it lives and is not done."""
    asyncio._register_task(future)


def counts_on_rest(callback: Any) -> bool:
    """Whether this callback of asyncio's counts on not being called before its loop is run."""
    return str(getattr(callback, "__module__", "")).partition(".")[0] == "asyncio"
