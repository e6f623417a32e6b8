"""The orders of the shop, as files that wander through folders: `new`, then `work`, then `done`.

A file is moved by `rename(2)`, which happens wholly or not at all, so an order is always in exactly one
folder, whoever is killed at whichever moment. While a worker packs an order it holds a lock on its file
(`flock(2)`). The kernel lets go of the lock when the worker ends, however it ends: an order in `work` that
nobody locks is one to begin again.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

MOST_WAITING = 1000
MOST_DONE = 100
_numbers = itertools.count(1)


def names(folder: Path) -> list[str]:
    """What is in a folder, the oldest order first: they are named by their time."""
    return sorted(path.name for path in folder.iterdir())


class TooManyOrdersError(Exception):
    """So many orders wait that no more are taken."""


@dataclass(slots=True)
class Order:
    """An order in a worker's hands."""

    name: str
    item: str
    resumed: bool
    """Whether an earlier worker had begun it."""
    lock: int
    """The descriptor that holds its lock."""


class Spool:
    """The folders. Any number of processes may put orders in and take them out."""

    def __init__(self, folder: Path) -> None:
        self.new = folder / "new"
        self.work = folder / "work"
        self.done = folder / "done"
        self._drafts = folder / "drafts"
        for path in (self.new, self.work, self.done, self._drafts):
            path.mkdir(parents=True, exist_ok=True)

    def put(self, item: str) -> str:
        """Leave an order for the worker; returns its name. TooManyOrdersError if too many wait already."""
        if len(names(self.new)) >= MOST_WAITING:
            raise TooManyOrdersError
        # The number is for two orders of one process within a tick of the clock.
        name = f"{time.time_ns()}-{os.getpid()}-{next(_numbers)}"
        draft = self._drafts / name
        draft.write_text(json.dumps({"item": item}) + "\n", encoding="utf-8")
        draft.rename(self.new / name)
        return name

    def take(self) -> Order | None:
        """The order to be packed next, locked and in `work`; None if there is none."""
        for folder in (self.work, self.new):
            for name in names(folder):
                order = self._claim(folder / name)
                if order is not None:
                    return order
        return None

    def finish(self, order: Order) -> None:
        """Put a packed order away. Of those, the newest hundred are kept."""
        (self.work / order.name).rename(self.done / order.name)
        os.close(order.lock)
        for name in names(self.done)[:-MOST_DONE]:
            (self.done / name).unlink(missing_ok=True)

    def _claim(self, path: Path) -> Order | None:
        with contextlib.ExitStack() as undo:
            try:
                lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
                undo.callback(os.close, lock)
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Between the listing and the lock another worker may have packed it and moved it on.
                if not os.path.samestat(os.fstat(lock), path.stat()):
                    return None
                if path.parent != self.work:
                    path.rename(self.work / path.name)
            except (FileNotFoundError, BlockingIOError):
                return None
            undo.pop_all()
            return Order(path.name, item_of(os.read(lock, 4096)), path.parent == self.work, lock)


def item_of(content: bytes) -> str:
    """What was ordered. A power failure can leave an empty file: no reason for the worker to fail for ever."""
    try:
        return str(json.loads(content)["item"])
    except (ValueError, KeyError, TypeError):
        return "something illegible"
