/* The limit: what the same work costs with vfork(2), execve(2) and waitid(2) and nothing around them.
 *
 * Takes the commands of _spawn/worker.py on its input, a line each, and answers each with a line: `ok` and JSON, or
 * `error` and why. Its arguments are the three programs: one that exits, one that talks, one that sleeps.
 *
 *   spawn nothing|communicate COUNT FLIGHT    kill COUNT    children COUNT    descriptors COUNT    memory MIB
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

struct child {
    pid_t pid;
    int output; /* -1 if it has none of its own */
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double cpu(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
         + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

/* Says why, and gives up this command. */
static int fail(const char *what)
{
    printf("error %s: %s\n", what, strerror(errno));
    return 0;
}

static int start(const char *program, int piped, struct child *child)
{
    char *const arguments[] = {(char *)program, NULL};
    int ends[2] = {-1, -1};
    if (piped && pipe2(ends, O_CLOEXEC) < 0)
        return fail("pipe2");
    child->output = ends[0];
    child->pid = vfork();
    if (child->pid == 0) {
        if (piped)
            dup2(ends[1], 1);
        execve(program, arguments, environ);
        _exit(127);
    }
    if (piped)
        close(ends[1]);
    return child->pid > 0 || fail("vfork");
}

static int finish(struct child *child)
{
    siginfo_t found;
    if (child->output >= 0) {
        char text[64];
        size_t length = 0;
        ssize_t got;
        while ((got = read(child->output, text + length, sizeof text - length)) > 0)
            length += (size_t)got;
        close(child->output);
        if (length != 6 || memcmp(text, "hello\n", 6) != 0) {
            errno = EIO;
            return fail("the output is not what was written");
        }
    }
    if (waitid(P_PID, (id_t)child->pid, &found, WEXITED) < 0)
        return fail("waitid");
    if (found.si_code != CLD_EXITED || found.si_status != 7) {
        errno = ECHILD;
        return fail("the status is not 7");
    }
    return 1;
}

/* Keeps `flight` of them going; the one that was started first is waited for first. */
static int spawn(const char *program, int piped, int count, int flight)
{
    struct child *children = calloc((size_t)count, sizeof *children);
    int started = 0, ended = 0, fine = children != NULL;
    double cpu_before = cpu(), before = now();
    while (fine && ended < count) {
        while (fine && started < count && started - ended < flight) {
            fine = start(program, piped, &children[started]);
            started++;
        }
        if (fine) {
            fine = finish(&children[ended]);
            ended++;
        }
    }
    double wall = now() - before, used = cpu() - cpu_before;
    free(children);
    if (fine)
        printf("ok {\"wall\": %.9f, \"cpu\": %.9f}\n", wall, used);
    return fine;
}

static int kill_each(const char *program, int count)
{
    double *each = calloc((size_t)count, sizeof *each), used = 0.0;
    for (int i = 0; i < count; i++) {
        struct child child;
        siginfo_t found;
        if (!start(program, 0, &child))
            return 0;
        usleep(2000);
        double cpu_before = cpu(), before = now();
        kill(child.pid, SIGKILL);
        if (waitid(P_PID, (id_t)child.pid, &found, WEXITED) < 0)
            return fail("waitid");
        each[i] = now() - before;
        used += cpu() - cpu_before;
    }
    printf("ok {\"cpu\": %.9f, \"each\": [", used);
    for (int i = 0; i < count; i++)
        printf("%s%.9f", i ? ", " : "", each[i]);
    printf("]}\n");
    free(each);
    return 1;
}

static int done(void)
{
    printf("ok {}\n");
    return 1;
}

static int children_alive(const char *program, int count)
{
    for (int i = 0; i < count; i++) {
        struct child child;
        if (!start(program, 0, &child))
            return 0;
    }
    return done();
}

static int descriptors(int count)
{
    for (int i = 0; i < count; i++)
        if (open("/dev/null", O_RDONLY | O_CLOEXEC) < 0)
            return fail("open");
    return done();
}

static int memory(long mib)
{
    if (mib == 0)
        return done();
    size_t size = (size_t)mib << 20;
    char *block = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED)
        return fail("mmap");
    madvise(block, size, MADV_NOHUGEPAGE);
    for (size_t i = 0; i < size; i += 4096)
        block[i] = 1;
    return done();
}

static int unknown(const char *line)
{
    errno = EINVAL;
    return fail(line);
}

int main(int argc, char **argv)
{
    char line[256], word[32];
    int count, flight;
    if (argc != 4)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = 0;
        if (sscanf(line, "spawn %31s %d %d", word, &count, &flight) == 3) {
            int piped = strcmp(word, "communicate") == 0;
            spawn(piped ? argv[2] : argv[1], piped, count, flight);
        } else if (sscanf(line, "kill %d", &count) == 1)
            kill_each(argv[3], count);
        else if (sscanf(line, "children %d", &count) == 1)
            children_alive(argv[3], count);
        else if (sscanf(line, "descriptors %d", &count) == 1)
            descriptors(count);
        else if (sscanf(line, "memory %d", &count) == 1)
            memory(count);
        else
            unknown(line);
    }
    kill(0, SIGKILL); /* with all that was started: nobody asks any more */
    return 0;
}
