/* The client of the echo rows of benchmarks/loops.py: it drives one server at a time, and holds connections to all.
 *
 * Takes a command a line, and answers with `ok` and JSON, or `error` and why:
 *   open ID KIND ADDRESS COUNT SIZE PID   connections (KIND: tcp, unix, udp, tls) that send messages of SIZE bytes to the
 *                                         server, process PID, at ADDRESS (host:port, or a path)
 *   go ID SECONDS                         each connection sends its next message when the last has come back whole; wall
 *                                         and processor time are given a message
 *   rate ID A_SECOND SECONDS              messages are due at times that do not wait for answers; from each one's due time
 *                                         to its whole answer is its latency, so a server that stalls is not let off
 *   close ID
 *
 * Every byte that comes back is compared: a message begins with a stamp (its number and its connection's), the rest is
 * a pattern. The server's processor time is read from its clock, before the first message is sent and after the last has
 * come back and the server is asleep again: of a process that runs the kernel says what it was at the last tick. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#ifdef TLS
#include <openssl/err.h>
#include <openssl/ssl.h>
#endif

enum { GROUPS = 32, BLOCK = 1 << 18, EVENTS = 1024, DUE = 1 << 12, STAMP = 8 };
static const double PATIENCE = 5.0, RESEND = 0.05;

struct connection {
    int number;
    int index;
    uint64_t want, sent, got; /* bytes: that are to be sent, were sent, came back */
    double last;              /* when the last datagram was sent */
    int waits;                /* for room to write */
    double *due;              /* ring of the times at which messages were due */
#ifdef TLS
    SSL *ssl;
#endif
};

struct group {
    int used, count, datagrams, tls, poller;
    size_t size;
    pid_t server;
    struct connection *all;
    unsigned char *out; /* a message, whose stamp is set before each write */
    uint64_t done, lost;
};

static struct group groups[GROUPS];
static unsigned char *in;
static char why[512];
static int closed_loop;
static double *latencies;
static size_t measured, room;
#ifdef TLS
static SSL_CTX *context;
#endif

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

static int fail(const char *format, ...) {
    va_list words;
    va_start(words, format);
    vsnprintf(why, sizeof why, format, words);
    va_end(words);
    return -1;
}

static void stamp(unsigned char *to, const struct connection *it, uint64_t message) {
    uint64_t value = message ^ ((uint64_t)it->index << 40); /* its first byte, which may be all, changes each time */
    memcpy(to, &value, STAMP);
}

/* -1 on an error, 0 if there is no room or nothing to read, else the number of bytes. */
static ssize_t put(struct group *group, struct connection *it, const unsigned char *from, size_t many) {
    ssize_t wrote;
#ifdef TLS
    if (group->tls) {
        ERR_clear_error();
        wrote = SSL_write(it->ssl, from, (int)many);
        if (wrote > 0)
            return wrote;
        int code = SSL_get_error(it->ssl, (int)wrote);
        return code == SSL_ERROR_WANT_WRITE || code == SSL_ERROR_WANT_READ ? 0 : fail("SSL_write: error %d", code);
    }
#else
    (void)group;
#endif
    wrote = send(it->number, from, many, MSG_NOSIGNAL);
    if (wrote >= 0)
        return wrote;
    return errno == EAGAIN ? 0 : fail("send: %s", strerror(errno));
}

static ssize_t take(struct group *group, struct connection *it) {
    ssize_t got;
#ifdef TLS
    if (group->tls) {
        ERR_clear_error();
        got = SSL_read(it->ssl, in, BLOCK);
        if (got > 0)
            return got;
        int code = SSL_get_error(it->ssl, (int)got);
        return code == SSL_ERROR_WANT_READ ? 0 : fail("SSL_read: error %d", code);
    }
#else
    (void)group;
#endif
    got = recv(it->number, in, BLOCK, 0);
    if (got > 0)
        return got;
    return got < 0 && errno == EAGAIN ? 0 : fail("recv: %s", got ? strerror(errno) : "the server hung up");
}

static int watch(struct group *group, struct connection *it, int waits) {
    struct epoll_event event = {.events = EPOLLIN | (waits ? EPOLLOUT : 0), .data.ptr = it};
    if (it->waits == waits)
        return 0;
    it->waits = waits;
    return epoll_ctl(group->poller, EPOLL_CTL_MOD, it->number, &event) ? fail("epoll_ctl: %s", strerror(errno)) : 0;
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

static void end(struct group *group) {
    for (int each = 0; each < group->count; each++) {
        struct connection *it = group->all + each;
#ifdef TLS
        if (it->ssl) {
            SSL_shutdown(it->ssl);
            SSL_free(it->ssl);
        }
#endif
        if (it->number > 0)
            close(it->number);
        free(it->due);
    }
    if (group->poller > 0)
        close(group->poller);
    free(group->all);
    free(group->out);
    memset(group, 0, sizeof *group);
}

static int reach(struct group *group, struct connection *it, const char *kind, char *address) {
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    struct sockaddr_in host = {.sin_family = AF_INET};
    int unix_socket = !strcmp(kind, "unix"), one = 1;
    char *colon = strrchr(address, ':');
    if (unix_socket) {
        if (strlen(address) >= sizeof path.sun_path)
            return fail("%s is too long for a socket's path", address);
        strcpy(path.sun_path, address);
    } else {
        char name[64];
        if (!colon || colon - address >= (long)sizeof name)
            return fail("%s is no address", address);
        snprintf(name, sizeof name, "%.*s", (int)(colon - address), address);
        host.sin_port = htons((uint16_t)atoi(colon + 1));
        inet_pton(AF_INET, name, &host.sin_addr);
    }
    it->number = socket(unix_socket ? AF_UNIX : AF_INET, group->datagrams ? SOCK_DGRAM : SOCK_STREAM, 0);
    if (it->number < 0 || connect(it->number, unix_socket ? (void *)&path : (void *)&host,
                                  unix_socket ? sizeof path : sizeof host))
        return fail("connect: %s", strerror(errno));
    if (!unix_socket && !group->datagrams)
        setsockopt(it->number, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
#ifdef TLS
    if (group->tls) {
        it->ssl = SSL_new(context);
        SSL_set_fd(it->ssl, it->number);
        if (SSL_connect(it->ssl) != 1)
            return fail("SSL_connect: %s", ERR_reason_error_string(ERR_get_error()));
    }
#endif
    fcntl(it->number, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = it};
    return epoll_ctl(group->poller, EPOLL_CTL_ADD, it->number, &event) ? fail("epoll_ctl: %s", strerror(errno)) : 0;
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
    while (at < began + seconds) {
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
    if (!done)
        return fail("no message came back in the window");
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
    in = malloc(BLOCK);
#ifdef TLS
    context = SSL_CTX_new(TLS_client_method()); /* whose certificate it is, is not asked */
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
#endif
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
