"""The threads that start programs, and the queue in front of them.

Theory of operation. *Workers* are plain threads that Python never hears of: neither the GIL nor a loop waits for
execve(2). They take `Node`s from one queue, and hand what they have started to the loops that asked (`_deliveries`).
Nothing here needs the GIL or touches a Python object; one lock guards it all.

- **Workers never end.** A parent-death signal is sent when the *thread* that made the child ends (prctl(2)), so a child
  that asks for one is only ever started on a worker.
- **One worker is enough** (a start is mostly the kernel's time, and two would wait for each other's memory map) until
  one hangs: in an execve() from a network that does not answer. The *relief* thread looks every 50 ms while starts are
  queued, kept back or unsettled, and adds a worker if the first in the queue was not taken. It is called by whoever
  queues a start and sees no worker idle, *and* by a worker that leaves starts behind it: one that was signalled counts
  as idle until it runs, so what was queued in between would otherwise wait for a start that hangs.
- **After a fork** there are no workers, and what was queued is the parent's business: all of it is forgotten.
"""

import cython

if not cython.compiled:
    raise ImportError("loopwright._native._workers is compiled code and does not run as plain Python")

from cython.cimports.libc.errno import EAGAIN
from cython.cimports.libc.stdint import int64_t
from cython.cimports.libc.stdlib import calloc
from cython.cimports.loopwright._native._child import (
    LW_SETTLE_LATE,
    LW_UNSETTLED,
    PTHREAD_CREATE_DETACHED,
    SIG_BLOCK,
    SIG_SETMASK,
    lw_area,
    lw_clock,
    lw_drop_area,
    lw_mark,
    lw_new_area,
    lw_start,
    pthread_attr_destroy,
    pthread_attr_init,
    pthread_attr_setdetachstate,
    pthread_attr_setstacksize,
    pthread_attr_t,
    pthread_cond_init,
    pthread_cond_signal,
    pthread_cond_wait,
    pthread_create,
    pthread_mutex_init,
    pthread_mutex_lock,
    pthread_mutex_unlock,
    pthread_sigmask,
    pthread_t,
    sigfillset,
    sigset_t,
    usleep,
)
from cython.cimports.loopwright._native._deliveries import Shop, deliver, end_doomed, keep_back, settle_uncollected
from cython.cimports.loopwright._native._slots import (
    QUEUED,
    RUNNING,
    Node,
    prepare_descriptors,
    release_descriptors,
    reopen_slots,
)

WORKERS = cython.declare(cython.int, 8)
STUCK = cython.declare(cython.uint, 50_000)  # microseconds

