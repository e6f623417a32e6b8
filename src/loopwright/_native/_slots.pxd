# One start on its way through the workers, and the numbers that are reserved for its streams.
from cpython.object cimport PyObject

from loopwright._native._child cimport lw_area, lw_order, lw_outcome, pthread_mutex_t

cdef enum:
    NEW
    QUEUED
    RUNNING
    DONE
    SETTLING  # collected, and being asked whether it has ended
    UNWANTED

cdef struct Port:
    Node *first     # done, in the order in which they were
    Node *last
    int wakeup      # an eventfd, readable when there are some
    bint told       # and somebody has written to it: it is in the list of those
    Port *next      # there
    bint closed

cdef struct Node:
    Node *next
    PyObject *owner  # the Start that this belongs to, referenced while it is in a list
    Port *port
    lw_area *area    # where it is being started, while a worker is at it
    int state
    bint holds_slots
    lw_order order
    lw_outcome outcome

cdef struct Slots:
    pthread_mutex_t lock
    int base         # the file that holds the numbers open, or why there is none
    int numbers[3]
    bint used
    bint lost         # somebody has taken one of the numbers
    unsigned long device
    unsigned long inode
    bint filled[3]    # somebody's file is on that number, for the start that uses them
    unsigned long filled_device[3]
    unsigned long filled_inode[3]

cdef void reopen_slots() noexcept nogil
cdef int prepare_descriptors(Node *node) noexcept nogil
cdef void release_descriptors(Node *node) noexcept nogil
cdef bint _have_slots(Node *node, bint needed) noexcept nogil
cdef void _reserve() noexcept nogil
cdef bint _is_ours(int number) noexcept nogil
cdef bint _fill(int index, int stream) noexcept nogil
cdef bint _still_filled(int index) noexcept nogil
cdef void _empty() noexcept nogil
