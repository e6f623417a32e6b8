/* The client of the echo rows of benchmarks/loops.py: it drives one server at a time, and holds connections to all.
 *
 * Takes a command a line, and answers with `ok` and JSON, or `error` and why:
 *   open ID KIND ADDRESS COUNT SIZE PID   connections (KIND: tcp, unix, udp, tls) that send messages of SIZE bytes to the
 *                                         server, process PID, at ADDRESS (host:port, or a path)
 *   go ID SECONDS                         each connection sends its next message when the last has come back whole; wall
 *                                         and processor time are given a message
 *   rate ID A_SECOND SECONDS              messages are due at times that do not wait for answers; from each one's due time
 *                                         to its whole answer is its latency, so a server that stalls is not let off;
 *                                         not over udp
 *   close ID
 *
 * Every byte that comes back is compared: a message begins with a stamp (its number and its connection's), the rest is
 * a pattern. The server's processor time is read from its clock, before the first message is sent and after the last has
 * come back and the server is asleep again: of a process that runs the kernel says what it was at the last tick. */
#define _GNU_SOURCE
#include "wire.h"
#include <time.h>

enum { GROUPS = 32, EVENTS = 1024, DUE = 1 << 12, STAMP = 8 };
static const double PATIENCE = 5.0, RESEND = 0.05;

static struct group groups[GROUPS];
static int closed_loop;
static double *latencies;
static size_t measured, room;

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec * 1e-9;
}

/* Of a server that has nothing to do. */
static double processor(pid_t server) {
    clockid_t clock;
    struct timespec at, moment = {.tv_nsec = 1000000};
    nanosleep(&moment, NULL);
    if (clock_getcpuclockid(server, &clock) || clock_gettime(clock, &at))
        return -1.0;
    return (double)at.tv_sec + (double)at.tv_nsec * 1e-9;
}

static void stamp(unsigned char *to, const struct connection *it, uint64_t message) {
    uint64_t value = message ^ ((uint64_t)it->index << 40); /* its first byte, which may be all, changes each time */
    memcpy(to, &value, STAMP);
}

static int push(struct group *group, struct connection *it) {
    while (it->sent < it->want) {
        size_t offset = it->sent % group->size;
        stamp(group->out, it, it->sent / group->size);
        ssize_t wrote = put(group, it, group->out + offset, group->size - offset);
        if (wrote < 0)
            return -1;
        if (!wrote)
            return watch(group, it, 1);
        it->sent += (uint64_t)wrote;
        it->last = group->datagrams ? now() : 0.0;
    }
    return watch(group, it, 0);
}

/* Compare what came with what was sent; count the messages that are whole. */
static int compare(struct group *group, struct connection *it, size_t many) {
    for (size_t seen = 0; seen < many;) {
        uint64_t message = it->got / group->size;
        size_t offset = it->got % group->size, part = group->size - offset;
        if (part > many - seen)
            part = many - seen;
        if (it->got + part > it->sent)
            return fail("more came back than was sent");
        if (offset < STAMP)
            stamp(group->out, it, message);
        if (memcmp(in + seen, group->out + offset, part))
            return fail("message %llu came back changed", (unsigned long long)message);
        it->got += part;
        seen += part;
        if (it->got % group->size)
            continue;
        group->done++;
        if (it->due) {
            if (measured < room)
                latencies[measured++] = now() - it->due[message % DUE];
        } else if (closed_loop) {
            it->want += group->size;
        }
    }
    return 0;
}

static int datagram(struct group *group, struct connection *it, size_t many) {
    uint64_t expected;
    stamp((unsigned char *)&expected, it, it->got / group->size);
    if (many == group->size && memcmp(in, &expected, STAMP) && it->got) {
        uint64_t before; /* of one that was thought lost, and sent again: the answer is there already */
        stamp((unsigned char *)&before, it, it->got / group->size - 1);
        if (!memcmp(in, &before, STAMP))
            return 0;
    }
    if (many != group->size)
        return fail("a datagram of %zu bytes came back as one of %zu", group->size, many);
    return compare(group, it, many);
}

static int serve(struct group *group, struct connection *it, uint32_t events) {
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        for (;;) {
            ssize_t got = take(group, it);
            if (got < 0 || (got && (group->datagrams ? datagram : compare)(group, it, (size_t)got)))
                return -1;
            if (!group->tls || !got) /* more would be told again, but for what OpenSSL has read already */
                break;
        }
    }
    return it->sent < it->want ? push(group, it) : 0;
}

/* Look once at what is ready; -1 on an error. */
static int turn(struct group *group, int milliseconds) {
    static struct epoll_event ready[EVENTS];
    int many = epoll_wait(group->poller, ready, EVENTS, milliseconds);
    for (int each = 0; each < many; each++)
        if (serve(group, ready[each].data.ptr, ready[each].events))
            return -1;
    return many;
}

static int resend(struct group *group) {
    double before = now() - RESEND;
    for (int each = 0; each < group->count; each++) {
        struct connection *it = group->all + each;
        if (it->got < it->sent && it->last < before) {
            it->sent = it->got;
            group->lost++;
            if (push(group, it))
                return -1;
        }
    }
    return 0;
}

/* Until everything that was sent has come back. */
static int drain(struct group *group) {
    double end = now() + PATIENCE;
    for (int each = 0; each < group->count; each++)
        while (group->all[each].got < group->all[each].want) {
            if (turn(group, 20) < 0 || (group->datagrams && resend(group)))
                return -1;
            if (now() > end)
                return fail("not all came back in %g s", PATIENCE);
        }
    return 0;
}

