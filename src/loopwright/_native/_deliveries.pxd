# What the workers know of each other and of the loops, and how what they have started comes back.
from libc.stdint cimport int64_t

from loopwright._native._child cimport lw_area, pthread_cond_t, pthread_mutex_t
from loopwright._native._slots cimport Node, Port

cdef struct Shop:
    pthread_mutex_t lock
    pthread_cond_t work
    pthread_cond_t queueing
    Node *first
    Node *last
    Node *started    # and kept back, the latest first, to be told of together
    Port *told       # of what they have not come for
    Node *doomed     # whose children, which nobody wants, a worker is to end
    Node *unwanted   # whose references are to be given back by whoever has the GIL
    lw_area *area    # for starts in calling threads; NULL while one is using it
    int workers
    int idle
    int pending       # queued or under way
    int queued
    int n_started
    int64_t started_since
    bint unsettled    # some of what loops were told of is
    bint relieved     # there is a relief thread
    bint watching     # and it is looking every so often
    unsigned long taken

cdef bint keep_back(Shop *shop, Node *node, int64_t begun) noexcept nogil
cdef void deliver(Shop *shop) noexcept nogil
cdef void end_doomed(Shop *shop) noexcept nogil
cdef void settle_uncollected(Shop *shop) noexcept nogil
cdef Node *collect(Shop *shop, Port *port) noexcept nogil
cdef Node *collect_unwanted(Shop *shop) noexcept nogil
cdef void close_port(Shop *shop, Port *port) noexcept nogil
cdef bint disown(Shop *shop, Node *node) noexcept nogil

cdef void _hand_over(Shop *shop, Node *node) noexcept nogil
cdef void _forget(Shop *shop, Port *port) noexcept nogil
cdef void _change(Node *node, int before, int after) noexcept nogil
