/* What runs between clone3(2) and execve(2), and the call that gets there.
 *
 * Theory of operation. The child is made with CLONE_VM | CLONE_VFORK: it runs on this program's memory, while the thread
 * that made it is held until it has become another program. So it may touch nothing that anybody else relies on:
 *
 * - It has a stack of its own. Everything it calls is in this file, is inlined or static, and makes raw system calls:
 *   no C library (whose errno, locks and caches belong to the held thread), no allocation, no Python.
 * - No stack protector and no sanitizer hook: both reach through the thread pointer for what is not the child's.
 * - All signals are blocked, by the raw call (the C library's own keeps two for itself, and its setuid() would have its
 *   handler run here); CLONE_CLEAR_SIGHAND resets every handler, so that none can run once the mask is lifted for exec.
 * - What became of it comes back through memory: no pipe, no read.
 *
 * Descriptors. A copy of the descriptor table is what makes a start slow in a program with many open. With CLONE_FILES
 * the table is shared, and close_range(cut, ~0, CLOSE_RANGE_UNSHARE) (Linux 5.9) then copies only what is below `cut`.
 * Whoever calls sees to it that all the child needs is there (`shared_cut`), or asks for a whole copy (0).
 *
 * Until that copy, a descriptor that the parent closes is closed for the child too, and its number may be another
 * file's by the time it is used: somebody else's, for a start whose caller was cancelled and has closed the pipes. So a
 * start is marked `unwanted` before that, and the child looks once all its descriptors are its own: no mark by then, no
 * number that has changed its meaning. With a mark it runs no program, which is also why a start that hung (in a frozen
 * cgroup) and was given up does nothing when it comes back.
 *
 * Exceptions that pay for a copy of the memory, CLONE_VFORK without CLONE_VM: user=, group=, extra_groups=. Credentials
 * changed by a child that shares memory clear the *parent's* dumpable flag (commit_creds() in kernel/cred.c). The area
 * with stack and outcome is MAP_SHARED, so the outcome comes back all the same.
 *
 * Needs Linux 5.5 (CLONE_CLEAR_SIGHAND), x86-64 or AArch64; elsewhere LW_CAN_CLONE is 0 and nothing here is used.
 */
#ifndef LOOPWRIGHT_CHILD_H
#define LOOPWRIGHT_CHILD_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "_call.h"
#include "_end.h"

/* Where a start failed: the order of LW_STAGES in _starts.py. */
enum lw_stage {
    LW_CLONE, LW_DESCRIPTORS, LW_STREAMS, LW_SESSION, LW_GROUP, LW_TERMINAL, LW_FOLDER, LW_NICE, LW_AFFINITY,
    LW_LIMITS, LW_GROUPS, LW_GID, LW_UID, LW_DEATH_SIGNAL, LW_EXEC
};

enum lw_flag {
    LW_NEW_SESSION = 1, LW_SET_GROUP = 2, LW_TAKE_TERMINAL = 4, LW_CLOSE_FDS = 8, LW_RESTORE_SIGNALS = 16,
    LW_SET_NICE = 32, LW_COPY_MEMORY = 64, LW_SET_GROUPS = 128, LW_NEW_PID_NAMESPACE = 256, LW_INTO_CGROUP = 512,
    LW_SETTLE_LATE = 1024, /* nobody needs a descriptor of it before its loop is told that it runs */
    LW_UNSETTLED = 2048   /* make no process descriptor yet: lw_settle() will, if it still runs by then */
};

enum { LW_INHERITED = -1, LW_NULL = -2 };

struct lw_limit { int which; uint64_t value[2]; }; /* soft, hard: a struct rlimit64 */

struct lw_order {
    char *const *programs; /* tried in turn, NULL at the end */
    char *const *argv;
    char *const *envp;
    const char *folder;
    const int *keep; /* descriptors that stay open under their numbers, ascending */
    const struct lw_limit *limits;
    const unsigned char *cpus;
    const uint32_t *groups;
    uint64_t mask; /* signals that are blocked in the new program */
    int streams[3];
    int n_keep, n_limits, cpu_bytes, n_groups;
    int flags, shared_cut, process_group, file_mask, niceness, death_signal, cgroup;
    int64_t uid, gid;
    int parent;
};

#if LW_CAN_CLONE

