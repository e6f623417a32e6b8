"""Signals to a process, and to the process group that it was started to lead."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING

from loopwright.process._groups import live_members

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loopwright._core import ExitStatus, StatusLost
    from loopwright._spawning import Child

__all__ = ["Signalled"]

#: How often a process group is looked at while waiting for it to be empty: soon at first, then more rarely. Seconds.
GROUP_LOOKS = (0.002, 0.005, 0.01, 0.02, 0.05)


class Signalled:
    """The part of a `Process` that has to do with signals."""

    __slots__ = ("_child",)

    _child: Child

    async def wait(self, timeout: float | None = None) -> ExitStatus | StatusLost:
        """Wait until it has ended itself."""
        raise NotImplementedError

    def send_signal(self, number: int) -> bool:
        """Send it a signal; True if it was sent, False if it has ended. Never meets another process of the same pid.

        PermissionError if it runs as somebody this process may not signal (kill(2)).
        """
        return self._child.send_signal(number)

    def terminate(self) -> bool:
        """`send_signal(SIGTERM)`."""
        return self.send_signal(signal.SIGTERM)

    def kill(self) -> bool:
        """`send_signal(SIGKILL)`."""
        return self.send_signal(signal.SIGKILL)

    @property
    def leads_group(self) -> bool:
        """Whether it was started to lead a process group of its own."""
        return self._child.leads_group

    def signal_group(self, number: int) -> bool:
        """Send a signal to every process in the group it leads; False if there is none left.

        Also after it ended itself, as long as a `hold_group()` is in force. ValueError if it leads no group: start it
        with `start_new_session=True` or `process_group=0` for that.
        """
        return self._child.signal_group(number)

    @contextlib.contextmanager
    def hold_group(self) -> Iterator[None]:
        """Keep the number of its process group its own while the block lasts, even if the process ends meanwhile."""
        self._child.hold()
        try:
            yield
        finally:
            self._child.release()

    def group_members(self) -> tuple[int, ...]:
        """The pids in the process group it leads that have not ended: what a look at /proc sees now."""
        return live_members(self._child.pid) if self._child.leads_group else ()

    async def wait_group(self) -> None:
        """Wait until nothing in the process group it leads runs any more, itself included.

        The kernel does not tell of that, so it is looked at every 50 ms (more often at first). Processes that have left
        for a group or session of their own are not seen. ValueError if it leads no group.
        """
        if not self._child.leads_group:
            raise ValueError(f"process {self._child.pid} leads no process group of its own")
        await self.wait()
        look = 0
        while self.group_members():
            await asyncio.sleep(GROUP_LOOKS[min(look, len(GROUP_LOOKS) - 1)])
            look += 1
