"""The compiled floor. Where it could not be built its names are None, and `MISSING` says why.

Compiled modules do not run as plain Python; the way without one is a file of its own on the floor that uses it, held to
the same contract suite. `LOOPWRIGHT_PURE=1` in the environment leaves the compiled ones aside.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loopwright._native._core import LoopCore as LoopCore
    from loopwright._native._datagram import DatagramTransport as DatagramTransport
    from loopwright._native._pidfds import PidfdSet as PidfdSet
    from loopwright._native._pidfds import reap as reap
    from loopwright._native._pidfds import reap_number as reap_number
    from loopwright._native._pipes import ReadPipeTransport as ReadPipeTransport
    from loopwright._native._starts import Start as Start
    from loopwright._native._starts import StartPort as StartPort
    from loopwright._native._starts import busy as busy
    from loopwright._native._stream import StreamTransport as StreamTransport
    from loopwright._native._write_pipes import WritePipeTransport as WritePipeTransport

__all__ = [
    "MISSING",
    "WISHED_AWAY",
    "DatagramTransport",
    "LoopCore",
    "PidfdSet",
    "ReadPipeTransport",
    "Start",
    "StartPort",
    "StreamTransport",
    "WritePipeTransport",
    "busy",
    "reap",
    "reap_number",
]

#: Why nothing compiled is in use; None when it is.
MISSING: str | None = None
#: Whether that is because somebody wanted it so.
WISHED_AWAY = os.environ.get("LOOPWRIGHT_PURE", "") not in ("", "0")

if WISHED_AWAY:
    MISSING = "LOOPWRIGHT_PURE is set in the environment"
else:
    try:
        from loopwright._native._core import LoopCore
        from loopwright._native._datagram import DatagramTransport
        from loopwright._native._literals import is_literal as _is_literal  # noqa: F401 - that it is there
        from loopwright._native._pidfds import PidfdSet, reap, reap_number
        from loopwright._native._pipes import ReadPipeTransport
        from loopwright._native._socks import readable as _readable  # noqa: F401 - that it is there
        from loopwright._native._starts import Start, StartPort, busy
        from loopwright._native._stream import StreamTransport
        from loopwright._native._write_pipes import WritePipeTransport
    except ImportError as error:
        MISSING = f"it was not built for this Python: {error}"

if MISSING is not None:
    LoopCore = DatagramTransport = StreamTransport = None  # type: ignore[assignment, misc]  # absent, as said above
    ReadPipeTransport = WritePipeTransport = None  # type: ignore[assignment, misc]  # likewise
    PidfdSet = None  # type: ignore[assignment, misc]  # likewise
    reap = reap_number = None  # type: ignore[assignment]  # likewise
    Start = StartPort = None  # type: ignore[assignment, misc]  # likewise

    def busy() -> int:
        """How many starts are queued or under way: none, without those who do them."""
        return 0
