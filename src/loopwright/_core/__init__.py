"""What every floor above shares, and nothing of asyncio: how a process ended, and how long to wait after it did."""

from loopwright._core._hooks import on_process_started, tell_process_started
from loopwright._core._pacing import Pacing
from loopwright._core._status import ExitStatus, ResourceUsage, StatusLost, named_signal, signal_name

__all__ = [
    "ExitStatus",
    "Pacing",
    "ResourceUsage",
    "StatusLost",
    "named_signal",
    "on_process_started",
    "signal_name",
    "tell_process_started",
]
