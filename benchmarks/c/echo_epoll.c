/* An echo server by epoll: what a server costs in which there is no Python and no loop but the kernel's interface.
 * One of two ceilings of benchmarks/loops.py; echo.h says how it is talked to. */
#define _GNU_SOURCE
#include "echo.h"
#include <fcntl.h>
#include <sys/epoll.h>
#ifdef TLS
#include <openssl/err.h>
#include <openssl/ssl.h>
#endif

enum { BLOCK = 1 << 18, EVENTS = 1024 };

struct connection {
    int number, waits;
    size_t held, from; /* bytes that could not be written yet, and where they begin */
    unsigned char *rest;
#ifdef TLS
    SSL *ssl;
#endif
};

static int poller;
static unsigned char block[BLOCK];
#ifdef TLS
static SSL_CTX *context;
#endif

static void drop(struct connection *it) {
#ifdef TLS
    if (it->ssl)
        SSL_free(it->ssl);
#endif
    close(it->number);
    free(it->rest);
    free(it);
}

/* Bytes; 0 at the end; -1 if it has to wait; -2 on an error. */
static ssize_t get(struct connection *it) {
    ssize_t got;
#ifdef TLS
    if (it->ssl) {
        ERR_clear_error();
        got = SSL_read(it->ssl, block, BLOCK);
        if (got > 0)
            return got;
        int code = SSL_get_error(it->ssl, (int)got);
        return code == SSL_ERROR_WANT_READ || code == SSL_ERROR_WANT_WRITE ? -1 : code == SSL_ERROR_ZERO_RETURN ? 0 : -2;
    }
#endif
    got = recv(it->number, block, BLOCK, 0);
    return got >= 0 ? got : errno == EAGAIN ? -1 : -2;
}

static ssize_t put(struct connection *it, const unsigned char *from, size_t many) {
    ssize_t wrote;
#ifdef TLS
    if (it->ssl) {
        ERR_clear_error();
        wrote = SSL_write(it->ssl, from, (int)many);
        if (wrote > 0)
            return wrote;
        int code = SSL_get_error(it->ssl, (int)wrote);
        return code == SSL_ERROR_WANT_READ || code == SSL_ERROR_WANT_WRITE ? -1 : -2;
    }
#endif
    wrote = send(it->number, from, many, MSG_NOSIGNAL);
    return wrote >= 0 ? wrote : errno == EAGAIN ? -1 : -2;
}

static void wait_for(struct connection *it, int waits) {
    struct epoll_event event = {.events = waits ? EPOLLOUT : EPOLLIN, .data.ptr = it};
    if (it->waits != waits)
        epoll_ctl(poller, EPOLL_CTL_MOD, it->number, &event);
    it->waits = waits;
}

/* What is held, then what comes; while something is held nothing is read. -1: it is over. */
static int serve(struct connection *it) {
    for (;;) {
        while (it->held) {
            ssize_t wrote = put(it, it->rest + it->from, it->held);
            if (wrote == -1) {
                wait_for(it, 1);
                return 0;
            }
            if (wrote < 0)
                return -1;
            it->held -= (size_t)wrote;
            it->from += (size_t)wrote;
        }
        wait_for(it, 0);
        ssize_t got = get(it), done = 0;
        if (got == -1)
            return 0;
        if (got <= 0)
            return -1;
        while (done < got) {
            ssize_t wrote = put(it, block + done, (size_t)(got - done));
            if (wrote == -2)
                return -1;
            if (wrote == -1)
                break;
            done += wrote;
        }
        if (done < got) {
            if (!it->rest)
                it->rest = malloc(BLOCK);
            it->from = 0;
            it->held = (size_t)(got - done);
            memcpy(it->rest, block + done, it->held);
            continue;
        }
#ifdef TLS
        if (it->ssl)
            continue; /* OpenSSL may have read more than it gave */
#endif
        return 0; /* if there is more, it is told again */
    }
}

static void greet(int listener) {
    int number;
    while ((number = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct connection *it = calloc(1, sizeof *it);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = it};
        it->number = number;
        no_delay(number);
#ifdef TLS
        if (context) {
            it->ssl = SSL_new(context);
            SSL_set_fd(it->ssl, number);
            SSL_set_accept_state(it->ssl);
        }
#endif
        epoll_ctl(poller, EPOLL_CTL_ADD, number, &event);
    }
}

static void datagrams(int bound) {
    struct sockaddr_storage from;
    for (;;) {
        socklen_t length = sizeof from;
        ssize_t got = recvfrom(bound, block, BLOCK, 0, (void *)&from, &length);
        if (got < 0)
            return;
        sendto(bound, block, (size_t)got, 0, (void *)&from, length);
    }
}

int main(void) {
    static struct epoll_event ready[EVENTS];
    char address[600];
    commands("");
#ifdef TLS
    if (!strcmp(kind, "tls")) {
        char cert[600], key[600];
        snprintf(cert, sizeof cert, "%s/cert.pem", folder);
        snprintf(key, sizeof key, "%s/key.pem", folder);
        context = SSL_CTX_new(TLS_server_method());
        SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        SSL_CTX_set_read_ahead(context, 1);
        SSL_CTX_set_default_read_buffer_len(context, BLOCK);
        if (SSL_CTX_use_certificate_chain_file(context, cert) != 1 ||
            SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
            give_up(cert);
    }
#else
    if (!strcmp(kind, "tls")) {
        printf("error absent: compiled without OpenSSL\n");
        return 1;
    }
#endif
    int listener = listening(address, sizeof address);
    int udp = !strcmp(kind, "udp");
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &listener}, input = {.events = EPOLLIN, .data.ptr = NULL};
    fcntl(listener, F_SETFL, O_NONBLOCK);
    poller = epoll_create1(EPOLL_CLOEXEC);
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    epoll_ctl(poller, EPOLL_CTL_ADD, STDIN_FILENO, &input);
    printf("ok {\"address\": \"%s\", \"pid\": %d}\n", address, getpid());
    for (;;) {
        int many = epoll_wait(poller, ready, EVENTS, -1);
        for (int each = 0; each < many; each++) {
            void *what = ready[each].data.ptr;
            if (!what)
                return 0; /* whoever asked has gone */
            if (what != &listener) {
                if (serve(what))
                    drop(what);
            } else if (udp) {
                datagrams(listener);
            } else {
                greet(listener);
            }
        }
    }
}
