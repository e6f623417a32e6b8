"""What became of a tree of processes that was ended, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from loopwright.process._tree import PATIENCE

if TYPE_CHECKING:
    from loopwright._core import ExitStatus, StatusLost
    from loopwright.process._guarantee import Guarantee

__all__ = ["CGROUP", "DOUBTFUL", "FORBIDDEN", "HANGS", "UNMARKED", "Ended", "Left"]

HANGS = f"has not died of SIGKILL in {PATIENCE:g} s (it hangs inside the kernel)"
FORBIDDEN = "may not be signalled by this user (kill(2))"
DOUBTFUL = (
    "is in what was its process group, whose number may have come to mean another one since, so it is not touched"
)
UNMARKED = "was orphaned and carries no mark, so it may be of this tree or of another"
CGROUP = "is in its cgroup, and cannot be seen from here"


@dataclass(frozen=True, slots=True)
class Left:
    """A process that may be left of a tree."""

    pid: int
    name: str
    """Its program's name as the kernel has it: 15 bytes at most, and the program may have chosen another."""
    why: str
    """Why it was not ended, or is not known to belong to the tree, as half a sentence after `it`."""

    def __str__(self) -> str:
        return f"process {self.pid} ({self.name}): it {self.why}"


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a tree."""

    status: ExitStatus | StatusLost | None
    """How its first process ended; None if that could not be ended."""
    killed: tuple[int, ...]
    """The pids of those that SIGKILL was sent to, sorted."""
    left: tuple[Left, ...]
    """What could not be ended, or not be proved to have nothing to do with it."""
    guarantee: Guarantee
    """The level at which it was ended."""

    @property
    def proved(self) -> bool:
        """Whether it is proved that nothing is left, escapees included."""
        return not self.left and self.guarantee.proves
