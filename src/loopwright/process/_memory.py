"""How much memory some processes take with all that descends from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loopwright.process._proc import children

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["memory_of"]


def memory_of(pids: Iterable[int]) -> int:
    """Resident bytes of these processes and of what still descends from them, each process counted once.

    What has ended meanwhile, or may not be seen, counts as nothing. Blocks: some 50 us for each process.
    """
    import psutil  # here: programs that set no bound on memory need not load it

    total, counted, ahead = 0, set(), list(pids)
    while ahead:
        pid = ahead.pop()
        if pid in counted:
            continue
        counted.add(pid)
        try:
            process = psutil.Process(pid)
            total += process.memory_info().rss
            listed = children(pid)
            ahead.extend([child.pid for child in process.children()] if listed is None else listed)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total
