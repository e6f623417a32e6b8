"""Child processes on any event loop: started, waited for, signalled, never lost."""

from loopwright._core import ExitStatus, ResourceUsage, StatusLost
from loopwright.process._cgroup import cgroup_obstacle
from loopwright.process._ended import Ended, Left
from loopwright.process._guarantee import Guarantee
from loopwright.process._guarding import Guard, guard
from loopwright.process._keeping import Keeper, keep, keeper_obstacle
from loopwright.process._lines import LineReceiver, LineSplitter
from loopwright.process._process import Process
from loopwright.process._spawn import DEVNULL, PIPE, STDOUT, spawn
from loopwright.process._standing import current_guarantee

__all__ = [
    "DEVNULL",
    "PIPE",
    "STDOUT",
    "Ended",
    "ExitStatus",
    "Guarantee",
    "Guard",
    "Keeper",
    "Left",
    "LineReceiver",
    "LineSplitter",
    "Process",
    "ResourceUsage",
    "StatusLost",
    "cgroup_obstacle",
    "current_guarantee",
    "guard",
    "keep",
    "keeper_obstacle",
    "spawn",
]
