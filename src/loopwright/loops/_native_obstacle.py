"""Why `NativeEventLoop` cannot run here, where it cannot."""

from __future__ import annotations

import importlib
import sys
from typing import Final

from loopwright import _native
from loopwright.errors import LoopUnavailableError, WrongPlatformError

__all__ = ["NO_SCHEDULER_YET", "native_obstacle"]

#: Why it takes no scheduler.
NO_SCHEDULER_YET: Final = "native scheduling comes later"

#: Where each Python has what it knows of its interpreters, until `concurrent.interpreters` is everywhere.
_INTERPRETERS = ("_interpreters", "_xxsubinterpreters")


def native_obstacle() -> LoopUnavailableError | None:
    """What constructing a `NativeEventLoop` raises here, new at each call, with the reason and the mend; None if it
    works, as far as that shows without making one. Any thread may call this.
    """
    reason = _reason()
    if reason is None:
        return None
    kind = LoopUnavailableError if sys.platform == "linux" else WrongPlatformError
    return kind(f"the loop 'native' {reason}", name="loopwright._native")


def _reason() -> str | None:
    if sys.platform != "linux":
        return f"is built on epoll, which is Linux's, and this is {sys.platform}; use 'asyncio'"
    if "t" in sys.abiflags:
        return "was not tested on free-threaded builds of Python, of which this is one; use 'asyncio'"
    if _IN_SUBINTERPRETER:
        return "was not tested in subinterpreters, of which this is one; use 'asyncio' here"
    if _native.MISSING is None:
        return None
    if _native.WISHED_AWAY:
        return f"is compiled code, and that is not to be used: {_native.MISSING}; unset that, or use 'asyncio'"
    return (
        f"is compiled code, and {_native.MISSING}; install a C compiler and do: LOOPWRIGHT_EXTENSIONS=require"
        " pip install --force-reinstall --no-binary loopwright loopwright (which tells of what fails), or use 'asyncio'"
    )


def _is_subinterpreter() -> bool:
    for name in _INTERPRETERS:
        try:
            interpreters = importlib.import_module(name)
        except ModuleNotFoundError:  # of another Python, or left out when this one was built: then there are no others
            continue
        return bool(interpreters.get_current() != interpreters.get_main())
    return False


#: Asked once, while descriptors are left, which the import of a module takes.
_IN_SUBINTERPRETER: Final = _is_subinterpreter()
