"""An exit status out of what waitid(2) gives."""

import cython

if not cython.compiled:
    raise ImportError("loopwright._native._statuses is compiled code and does not run as plain Python")

from cython.cimports.cpython.object import PyObject_GenericSetAttr
from cython.cimports.loopwright._native._linux import CLD_DUMPED, CLD_EXITED, rusage, timeval

from loopwright._core import ExitStatus, ResourceUsage, named_signal

SIGNALS: tuple = tuple(named_signal(number) for number in range(128))


@cython.cfunc
def status_of(code: cython.int, value: cython.int, used: cython.pointer(rusage)) -> object:
    """The status with its usage."""
    return status_from(code, value, usage_of(used))


@cython.cfunc
def status_from(code: cython.int, value: cython.int, usage: tuple) -> object:
    """As its own constructor would make it, at an eighth of the cost: that of a frozen dataclass goes through
    `object.__setattr__()` for each field."""
    made = ExitStatus.__new__(ExitStatus)
    by_itself: cython.bint = code == CLD_EXITED
    PyObject_GenericSetAttr(made, "code", value if by_itself else None)
    PyObject_GenericSetAttr(made, "signal", None if by_itself else SIGNALS[value])
    PyObject_GenericSetAttr(made, "core_dumped", code == CLD_DUMPED)
    PyObject_GenericSetAttr(made, "usage", tuple.__new__(ResourceUsage, usage))
    return made


@cython.cfunc
def usage_of(used: cython.pointer(rusage)) -> tuple:
    """In the order of `ResourceUsage`'s fields."""
    return (
        _seconds(used.ru_utime),
        _seconds(used.ru_stime),
        used.ru_maxrss * 1024,  # KiB on Linux, getrusage(2)
        used.ru_minflt,
        used.ru_majflt,
        used.ru_inblock,
        used.ru_oublock,
        used.ru_nvcsw,
        used.ru_nivcsw,
    )


@cython.cfunc
@cython.exceptval(check=False)
def _seconds(time: timeval) -> cython.double:
    return time.tv_sec + time.tv_usec * 1e-6
