"""What scripts of services that follow a fake clock are made of."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any, TypeAlias

from loopwright._core import ExitStatus, Pacing
from loopwright.supervision import RestartPolicy, ServiceSpec
from loopwright.testing import Run

if TYPE_CHECKING:
    from collections.abc import Callable

Play: TypeAlias = "Callable[..., Any]"
"""The fixture that makes a `Scene` (conftest.py)."""

TERM, KILL = signal.SIGTERM, signal.SIGKILL
#: For ever, as far as a test can tell.
DAY = 86_400.0
EXACT = Pacing(initial_delay=0.5, factor=2.0, max_delay=4.0, jitter=0.0)
CRASH = Run(seconds=1.0, status=ExitStatus(1))


def service(name: str, *depends_on: str, restart: RestartPolicy | None = None, **options: Any) -> ServiceSpec:
    return ServiceSpec(
        name, ("program",), depends_on=depends_on, restart=restart or RestartPolicy(pacing=EXACT), **options
    )
