"""What every floor above shares, and nothing of asyncio: how a process ended, and how long to wait after it did."""

from loopwright._core._pacing import Pacing
from loopwright._core._status import ExitStatus, ResourceUsage, StatusLost, signal_name

__all__ = ["ExitStatus", "Pacing", "ResourceUsage", "StatusLost", "signal_name"]
