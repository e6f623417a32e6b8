/* An echo server by io_uring, with nothing but its system calls: the other ceiling of benchmarks/loops.py; echo.h says
 * how it is talked to. A connection is always in one operation, a receive or a send of what was received; all that a
 * turn brings up is handed over, and the next completions are awaited, with one system call. */
#define _GNU_SOURCE
#include "echo.h"
#include <linux/io_uring.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum { ENTRIES = 4096, BLOCK = 1 << 17, SLOTS = 64 };

struct connection {
    int number, sends;
    uint32_t size, done;
    struct msghdr message; /* of datagrams */
    struct iovec part;
    struct sockaddr_storage from;
    unsigned char block[BLOCK]; /* pages that are never used are never there */
};

static int ring;
static _Atomic uint32_t *submit_tail, *complete_head, *complete_tail;
static uint32_t *submit_array, submit_mask, complete_mask, waiting;
static struct io_uring_sqe *entries;
static struct io_uring_cqe *completions;
static char LISTENER, INPUT;

static int set_up(void) {
    struct io_uring_params how = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
                                  .cq_entries = 4 * ENTRIES};
    ring = (int)syscall(SYS_io_uring_setup, ENTRIES, &how);
    if (ring < 0 && errno == EINVAL) { /* before Linux 6.1 */
        how = (struct io_uring_params){.flags = IORING_SETUP_CQSIZE, .cq_entries = 4 * ENTRIES};
        ring = (int)syscall(SYS_io_uring_setup, ENTRIES, &how);
    }
    if (ring < 0)
        return -1;
    size_t one = how.sq_off.array + how.sq_entries * sizeof(uint32_t);
    size_t other = how.cq_off.cqes + how.cq_entries * sizeof(struct io_uring_cqe);
    char *base = mmap(NULL, one > other ? one : other, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring,
                      IORING_OFF_SQ_RING);
    entries = mmap(NULL, how.sq_entries * sizeof *entries, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring,
                   IORING_OFF_SQES);
    if (!(how.features & IORING_FEAT_SINGLE_MMAP) || base == MAP_FAILED || entries == MAP_FAILED)
        return -1;
    submit_tail = (void *)(base + how.sq_off.tail);
    submit_mask = *(uint32_t *)(base + how.sq_off.ring_mask);
    submit_array = (void *)(base + how.sq_off.array);
    complete_head = (void *)(base + how.cq_off.head);
    complete_tail = (void *)(base + how.cq_off.tail);
    complete_mask = *(uint32_t *)(base + how.cq_off.ring_mask);
    completions = (void *)(base + how.cq_off.cqes);
    return 0;
}

static void enter(unsigned least) {
    do {
        long taken = syscall(SYS_io_uring_enter, ring, waiting, least, IORING_ENTER_GETEVENTS, NULL, 0);
        if (taken >= 0)
            waiting -= (uint32_t)taken;
        else if (errno != EINTR && errno != EBUSY)
            give_up("io_uring_enter");
    } while (waiting);
}

static struct io_uring_sqe *ask(int operation, int number, void *about) {
    if (waiting == ENTRIES)
        enter(0);
    uint32_t tail = atomic_load_explicit(submit_tail, memory_order_relaxed);
    struct io_uring_sqe *entry = entries + (tail & submit_mask);
    memset(entry, 0, sizeof *entry);
    entry->opcode = (uint8_t)operation;
    entry->fd = number;
    entry->user_data = (uint64_t)(uintptr_t)about;
    submit_array[tail & submit_mask] = tail & submit_mask;
    atomic_store_explicit(submit_tail, tail + 1, memory_order_release);
    waiting++;
    return entry;
}

static void receive(struct connection *it) {
    struct io_uring_sqe *entry = ask(IORING_OP_RECV, it->number, it);
    entry->addr = (uint64_t)(uintptr_t)it->block;
    entry->len = BLOCK;
    entry->ioprio = IORING_RECVSEND_POLL_FIRST; /* the answer has just gone out: nothing can be there yet */
    it->sends = 0;
}

static void give(struct connection *it) {
    struct io_uring_sqe *entry = ask(IORING_OP_SEND, it->number, it);
    entry->addr = (uint64_t)(uintptr_t)(it->block + it->done);
    entry->len = it->size - it->done;
    entry->msg_flags = MSG_NOSIGNAL;
    it->sends = 1;
}

static void datagram(struct connection *it, int sends, size_t size) {
    it->sends = sends;
    it->part = (struct iovec){it->block, sends ? size : BLOCK};
    it->message.msg_name = &it->from;
    it->message.msg_iov = &it->part;
    it->message.msg_iovlen = 1;
    if (!sends)
        it->message.msg_namelen = sizeof it->from;
    struct io_uring_sqe *entry = ask(sends ? IORING_OP_SENDMSG : IORING_OP_RECVMSG, it->number, it);
    entry->addr = (uint64_t)(uintptr_t)&it->message;
    entry->len = 1;
}

static struct connection *connection(int number) {
    struct connection *it = mmap(NULL, sizeof *it, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (it == MAP_FAILED)
        give_up("mmap");
    it->number = number;
    return it;
}

static void complete(struct connection *it, int result, int udp) {
    if (udp) {
        datagram(it, !it->sends && result > 0, result > 0 ? (size_t)result : 0);
    } else if (result <= 0) {
        close(it->number);
        munmap(it, sizeof *it);
    } else if (!it->sends) {
        it->size = (uint32_t)result;
        it->done = 0;
        give(it);
    } else if ((it->done += (uint32_t)result) < it->size) {
        give(it);
    } else {
        receive(it);
    }
}

int main(void) {
    char address[600], absent[128] = "";
    if (set_up()) /* where the kernel, or who set it up, does not want it */
        snprintf(absent, sizeof absent, "io_uring_setup: %s", strerror(errno));
    commands(absent);
    if (!strcmp(kind, "tls")) {
        printf("error absent: TLS has one ceiling, that by epoll\n");
        return 1;
    }
    int listener = listening(address, sizeof address), udp = !strcmp(kind, "udp");
    ask(IORING_OP_POLL_ADD, STDIN_FILENO, &INPUT)->poll32_events = POLLIN | POLLHUP;
    for (int slot = 0; udp && slot < SLOTS; slot++)
        datagram(connection(listener), 0, 0);
    if (!udp)
        ask(IORING_OP_ACCEPT, listener, &LISTENER)->ioprio = IORING_ACCEPT_MULTISHOT;
    printf("ok {\"address\": \"%s\", \"pid\": %d}\n", address, getpid());
    for (;;) {
        enter(1);
        uint32_t head = atomic_load_explicit(complete_head, memory_order_relaxed);
        while (head != atomic_load_explicit(complete_tail, memory_order_acquire)) {
            struct io_uring_cqe seen = completions[head++ & complete_mask];
            atomic_store_explicit(complete_head, head, memory_order_release);
            void *about = (void *)(uintptr_t)seen.user_data;
            if (about == &INPUT)
                return 0; /* whoever asked has gone */
            if (about != &LISTENER) {
                complete(about, seen.res, udp);
                continue;
            }
            if (seen.res >= 0) {
                no_delay(seen.res);
                receive(connection(seen.res));
            }
            if (!(seen.flags & IORING_CQE_F_MORE))
                ask(IORING_OP_ACCEPT, listener, &LISTENER)->ioprio = IORING_ACCEPT_MULTISHOT;
        }
    }
}
