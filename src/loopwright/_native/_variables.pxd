# For _contexts.py alone.
from cpython.object cimport PyObject

cdef extern from "_variables.h":
    void lw_find_variables(object context)
    PyObject *lw_variables(PyObject *context)
    PyObject *lw_current_variables()
    object lw_copy_context(object context)
