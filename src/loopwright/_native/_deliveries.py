"""How what workers have started comes back to the loops that asked for it.

Theory of operation. A loop has a `Port`: a list of what is done, and an eventfd that makes it look there. One lock, the
shop's, guards all ports and lists; nothing here needs the GIL or touches a Python object.

- **A loop is not woken for each start** of many. Where both share a processor, each wake-up is a switch, and all that
  the loop does then it does with cold caches; what is told of together costs it half as much. So a worker that has
  others queued keeps back what it has started (`keep_back()`), and goes on to the next, until it has as many as still
  wait, or the first of them was begun PATIENCE ago. Of what is kept back when one hangs, the relief thread tells.
- **What has ended meanwhile is done with.** Most programs that are started by the hundred are short: by the time their
  loop is told that they run they have ended. So one that is likely to be kept back is made without a process
  descriptor, a file with an inode of its own that costs a tenth of a start, and is asked once when its loop collects it
  (`lw_settle()`): if it has ended its status comes with it, and nobody has to watch it; else it gets its descriptor
  then. Only where nobody else needs one is it treated so (LW_SETTLE_LATE): no group of its own to be signalled after
  it, no watcher to hear of it, no keeper. Why its number cannot be another's by then: numbers are given out in turn,
  and what no loop comes for the relief thread settles, at its second look at the latest.
- **A start that nobody wants any more** (its task was cancelled, its loop closed) is not started if it was still
  queued; if it is under way, it is marked, for the child not to go on (`_child.h` says why it must not), and a worker
  kills and reaps what comes of it (`end_doomed()`). Workers cannot give back the reference that a node holds to its
  Python object, so they put such nodes on a list that the next call with the GIL empties.
"""

import cython

if not cython.compiled:
    raise ImportError("loopwright._native._deliveries is compiled code and does not run as plain Python")

from cython.cimports.libc.stdint import int64_t, uint64_t
from cython.cimports.loopwright._native._child import (
    LW_UNSETTLED,
    lw_clock,
    lw_end,
    lw_mark,
    lw_settle,
    pthread_mutex_lock,
    pthread_mutex_unlock,
)
from cython.cimports.loopwright._native._slots import DONE, RUNNING, SETTLING, UNWANTED, Node, Port
from cython.cimports.posix.unistd import read, write