#define LW_BARE __attribute__((noinline, no_stack_protector, no_sanitize("address", "thread", "undefined")))

enum { LW_UNSHARE_RANGE = 2, LW_GET_SIGNAL_BYTES = 8, LW_PR_SET_PDEATHSIG = 1 };
#define LW_CLONE_VM 0x100ULL
#define LW_CLONE_FILES 0x400ULL
#define LW_CLONE_PIDFD 0x1000ULL
#define LW_CLONE_VFORK 0x4000ULL
#define LW_CLONE_NEWPID 0x20000000ULL
#define LW_CLONE_CLEAR_SIGHAND 0x100000000ULL
#define LW_CLONE_INTO_CGROUP 0x200000000ULL

/* The kernel's own struct sigaction, all zero: SIG_DFL, no flags, empty mask. */
struct lw_default_action { uint64_t words[4]; };

struct lw_area { /* shared by the held thread and its child, whichever memory the child has */
    const struct lw_order *order;
    volatile int error, stage;
    int unwanted;
};
enum { LW_AREA = 65536 };

LW_INLINE __attribute__((noreturn)) void lw_fail(struct lw_area *area, int stage, long error)
{
    area->error = (int)-error;
    area->stage = stage;
    for (;;) lw_call(SYS_exit_group, 127, 0, 0, 0, 0);
}

#define LW_TRY(stage, call) do { long lw_r = (call); if (lw_r < 0) lw_fail(area, (stage), lw_r); } while (0)

/* Descriptors 0 to 2. A source among them is moved up first, or putting one stream in place would overwrite it. */
LW_INLINE void lw_set_streams(struct lw_area *area, const struct lw_order *o)
{
    int from[3];
    for (int i = 0; i < 3; i++) {
        from[i] = o->streams[i];
        if (from[i] == LW_NULL) {
            long fd = lw_call(SYS_openat, AT_FDCWD, (long)"/dev/null", O_RDWR | O_CLOEXEC, 0, 0);
            if (fd < 0) lw_fail(area, LW_STREAMS, fd);
            from[i] = (int)fd;
        }
        if (from[i] >= 0 && from[i] < 3 && from[i] != i) {
            long fd = lw_call(SYS_fcntl, from[i], F_DUPFD_CLOEXEC, 3, 0, 0);
            if (fd < 0) lw_fail(area, LW_STREAMS, fd);
            from[i] = (int)fd;
        }
    }
    for (int i = 0; i < 3; i++) {
        if (from[i] < 0) continue;
        if (from[i] == i) /* dup3() refuses this; the number may be marked to be closed */
            LW_TRY(LW_STREAMS, lw_call(SYS_fcntl, i, F_SETFD, 0, 0, 0));
        else
            LW_TRY(LW_STREAMS, lw_call(SYS_dup3, from[i], i, 0, 0, 0));
    }
}

/* All but the streams and `keep`, whether or not exec would close them: what close_fds=True of subprocess promises. */
LW_INLINE void lw_close_others(struct lw_area *area, const struct lw_order *o)
{
    unsigned first = 3;
    for (int i = 0; i < o->n_keep; i++) {
        unsigned kept = (unsigned)o->keep[i];
        if (kept < 3) continue;
        if (kept > first) LW_TRY(LW_DESCRIPTORS, lw_call(SYS_close_range, first, kept - 1, 0, 0, 0));
        first = kept + 1;
    }
    LW_TRY(LW_DESCRIPTORS, lw_call(SYS_close_range, first, ~0U, 0, 0, 0));
}

