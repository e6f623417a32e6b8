"""The contexts that callbacks run in, of which those that are alike are one.

Theory of operation. asyncio copies the current context for each callback that is not given one, and most of
these copies are alike, run one after the other, and dropped. What matters is that each callback finds the variables
that were set when it was queued, and that nobody else sees what it sets. So callbacks that were queued under the same
variables share a `SharedContext`: each is run in one and the same copy, for as long as none of them has changed it or
kept it; from the first that did, the next one gets a copy of the pristine one. The mapping in a context is never
changed, only replaced (PEP 567), so that the same mapping means the same variables. Who asks a handle for its context
gets one that it alone runs in.
"""

import contextvars

import cython

if not cython.compiled:
    raise ImportError("loopwright._native._contexts is compiled code and does not run as plain Python")

from cython.cimports.cpython.object import PyObject
from cython.cimports.cpython.ref import Py_DECREF
from cython.cimports.loopwright._native._asyncio import lw_copy_current, lw_is_alone
from cython.cimports.loopwright._native._variables import (
    lw_copy_context,
    lw_current_variables,
    lw_find_variables,
    lw_variables,
)

#: Callbacks in a row, under the same variables and with no wait in between, after which the next ones share a context:
#: for one alone it would be dearer than a copy.
REPEATED = cython.declare(cython.int, 2)


@cython.cclass
class InContext:
    """What is run in a context, and which."""

    def own_context(self):
        """The one it runs in, or has run in; from here on nobody else does."""
        shared: SharedContext
        if self.shares:
            shared = cython.cast(SharedContext, self.context)
            self.shares = False
            if shared.runner == cython.cast(cython.pointer(PyObject), self):
                self.context = shared.spare
            else:
                self.context = lw_copy_context(shared.pristine)
        return self.context


@cython.final
@cython.no_gc_clear  # __dealloc__() needs `contexts`; the collector breaks cycles in what it refers to
@cython.freelist(16)
@cython.cclass
class SharedContext:
    """The variables that were set when some callbacks were queued, and a context with them for each, in its turn."""

    def __dealloc__(self):
        if self.contexts.latest == cython.cast(cython.pointer(PyObject), self):
            self.contexts.latest = cython.NULL

    def renew(self):
        self.spare = lw_copy_context(self.pristine)
        return 0

    def settle(self, handle):
        """What was run in the spare one has come back: others may have it if nobody has kept it or has set anything."""
        spare: cython.pointer(PyObject) = cython.cast(cython.pointer(PyObject), self.spare)
        self.runner = cython.NULL
        if not lw_is_alone(spare) or lw_variables(spare) != self.variables:
            handle.shares = False
            handle.context = self.spare
            self.spare = None
        return 0


@cython.final
@cython.cclass
class Contexts:
    """Of a loop: what its next callback will run in."""

    def give(self, handle):
        """The current context as it is now, for it to run in once; -1 if there is no memory, with the exception set.
        Any thread may ask, each for its own."""
        variables: cython.pointer(PyObject) = lw_current_variables()
        copied: cython.pointer(PyObject)
        if self.latest != cython.NULL and cython.cast(SharedContext, self.latest).variables == variables:
            handle.context = cython.cast(object, self.latest)
            handle.shares = True
            return 0
        copied = lw_copy_current()
        if copied == cython.NULL:
            return -1
        context = cython.cast(object, copied)
        Py_DECREF(context)
        handle.context = context
        if variables == cython.NULL:  # the thread has had no context so far, or this Python keeps them otherwise
            return 0
        if variables != self.candidate:
            self.candidate = variables
            self.repeated = 0
        elif self.repeated < REPEATED:
            self.repeated += 1
        else:
            self.share(handle, context)
        return 0

    def share(self, handle, context):
        try:
            shared: SharedContext = SharedContext.__new__(SharedContext)
        except MemoryError:  # then it runs in its own
            return
        shared.contexts = self
        shared.pristine = context
        shared.variables = lw_variables(cython.cast(cython.pointer(PyObject), context))
        self.latest = cython.cast(cython.pointer(PyObject), shared)
        handle.context = shared
        handle.shares = True

    def rest(self):
        """The loop waits: what comes next may come alone."""
        self.candidate = cython.NULL


_with_a_variable = contextvars.copy_context()
_with_a_variable.run(contextvars.ContextVar("probe").set, None)
lw_find_variables(_with_a_variable)
