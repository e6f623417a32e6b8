"""Low descriptor numbers for what a child is given.

Theory of operation. A child shares the descriptor table until it copies what is below a cut (`_child.h`). Pipe ends
that are numbered high, so that much would be copied, are put, for the moment of the start, on low numbers that were
reserved when there was room: an empty file of our own, looked for each time, in case somebody closed all descriptors
and others have the numbers now.

A start may hang for hours with its pipes on those numbers, so what a number means is looked at again before they are
emptied: one that is not the pipe's any more is left alone.

Four descriptors are reserved, once, at the first start that has a pipe. In a program that had more than 256 open
before, there is no room for them: then each start with a pipe numbered so high pays for a copy of the whole table.
"""

import cython

if not cython.compiled:
    raise ImportError("loopwright._native._slots is compiled code and does not run as plain Python")

from cython.cimports.loopwright._native._child import (
    F_DUPFD_CLOEXEC,
    LW_CLOSE_FDS,
    O_CLOEXEC,
    dup3,
    fcntl,
    lw_order,
    lw_slot_file,
    pthread_mutex_init,
    pthread_mutex_lock,
    pthread_mutex_unlock,
)
from cython.cimports.posix.stat import fstat, struct_stat
from cython.cimports.posix.unistd import close

#: Descriptors from here on are not copied, whatever else.
LOW = cython.declare(cython.int, 256)
#: Streams from here on are put on low numbers, if those are free: to copy so many, and close them again, costs more.
NEAR = cython.declare(cython.int, 32)
UNTRIED = cython.declare(cython.int, -1)
UNUSABLE = cython.declare(cython.int, -2)

_slots = cython.declare(Slots)
_slots.base = UNTRIED
pthread_mutex_init(cython.address(_slots.lock), cython.NULL)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def prepare_descriptors(node: cython.pointer(Node)) -> cython.int:
    """Below which number the child needs descriptors; 0 if it needs a copy of them all."""
    order: cython.pointer(lw_order) = cython.address(node.order)
    highest: cython.int = 2
    index: cython.int
    if not order.flags & LW_CLOSE_FDS:
        return 0
    if order.n_keep:
        highest = max(2, order.keep[order.n_keep - 1])
        if highest >= LOW:
            return 0
    for index in range(3):
        stream: cython.int = order.streams[index]
        if stream > 2 and not _have_slots(node, stream >= NEAR) and stream >= LOW:
            return 0
    for index in range(3):
        stream = order.streams[index]
        if node.holds_slots and stream >= NEAR and stream > _slots.numbers[index]:
            if _fill(index, stream):
                order.streams[index] = _slots.numbers[index]
            elif stream >= LOW:
                return 0
        highest = max(highest, order.streams[index])
    return highest + 1


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _have_slots(node: cython.pointer(Node), needed: cython.bint) -> cython.bint:
    """See to it that numbers are reserved and, if they are needed, that nobody else uses them; False if they cannot."""
    _reserve()
    if not needed or node.holds_slots:
        return True
    pthread_mutex_lock(cython.address(_slots.lock))
    node.holds_slots = _slots.base >= 0 and not _slots.used
    if node.holds_slots:
        _slots.used = True
    pthread_mutex_unlock(cython.address(_slots.lock))
    return node.holds_slots


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _reserve() -> cython.void:
    facts: struct_stat
    index: cython.int
    pthread_mutex_lock(cython.address(_slots.lock))
    if _slots.base == UNTRIED:
        _slots.base = UNUSABLE
        base: cython.int = lw_slot_file()
        if base >= 0 and fstat(base, cython.address(facts)) == 0:
            _slots.device = facts.st_dev
            _slots.inode = facts.st_ino
            for index in range(3):
                _slots.numbers[index] = fcntl(base, F_DUPFD_CLOEXEC, 3)
            if 0 <= _slots.numbers[0] < LOW and 0 <= _slots.numbers[1] < LOW and 0 <= _slots.numbers[2] < LOW:
                _slots.base = base
            else:
                for index in range(3):
                    if _slots.numbers[index] >= 0:
                        close(_slots.numbers[index])
                close(base)
    pthread_mutex_unlock(cython.address(_slots.lock))


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def release_descriptors(node: cython.pointer(Node)) -> cython.void:
    """Give the numbers back for others to use."""
    if not node.holds_slots:
        return
    pthread_mutex_lock(cython.address(_slots.lock))
    _empty()
    pthread_mutex_unlock(cython.address(_slots.lock))


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _fill(index: cython.int, stream: cython.int) -> cython.bint:
    """Put a stream on a number of ours; False if the number is not ours any more, or the stream is not open."""
    facts: struct_stat
    if not _is_ours(_slots.numbers[index]):
        _slots.lost = True
        return False
    if fstat(stream, cython.address(facts)) < 0 or dup3(stream, _slots.numbers[index], O_CLOEXEC) < 0:
        return False
    _slots.filled_device[index] = facts.st_dev
    _slots.filled_inode[index] = facts.st_ino
    _slots.filled[index] = True
    return True


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _still_filled(index: cython.int) -> cython.bint:
    facts: struct_stat
    if not _slots.filled[index] or fstat(_slots.numbers[index], cython.address(facts)) < 0:
        return False
    return facts.st_dev == _slots.filled_device[index] and facts.st_ino == _slots.filled_inode[index]


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _empty() -> cython.void:
    """Put our own file back on the numbers that were used, or the ends of pipes would stay open here."""
    index: cython.int
    usable: cython.bint = not _slots.lost and _is_ours(_slots.base)
    for index in range(3):
        if not _slots.filled[index]:
            continue
        if not _still_filled(index):
            usable = False
        elif not (usable and dup3(_slots.base, _slots.numbers[index], O_CLOEXEC) >= 0):
            close(_slots.numbers[index])
            usable = False
        _slots.filled[index] = False
    _slots.used = False
    if not usable:
        _slots.base = UNUSABLE  # somebody has closed what was ours: go on without


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _is_ours(number: cython.int) -> cython.bint:
    facts: struct_stat
    if fstat(number, cython.address(facts)) < 0:
        return False
    return facts.st_dev == _slots.device and facts.st_ino == _slots.inode


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def reopen_slots() -> cython.void:
    """After a fork. The lock may be held by a thread that is not here, and pipes of the parent's be on the numbers."""
    pthread_mutex_init(cython.address(_slots.lock), cython.NULL)
    if _slots.used:
        _empty()
