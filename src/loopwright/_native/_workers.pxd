# What _workers.py offers to _starts.py, and how its threads know each other.
from libc.stdint cimport int64_t

from loopwright._native._child cimport lw_area, pthread_cond_t, pthread_mutex_t
from loopwright._native._slots cimport Node, Port

cdef struct Shop:
    pthread_mutex_t lock
    pthread_cond_t work
    pthread_cond_t queueing
    Node *first
    Node *last
    Node *unwanted   # whose references are to be given back by whoever has the GIL
    lw_area *area    # for starts in calling threads; NULL while one is using it
    int workers
    int idle
    int pending       # queued or under way
    int queued
    Port *untold      # has some that its loop was not told of yet
    int n_untold
    int64_t untold_since
    bint relieved     # there is a relief thread
    bint watching     # and it is looking every so often
    unsigned long taken

cdef bint open_shop() noexcept nogil
cdef bint reopen_shop() noexcept nogil
cdef int pending() noexcept nogil
cdef void begin_here(Node *node) noexcept nogil
cdef bint queue(Node *node) noexcept nogil
cdef Node *collect(Port *port) noexcept nogil
cdef Node *collect_unwanted() noexcept nogil
cdef void close_port(Port *port) noexcept nogil
cdef bint disown(Node *node) noexcept nogil

cdef void *_work(void *given) noexcept nogil
cdef void *_relieve(void *given) noexcept nogil
cdef void _begin(Node *node, lw_area *area) noexcept nogil
cdef void _hand_over(Node *node, int64_t begun) noexcept nogil
cdef void _tell() noexcept nogil
cdef void _have_relief() noexcept nogil
cdef bint _new_thread(bint relief) noexcept nogil
