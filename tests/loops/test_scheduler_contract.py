"""asyncio's own loop, held to what every loop with task schedulers promises."""

from __future__ import annotations

from loopwright.testing import TaskSchedulerContract


class TestSelectorEventLoop(TaskSchedulerContract):
    pass