static int do_open(struct group *group, const char *kind, char *address, int count, size_t size, pid_t server) {
    end(group);
    *group = (struct group){.used = 1, .count = count, .size = size, .server = server};
    group->datagrams = !strcmp(kind, "udp");
    group->tls = !strcmp(kind, "tls");
    group->poller = epoll_create1(0);
    group->all = calloc((size_t)count, sizeof *group->all);
    group->out = malloc(size + STAMP); /* of messages shorter than a stamp only its beginning is sent */
    for (size_t at = 0; at < size + STAMP; at++)
        group->out[at] = (unsigned char)(at * 31 + at / 251);
#ifndef TLS
    if (group->tls)
        return fail("absent: the client was compiled without OpenSSL");
#endif
    if (processor(server) < 0)
        return fail("process %d has no clock", server);
    for (int each = 0; each < count; each++) {
        group->all[each].index = each;
        if (reach(group, group->all + each, kind, address))
            return -1;
    }
    /* Once to and fro with each: it is accepted, its transport made. */
    for (int each = 0; each < count; each++) {
        group->all[each].want = size;
        if (push(group, group->all + each))
            return -1;
    }
    if (drain(group))
        return -1;
    printf("ok {}\n");
    return 0;
}

static int do_go(struct group *group, double seconds) {
    double cpu = processor(group->server), began = now(), at = began, heard = began;
    uint64_t first = group->done, lost = group->lost, before = first, done;
    closed_loop = 1;
    for (int each = 0; each < group->count; each++) {
        group->all[each].want += group->size;
        if (push(group, group->all + each))
            return -1;
    }
    while (at < began + seconds || group->done == first) {
        int many = turn(group, 20);
        if (many < 0 || (group->datagrams && !many && resend(group)))
            return -1;
        at = now();
        if (group->done != before) {
            before = group->done;
            heard = at;
        } else if (at > heard + PATIENCE) {
            return fail("nothing came back for %g s", PATIENCE);
        }
    }
    done = group->done - first;
    closed_loop = 0;
    if (drain(group))
        return -1;
    cpu = (processor(group->server) - cpu) / (double)(group->done - first);
    printf("ok {\"messages\": %llu, \"wall\": %.9f, \"cpu\": %.9f, \"lost\": %llu}\n", (unsigned long long)done,
           (at - began) / (double)done, cpu, (unsigned long long)(group->lost - lost));
    return 0;
}

static int rising(const void *one, const void *other) {
    double a = *(const double *)one, b = *(const double *)other;
    return (a > b) - (a < b);
}

static double quantile(double share) {
    size_t place = (size_t)(share * (double)(measured - 1) + 0.5);
    return latencies[place];
}

static int do_rate(struct group *group, double a_second, double seconds) {
    double cpu = processor(group->server), began = now(), due = began, last = began + seconds;
    uint64_t next = 0, chance = 88172645463325252ull;
    if (group->datagrams)
        return fail("messages that follow one another without waiting have an order, which datagrams do not keep");
    closed_loop = 0;
    measured = 0;
    room = (size_t)(a_second * seconds * 2) + 16;
    latencies = realloc(latencies, room * sizeof *latencies);
    for (int each = 0; each < group->count; each++)
        if (!(group->all[each].due = calloc(DUE, sizeof(double))))
            return fail("no memory");
    for (;;) {
        double at = now();
        while (due <= at && due < last) {
            struct connection *it = group->all + next++ % (uint64_t)group->count;
            if (it->want - it->got >= (DUE - 1) * group->size)
                return fail("%d messages are on their way on one connection", DUE - 1);
            it->due[it->want / group->size % DUE] = due;
            it->want += group->size;
            if (push(group, it))
                return -1;
            /* Apart by chance (xorshift), so as not to fall into step with the server. */
            chance ^= chance << 13, chance ^= chance >> 7, chance ^= chance << 17;
            due += (0.5 + (double)(chance >> 11) * 0x1p-53) / a_second;
        }
        if (due >= last)
            break;
        if (turn(group, 0) < 0)
            return -1;
    }
    if (drain(group))
        return -1;
    cpu = (processor(group->server) - cpu) / (double)next;
    for (int each = 0; each < group->count; each++) {
        free(group->all[each].due);
        group->all[each].due = NULL;
    }
    if (!measured)
        return fail("no message was due");
    qsort(latencies, measured, sizeof *latencies, rising);
    printf("ok {\"messages\": %zu, \"cpu\": %.9f, \"p50\": %.9f, \"p99\": %.9f, \"p999\": %.9f, \"most\": %.9f}\n",
           measured, cpu, quantile(0.5), quantile(0.99), quantile(0.999), latencies[measured - 1]);
    return 0;
}

int main(void) {
    char line[1024], kind[16], address[512];
    int id, count, server;
    double one, two;
    size_t size;
    set_up();
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (fgets(line, sizeof line, stdin)) {
        int bad = 1;
        snprintf(why, sizeof why, "no such command, or words are missing: %.100s", strtok(strdupa(line), "\n"));
        if (sscanf(line, "open %d %15s %511s %d %zu %d", &id, kind, address, &count, &size, &server) == 6 &&
            id >= 0 && id < GROUPS && count > 0 && size > 0)
            bad = do_open(groups + id, kind, address, count, size, server);
        else if (sscanf(line, "go %d %lf", &id, &one) == 2 && id >= 0 && id < GROUPS && groups[id].used)
            bad = do_go(groups + id, one);
        else if (sscanf(line, "rate %d %lf %lf", &id, &one, &two) == 3 && id >= 0 && id < GROUPS && groups[id].used)
            bad = do_rate(groups + id, one, two);
        else if (sscanf(line, "close %d", &id) == 1 && id >= 0 && id < GROUPS) {
            end(groups + id);
            printf("ok {}\n");
            bad = 0;
        }
        if (bad)
            printf("error %s\n", why);
    }
    return 0;
}
