# For _calls.py alone.
from cpython.object cimport PyObject

from loopwright._native._asyncio cimport PyTypeObject

ctypedef object (*lw_soon)(PyObject *, PyObject *, PyObject *, PyObject *)

cdef extern from "_call_soon.h":
    int lw_install_call_soon(PyTypeObject *kind, lw_soon soon) except -1