#: Nanoseconds from the beginning of a start after which it is told of, whatever else waits.
PATIENCE = cython.declare(int64_t, 2_000_000)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def keep_back(shop: cython.pointer(Shop), node: cython.pointer(Node), begun: int64_t) -> cython.bint:
    """Take a node that was begun at that time and is done; whether to wait for more before `deliver()`. Locked."""
    if shop.started == cython.NULL:
        shop.n_started = 0
        shop.started_since = begun
    node.next = shop.started
    shop.started = node
    shop.n_started += 1
    return shop.n_started < shop.queued and lw_clock() - shop.started_since < PATIENCE


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def deliver(shop: cython.pointer(Shop)) -> cython.void:
    """Tell the loops of all that was kept back. Locked."""
    following: cython.pointer(Node)
    latest: cython.pointer(Node) = shop.started
    shop.started = cython.NULL
    node: cython.pointer(Node) = cython.NULL
    while latest != cython.NULL:  # turned round: what was started first is told of first
        following = latest.next
        latest.next = node
        node = latest
        latest = following
    while node != cython.NULL:
        following = node.next
        node.next = cython.NULL
        _hand_over(shop, node)
        node = following


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def end_doomed(shop: cython.pointer(Shop)) -> cython.void:
    """End what nobody wants, which may take its time. Locked, but not while that lasts."""
    while shop.doomed != cython.NULL:
        node: cython.pointer(Node) = shop.doomed
        shop.doomed = node.next
        pthread_mutex_unlock(cython.address(shop.lock))
        lw_end(cython.address(node.outcome))
        pthread_mutex_lock(cython.address(shop.lock))
        shop.pending -= 1
        node.state = DONE
        node.next = shop.unwanted
        shop.unwanted = node


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def settle_uncollected(shop: cython.pointer(Shop)) -> cython.void:
    """Settle what loops were told of and did not come for. Locked, all the time: no loop is that late as a rule."""
    port: cython.pointer(Port) = shop.told
    while port != cython.NULL:
        node: cython.pointer(Node) = port.first
        while node != cython.NULL:
            if node.state == DONE:
                lw_settle(cython.address(node.outcome))
            node = node.next
        port = port.next
    shop.unsettled = False


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _hand_over(shop: cython.pointer(Shop), node: cython.pointer(Node)) -> cython.void:
    """Give a node that is done to its port, or away. Locked."""
    one: uint64_t = 1
    port: cython.pointer(Port) = node.port
    if node.state != RUNNING or port.closed:
        node.next = shop.doomed
        shop.doomed = node
        return
    shop.pending -= 1
    node.state = DONE
    if port.first == cython.NULL:
        port.first = node
    else:
        port.last.next = node
    port.last = node
    if node.order.flags & LW_UNSETTLED:
        shop.unsettled = True
    if not port.told:
        port.told = True
        port.next = shop.told
        shop.told = port
        write(port.wakeup, cython.address(one), 8)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def collect(shop: cython.pointer(Shop), port: cython.pointer(Port)) -> cython.pointer(Node):
    """All that is done for a port, as a list."""
    count: uint64_t
    pthread_mutex_lock(cython.address(shop.lock))
    if port.told:
        _forget(shop, port)
        read(port.wakeup, cython.address(count), 8)
    first: cython.pointer(Node) = port.first
    port.first = port.last = cython.NULL
    _change(first, DONE, SETTLING)  # nobody else gives it up meanwhile, in another thread
    pthread_mutex_unlock(cython.address(shop.lock))
    node: cython.pointer(Node) = first
    while node != cython.NULL:
        lw_settle(cython.address(node.outcome))
        node = node.next
    pthread_mutex_lock(cython.address(shop.lock))
    _change(first, SETTLING, DONE)
    pthread_mutex_unlock(cython.address(shop.lock))
    return first


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _change(node: cython.pointer(Node), before: cython.int, after: cython.int) -> cython.void:
    """Put those of a list that are in one state into another. Locked."""
    while node != cython.NULL:
        if node.state == before:
            node.state = after
        node = node.next


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def collect_unwanted(shop: cython.pointer(Shop)) -> cython.pointer(Node):
    """All that nobody wanted, ended and reaped, as a list."""
    pthread_mutex_lock(cython.address(shop.lock))
    node: cython.pointer(Node) = shop.unwanted
    shop.unwanted = cython.NULL
    pthread_mutex_unlock(cython.address(shop.lock))
    return node


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def close_port(shop: cython.pointer(Shop), port: cython.pointer(Port)) -> cython.void:
    """What is not done yet will not be wanted."""
    pthread_mutex_lock(cython.address(shop.lock))
    port.closed = True
    if port.told:
        _forget(shop, port)  # not to be read: in a forked child, that would be the parent's wake-up
    pthread_mutex_unlock(cython.address(shop.lock))


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _forget(shop: cython.pointer(Shop), port: cython.pointer(Port)) -> cython.void:
    """It is not one of those any more that were told and have not come. Locked."""
    place: cython.pointer(cython.pointer(Port)) = cython.address(shop.told)
    while place[0] != cython.NULL and place[0] != port:
        place = cython.address(place[0].next)
    if place[0] != cython.NULL:  # else it is the parent's, and this a forked child with a shop of its own
        place[0] = port.next
    port.told = False


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def disown(shop: cython.pointer(Shop), node: cython.pointer(Node)) -> cython.bint:
    """It is not wanted any more. True if it is done: then its child is the caller's to end, if it has one.

    If not, whoever is at it does so: its worker, or its `Start`, which is dropped by who collects it now.
    """
    pthread_mutex_lock(cython.address(shop.lock))
    done: cython.bint = node.state == DONE
    node.state = UNWANTED  # and so nobody else settles it while the caller ends it
    if not done and node.area != cython.NULL:
        lw_mark(node.area, True)
    pthread_mutex_unlock(cython.address(shop.lock))
    return done
