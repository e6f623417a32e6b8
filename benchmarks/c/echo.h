/* What both echo servers of benchmarks/loops.py share: the commands they take, as _loops/worker.py does, and sockets.
 *   hello               whether it can run
 *   serve KIND FOLDER   {"address": .., "pid": ..}; from then on it serves until its input ends */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char kind[16], folder[512];

static void give_up(const char *what) {
    printf("error %s: %s\n", what, strerror(errno));
    exit(1);
}

/* A socket that listens (or is bound, of datagrams); its address is written to `address`. */
static int listening(char *address, size_t room) {
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    struct sockaddr_in host = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof host;
    int unix_socket = !strcmp(kind, "unix"), datagrams = !strcmp(kind, "udp"), most = 1 << 22;
    int number = socket(unix_socket ? AF_UNIX : AF_INET, datagrams ? SOCK_DGRAM : SOCK_STREAM, 0);
    if (datagrams)
        setsockopt(number, SOL_SOCKET, SO_RCVBUF, &most, sizeof most);
    if (unix_socket) {
        if (snprintf(path.sun_path, sizeof path.sun_path, "%s/socket", folder) >= (int)sizeof path.sun_path)
            errno = ENAMETOOLONG, give_up(folder);
        snprintf(address, room, "%s", path.sun_path);
    }
    if (number < 0 || bind(number, unix_socket ? (void *)&path : (void *)&host, unix_socket ? sizeof path : length))
        give_up("bind");
    if (!datagrams && listen(number, 1024))
        give_up("listen");
    if (!unix_socket) {
        getsockname(number, (void *)&host, &length);
        snprintf(address, room, "127.0.0.1:%d", ntohs(host.sin_port));
    }
    return number;
}

static void no_delay(int number) {
    int one = 1;
    setsockopt(number, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* of no meaning, and refused, for Unix sockets */
}

/* Until there is something to serve. `absent`: why it cannot run here, if it cannot. */
static void commands(const char *absent) {
    char line[1024];
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without saying that it wants none */
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (fgets(line, sizeof line, stdin)) {
        if (*absent)
            printf("error absent: %s\n", absent);
        else if (sscanf(line, "serve %15s %511s", kind, folder) == 2)
            return;
        else if (!strncmp(line, "hello", 5))
            printf("ok {}\n");
        else
            printf("error no such command\n");
    }
    exit(0);
}
