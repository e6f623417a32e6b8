"""Services: programs that are started in order, kept running, and ended in order."""

from loopwright._core import Pacing
from loopwright.supervision._engine import Outcome, Supervisor
from loopwright.supervision._events import (
    Event,
    Exited,
    Failed,
    Finished,
    Healthy,
    LevelFell,
    Note,
    Output,
    OutputMatched,
    Restarting,
    Started,
    Stopped,
    Stopping,
)
from loopwright.supervision._order import DependencyError, start_order
from loopwright.supervision._placement import LocalPlacement, Placed, Placement
from loopwright.supervision._spec import Instance, RestartPolicy, RestartRule, ServiceSpec
from loopwright.supervision._table import TABLE, Action, Life, State, Stimulus, judge, step

__all__ = [
    "TABLE",
    "Action",
    "DependencyError",
    "Event",
    "Exited",
    "Failed",
    "Finished",
    "Healthy",
    "Instance",
    "LevelFell",
    "Life",
    "LocalPlacement",
    "Note",
    "Outcome",
    "Output",
    "OutputMatched",
    "Pacing",
    "Placed",
    "Placement",
    "RestartPolicy",
    "RestartRule",
    "Restarting",
    "ServiceSpec",
    "Started",
    "State",
    "Stimulus",
    "Stopped",
    "Stopping",
    "Supervisor",
    "judge",
    "start_order",
    "step",
]