_shop = cython.declare(cython.pointer(Shop), cython.NULL)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def shop() -> cython.pointer(Shop):
    """What all of them share; NULL before `open_shop()`."""
    return _shop


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def open_shop() -> cython.bint:
    """Make the queue, unless it is there; False if there is no memory for it."""
    global _shop
    if _shop == cython.NULL:
        _shop = cython.cast(cython.pointer(Shop), calloc(1, cython.sizeof(Shop)))
        if _shop == cython.NULL:
            return False
        pthread_mutex_init(cython.address(_shop.lock), cython.NULL)
        pthread_cond_init(cython.address(_shop.work), cython.NULL)
        pthread_cond_init(cython.address(_shop.queueing), cython.NULL)
    return True


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def reopen_shop() -> cython.bint:
    """After a fork. The old one is lost, a few hundred bytes: its lock may be held by a thread that is not here."""
    global _shop
    _shop = cython.NULL
    reopen_slots()
    return open_shop()


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def pending() -> cython.int:
    """How many starts are queued or under way, about now."""
    return 0 if _shop == cython.NULL else _shop.pending


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def begin_here(node: cython.pointer(Node)) -> cython.void:
    """Start it in this thread. The area is kept for the next one; a second thread at the same time makes its own."""
    pthread_mutex_lock(cython.address(_shop.lock))
    area: cython.pointer(lw_area) = _shop.area
    _shop.area = cython.NULL
    pthread_mutex_unlock(cython.address(_shop.lock))
    if area == cython.NULL:
        area = lw_new_area()
    _begin(node, area)
    if area == cython.NULL:
        return
    pthread_mutex_lock(cython.address(_shop.lock))
    if _shop.area == cython.NULL:
        _shop.area = area
        area = cython.NULL
    pthread_mutex_unlock(cython.address(_shop.lock))
    if area != cython.NULL:
        lw_drop_area(area)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def queue(node: cython.pointer(Node)) -> cython.bint:
    """Have a worker start it; False, and nothing done, if no worker can be had."""
    pthread_mutex_lock(cython.address(_shop.lock))
    possible: cython.bint = _shop.workers > 0 or _new_thread(False)
    if possible:
        if _shop.last == cython.NULL:
            _shop.first = node
        else:
            _shop.last.next = node
        _shop.last = node
        _shop.pending += 1
        _shop.queued += 1
        if _shop.idle > 0:
            pthread_cond_signal(cython.address(_shop.work))
        else:
            _have_relief()
    pthread_mutex_unlock(cython.address(_shop.lock))
    return possible


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _have_relief() -> cython.void:
    """See to it that somebody looks after the queue; under the lock."""
    if not _shop.relieved:
        _shop.relieved = _new_thread(True)
    elif not _shop.watching:
        pthread_cond_signal(cython.address(_shop.queueing))


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _new_thread(relief: cython.bint) -> cython.bint:
    """A detached thread, worker or relief, that no signal of the program is ever delivered to."""
    attributes: pthread_attr_t
    thread: pthread_t
    every: sigset_t
    before: sigset_t
    # By the C library's call, which leaves its own two signals alone: its setuid() waits for every thread to have one.
    sigfillset(cython.address(every))
    pthread_sigmask(SIG_BLOCK, cython.address(every), cython.address(before))
    pthread_attr_init(cython.address(attributes))
    pthread_attr_setdetachstate(cython.address(attributes), PTHREAD_CREATE_DETACHED)
    pthread_attr_setstacksize(cython.address(attributes), 131072)
    failed: cython.int
    if relief:
        failed = pthread_create(cython.address(thread), cython.address(attributes), _relieve, cython.NULL)
    else:
        failed = pthread_create(cython.address(thread), cython.address(attributes), _work, cython.NULL)
    pthread_attr_destroy(cython.address(attributes))
    pthread_sigmask(SIG_SETMASK, cython.address(before), cython.NULL)
    if failed == 0 and not relief:
        _shop.workers += 1
    return failed == 0


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _work(given: cython.p_void) -> cython.p_void:
    area: cython.pointer(lw_area) = lw_new_area()
    pthread_mutex_lock(cython.address(_shop.lock))
    while True:
        end_doomed(_shop)
        if _shop.first == cython.NULL:
            _shop.idle += 1
            pthread_cond_wait(cython.address(_shop.work), cython.address(_shop.lock))
            _shop.idle -= 1
            continue
        node: cython.pointer(Node) = _next()
        begun: int64_t = lw_clock()
        if node.state == QUEUED and not node.port.closed:
            node.state = RUNNING
            node.area = area
            if _shop.queued > 0 and node.order.flags & LW_SETTLE_LATE:
                node.order.flags |= LW_UNSETTLED
            pthread_mutex_unlock(cython.address(_shop.lock))
            _begin(node, area)
            pthread_mutex_lock(cython.address(_shop.lock))
            if node.area != cython.NULL:
                lw_mark(area, False)  # it is the next one's
                node.area = cython.NULL
        if keep_back(_shop, node, begun):
            _have_relief()
            if _shop.relieved:
                continue
        deliver(_shop)
        if _shop.unsettled:
            _have_relief()


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _next() -> cython.pointer(Node):
    """The one that was queued first; under the lock."""
    node: cython.pointer(Node) = _shop.first
    _shop.first = node.next
    if _shop.first == cython.NULL:
        _shop.last = cython.NULL
    elif _shop.idle == 0:
        _have_relief()
    node.next = cython.NULL
    _shop.taken += 1
    _shop.queued -= 1
    return node


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _is_waiting() -> cython.bint:
    """Whether anything is queued, kept back, or to be settled; under the lock."""
    return _shop.first != cython.NULL or _shop.started != cython.NULL or _shop.unsettled or _shop.doomed != cython.NULL


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _relieve(given: cython.p_void) -> cython.p_void:
    seen: cython.ulong
    waited: cython.bint
    pthread_mutex_lock(cython.address(_shop.lock))
    while True:
        while not _is_waiting():
            pthread_cond_wait(cython.address(_shop.queueing), cython.address(_shop.lock))
        _shop.watching = True
        while _is_waiting():
            seen = _shop.taken
            waited = _shop.first != cython.NULL
            pthread_mutex_unlock(cython.address(_shop.lock))
            usleep(STUCK)
            pthread_mutex_lock(cython.address(_shop.lock))
            deliver(_shop)
            settle_uncollected(_shop)
            if _shop.doomed:
                pthread_cond_signal(cython.address(_shop.work))
            # By their number: a node may stand where the one before it stood.
            if _shop.taken == seen and (waited or _shop.doomed) and _shop.workers < WORKERS:
                _new_thread(False)
        _shop.watching = False


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _begin(node: cython.pointer(Node), area: cython.pointer(lw_area)) -> cython.void:
    if area == cython.NULL:
        node.outcome.error = EAGAIN
        return
    node.order.shared_cut = prepare_descriptors(node)
    lw_start(cython.address(node.order), area, cython.address(node.outcome))
    release_descriptors(node)
