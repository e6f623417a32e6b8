/* Connections of load.c: what they are, how they are made and ended, and reading and writing without waiting. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>
#ifdef TLS
#include <openssl/err.h>
#include <openssl/ssl.h>
#endif

enum { BLOCK = 1 << 18 };

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

static unsigned char *in; /* what was read last */
static char why[512];     /* what went wrong last */
#ifdef TLS
static SSL_CTX *context;
#endif

static int fail(const char *format, ...) {
    va_list words;
    va_start(words, format);
    vsnprintf(why, sizeof why, format, words);
    va_end(words);
    return -1;
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
    struct timeval patience = {.tv_sec = 5};
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
    /* While it waits, for a server that may not answer. */
    setsockopt(it->number, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(it->number, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
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
            return fail("SSL_connect: the handshake failed, or took more than %d s", (int)patience.tv_sec);
    }
#endif
    fcntl(it->number, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = it};
    return epoll_ctl(group->poller, EPOLL_CTL_ADD, it->number, &event) ? fail("epoll_ctl: %s", strerror(errno)) : 0;
}

static void set_up(void) {
    in = malloc(BLOCK);
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without saying that it wants none */
#ifdef TLS
    context = SSL_CTX_new(TLS_client_method()); /* whose certificate it is, is not asked */
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
#endif
}
