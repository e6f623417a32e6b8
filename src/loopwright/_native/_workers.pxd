# What _workers.py offers to _starts.py.
from loopwright._native._child cimport lw_area
from loopwright._native._deliveries cimport Shop
from loopwright._native._slots cimport Node

cdef Shop *shop() noexcept nogil
cdef bint open_shop() noexcept nogil
cdef bint reopen_shop() noexcept nogil
cdef int pending() noexcept nogil
cdef void begin_here(Node *node) noexcept nogil
cdef bint queue(Node *node) noexcept nogil

cdef void *_work(void *given) noexcept nogil
cdef void *_relieve(void *given) noexcept nogil
cdef void _begin(Node *node, lw_area *area) noexcept nogil
cdef void _have_relief() noexcept nogil
cdef bint _new_thread(bint relief) noexcept nogil
cdef bint _is_waiting() noexcept nogil
cdef Node *_next() noexcept nogil
