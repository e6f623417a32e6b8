"""What every floor above shares, and nothing of asyncio: how a process ended, and how long to wait after it did; how
the steps of tasks are put in order, and what a task wishes."""

from loopwright._core._helpers import helper, is_helper
from loopwright._core._hooks import on_process_started, tell_process_started
from loopwright._core._pacing import Pacing
from loopwright._core._scheduling import (
    Deadlines,
    FairShares,
    FirstInFirstOut,
    PriorityLanes,
    ReadyStep,
    TaskScheduler,
    scheduler_named,
    scheduler_names,
)
from loopwright._core._scheduling_queues import StepQueue, step_queue, waiting_rank
from loopwright._core._scheduling_shares import GroupAccount, Shares
from loopwright._core._status import ExitStatus, ResourceUsage, StatusLost, named_signal, signal_name
from loopwright._core._wishes import Wish, ask_for_lanes, deadline, group, priority

__all__ = [
    "Deadlines",
    "ExitStatus",
    "FairShares",
    "FirstInFirstOut",
    "GroupAccount",
    "Pacing",
    "PriorityLanes",
    "ReadyStep",
    "ResourceUsage",
    "Shares",
    "StatusLost",
    "StepQueue",
    "TaskScheduler",
    "Wish",
    "ask_for_lanes",
    "deadline",
    "group",
    "helper",
    "is_helper",
    "named_signal",
    "on_process_started",
    "priority",
    "scheduler_named",
    "scheduler_names",
    "signal_name",
    "step_queue",
    "tell_process_started",
    "waiting_rank",
]