LW_BARE static void lw_child(void *given)
{
    struct lw_area *area = given;
    const struct lw_order *o = area->order;
    if (o->shared_cut) /* until here the table is the parent's: nothing may be changed in it */
        LW_TRY(LW_DESCRIPTORS, lw_call(SYS_close_range, o->shared_cut, ~0U, LW_UNSHARE_RANGE, 0, 0));
    for (int i = 0; i < o->n_keep; i++)
        LW_TRY(LW_DESCRIPTORS, lw_call(SYS_fcntl, o->keep[i], F_SETFD, 0, 0, 0));
    lw_set_streams(area, o);
    if (o->flags & LW_CLOSE_FDS && o->shared_cut != 3) lw_close_others(area, o); /* of 3, no others were copied */
    if (o->folder) LW_TRY(LW_FOLDER, lw_call(SYS_chdir, (long)o->folder, 0, 0, 0, 0));
    if (o->file_mask >= 0) lw_call(SYS_umask, o->file_mask, 0, 0, 0, 0);
    if (o->flags & LW_RESTORE_SIGNALS) { /* what Python ignores, and nobody else expects to find ignored */
        struct lw_default_action fresh = {{0, 0, 0, 0}};
        lw_call(SYS_rt_sigaction, SIGPIPE, (long)&fresh, 0, LW_GET_SIGNAL_BYTES, 0);
        lw_call(SYS_rt_sigaction, SIGXFSZ, (long)&fresh, 0, LW_GET_SIGNAL_BYTES, 0);
    }
    if (o->flags & LW_NEW_SESSION) LW_TRY(LW_SESSION, lw_call(SYS_setsid, 0, 0, 0, 0, 0));
    if (o->flags & LW_SET_GROUP) LW_TRY(LW_GROUP, lw_call(SYS_setpgid, 0, o->process_group, 0, 0, 0));
    if (o->flags & LW_TAKE_TERMINAL) LW_TRY(LW_TERMINAL, lw_call(SYS_ioctl, 0, TIOCSCTTY, 0, 0, 0));
    if (o->flags & LW_SET_NICE) LW_TRY(LW_NICE, lw_call(SYS_setpriority, 0, 0, o->niceness, 0, 0));
    if (o->cpu_bytes) LW_TRY(LW_AFFINITY, lw_call(SYS_sched_setaffinity, 0, o->cpu_bytes, (long)o->cpus, 0, 0));
    for (int i = 0; i < o->n_limits; i++)
        LW_TRY(LW_LIMITS, lw_call(SYS_prlimit64, 0, o->limits[i].which, (long)o->limits[i].value, 0, 0));
    /* Groups while there still is the privilege to set them, the user last. */
    if (o->flags & LW_SET_GROUPS) LW_TRY(LW_GROUPS, lw_call(SYS_setgroups, o->n_groups, (long)o->groups, 0, 0, 0));
    if (o->gid >= 0) LW_TRY(LW_GID, lw_call(SYS_setresgid, o->gid, o->gid, o->gid, 0, 0));
    if (o->uid >= 0) LW_TRY(LW_UID, lw_call(SYS_setresuid, o->uid, o->uid, o->uid, 0, 0));
    if (o->death_signal) { /* last: a change of credentials clears it (prctl(2)) */
        LW_TRY(LW_DEATH_SIGNAL, lw_call(SYS_prctl, LW_PR_SET_PDEATHSIG, o->death_signal, 0, 0, 0));
        /* It died before that call? In a new pid namespace its number reads as 0, dead or alive. */
        if (!(o->flags & LW_NEW_PID_NAMESPACE) && lw_call(SYS_getppid, 0, 0, 0, 0, 0) != o->parent)
            lw_fail(area, LW_DEATH_SIGNAL, -ESRCH);
    }
    if (__atomic_load_n(&area->unwanted, __ATOMIC_SEQ_CST)) lw_fail(area, LW_DESCRIPTORS, -ECANCELED);
    lw_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&o->mask, 0, LW_GET_SIGNAL_BYTES, 0);
    long telling = 0, last = -ENOENT;
    for (char *const *program = o->programs; *program; program++) {
        last = lw_call(SYS_execve, (long)*program, (long)o->argv, (long)o->envp, 0, 0);
        if (last != -ENOENT && last != -ENOTDIR && !telling) telling = last; /* as subprocess does: "denied" tells more */
    }
    lw_fail(area, LW_EXEC, telling ? telling : last);
}

/* Whether all that the child is given is open. It cannot tell: the pidfd, or /dev/null, may be on such a number. */
LW_API int lw_all_open(const struct lw_order *order, struct lw_outcome *outcome)
{
    outcome->error = EBADF;
    outcome->stage = LW_STREAMS;
    for (int i = 0; i < 3; i++)
        if (order->streams[i] >= 0 && fcntl(order->streams[i], F_GETFD) < 0) return 0;
    outcome->stage = LW_DESCRIPTORS;
    for (int i = 0; i < order->n_keep; i++)
        if (fcntl(order->keep[i], F_GETFD) < 0) return 0;
    return 1;
}

/* Starts the program that `order` describes, on an area of this thread's own; returns when it runs or has failed. */
LW_API void lw_start(const struct lw_order *order, struct lw_area *area, struct lw_outcome *outcome)
{
    uint64_t all = ~0ULL, before;
    int pidfd = -1;
    if (!lw_all_open(order, outcome)) return;
    struct lw_clone_args args;
    memset(&args, 0, sizeof args);
    args.flags = LW_CLONE_VFORK | LW_CLONE_CLEAR_SIGHAND;
    if (!(order->flags & LW_UNSETTLED)) args.flags |= LW_CLONE_PIDFD;
    if (!(order->flags & LW_COPY_MEMORY)) args.flags |= LW_CLONE_VM;
    if (order->shared_cut) args.flags |= LW_CLONE_FILES;
    if (order->flags & LW_NEW_PID_NAMESPACE) args.flags |= LW_CLONE_NEWPID;
    if (order->flags & LW_INTO_CGROUP) {
        args.flags |= LW_CLONE_INTO_CGROUP;
        args.cgroup = (uint64_t)order->cgroup;
    }
    args.pidfd = (uint64_t)(uintptr_t)&pidfd;
    args.exit_signal = SIGCHLD;
    args.stack = (uint64_t)(uintptr_t)(area + 1);
    args.stack += -args.stack & 15;
    args.stack_size = ((uint64_t)(uintptr_t)area + LW_AREA - args.stack) & ~15ULL;
    area->order = order;
    area->error = 0;
    area->stage = LW_CLONE;
    lw_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&before, LW_GET_SIGNAL_BYTES, 0);
    long pid = lw_clone(&args, lw_child, area);
    lw_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&before, 0, LW_GET_SIGNAL_BYTES, 0);
    outcome->pid = (int)pid;
    outcome->pidfd = pidfd;
    outcome->error = area->error;
    outcome->stage = area->stage;
    outcome->leads_group = order->flags & LW_NEW_SESSION || (order->flags & LW_SET_GROUP && !order->process_group);
    if (pid < 0) {
        outcome->error = (int)-pid;
        outcome->pid = outcome->pidfd = -1;
    } else if (outcome->error) {
        lw_reap(outcome);
    }
}

LW_API struct lw_area *lw_new_area(void)
{
    void *area = mmap(NULL, LW_AREA, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return area == MAP_FAILED ? NULL : area;
}

LW_API void lw_drop_area(struct lw_area *area) { munmap(area, LW_AREA); }

/* Whether the child that is being started on an area, if it has not become a program yet, is to give up. */
LW_API void lw_mark(struct lw_area *area, int unwanted)
{
    __atomic_store_n(&area->unwanted, unwanted, __ATOMIC_SEQ_CST);
}

/* The monotonic clock, in nanoseconds. */
LW_API int64_t lw_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The signals that are blocked in this thread, the C library's own two included. */
LW_API uint64_t lw_blocked_signals(void)
{
    uint64_t mask = 0;
    lw_call(SYS_rt_sigprocmask, SIG_BLOCK, 0, (long)&mask, LW_GET_SIGNAL_BYTES, 0);
    return mask;
}

/* An empty file with a name of its own, to hold descriptor numbers with, never the standard streams'; -1 for none. */
LW_API int lw_slot_file(void)
{
    int low = (int)syscall(SYS_memfd_create, "loopwright-slot", 1U /* MFD_CLOEXEC */);
    if (low < 0 || low > 2) return low;
    int number = fcntl(low, F_DUPFD_CLOEXEC, 3);
    close(low);
    return number;
}

#else

struct lw_area { int unused; };
LW_API void lw_start(const struct lw_order *order, struct lw_area *area, struct lw_outcome *outcome)
{
    (void)order, (void)area;
    outcome->pid = outcome->pidfd = -1;
    outcome->error = ENOSYS;
    outcome->stage = LW_CLONE;
}
LW_API struct lw_area *lw_new_area(void) { return NULL; }
LW_API void lw_drop_area(struct lw_area *area) { (void)area; }
LW_API void lw_mark(struct lw_area *area, int unwanted) { (void)area, (void)unwanted; }
LW_API int64_t lw_clock(void) { return 0; }
LW_API uint64_t lw_blocked_signals(void) { return 0; }
LW_API int lw_slot_file(void) { return -1; }

#endif
#endif
