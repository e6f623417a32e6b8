/* The end of a child that was started: what came of a start, what became of the child, and how to be rid of it.
 *
 * For threads that hold no Python, and so in C with the rest. A child is named by its process descriptor where it has
 * one, else by its number, which is its own until it is reaped: by nobody but this program, as a rule.
 */
#ifndef LOOPWRIGHT_END_H
#define LOOPWRIGHT_END_H

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "_call.h"

#define LW_API static __attribute__((unused))

/* What lw_settle() has found: nothing yet, or it runs; it has ended, with code, value and used, and waits to be reaped;
 * somebody else did that. */
enum lw_end_state { LW_NOT_ENDED, LW_ENDED, LW_TAKEN };

struct lw_outcome {
    int pid, pidfd, error, stage;
    int leads_group; /* whether its number is that of a process group, too */
    int ended, code, value; /* si_code and si_status, waitid(2) */
    struct rusage used;
};

/* Reaps one that has ended, by its number, which must be its own still. */
LW_API void lw_reap_number(int pid)
{
    siginfo_t ignored;
    while (waitid(P_PID, (id_t)pid, &ignored, WEXITED | WNOHANG) < 0)
        if (errno != EINTR) return; /* ECHILD: somebody else was faster */
}

#if LW_CAN_CLONE

enum { LW_P_PIDFD = 3 }; /* Linux 5.4; older C libraries lack the name */

/* Waits until a child has ended, and reaps it; ECHILD, if SIGCHLD is ignored or somebody else was faster, is as good. */
LW_API void lw_reap(struct lw_outcome *outcome)
{
    siginfo_t ignored;
    idtype_t kind = outcome->pidfd >= 0 ? (idtype_t)LW_P_PIDFD : P_PID;
    id_t which = (id_t)(outcome->pidfd >= 0 ? outcome->pidfd : outcome->pid);
    while (waitid(kind, which, &ignored, WEXITED | __WALL) < 0 && errno == EINTR) continue;
    if (outcome->pidfd >= 0) close(outcome->pidfd);
    outcome->pid = outcome->pidfd = -1;
}

/* What became of a child that was made without a process descriptor (LW_UNSETTLED): if it has ended that is known now,
 * and it is left to be reaped by its number; else it gets a descriptor, or none where that is refused.
 *
 * Its number is its own: nobody but this program reaps it, and no number comes again before all others have been used.
 * That is so as long as this is asked soon, which whoever starts it sees to.
 */
LW_API void lw_settle(struct lw_outcome *outcome)
{
    siginfo_t info;
    if (outcome->pid <= 0 || outcome->pidfd >= 0 || outcome->ended != LW_NOT_ENDED) return;
    info.si_pid = 0;
    long asked;
    do asked = syscall(SYS_waitid, P_PID, outcome->pid, &info, WEXITED | WNOHANG | WNOWAIT, &outcome->used);
    while (asked < 0 && errno == EINTR);
    if (asked < 0 && errno == ECHILD) {
        outcome->ended = LW_TAKEN;
        return;
    }
    if (asked < 0 || info.si_pid == 0) { /* refused by a filter: whoever watches it asks in another way */
        outcome->pidfd = (int)syscall(SYS_pidfd_open, outcome->pid, 0);
        return;
    }
    outcome->ended = LW_ENDED;
    outcome->code = info.si_code;
    outcome->value = info.si_status;
}

/* Ends and reaps a child that nobody wants any more, with the group that it leads, if it does: such a one is never
 * settled late, so what it has started is found until here. */
LW_API void lw_end(struct lw_outcome *outcome)
{
    lw_settle(outcome);
    if (outcome->pid <= 0 || outcome->ended == LW_TAKEN) return;
    if (outcome->ended == LW_ENDED) {
        lw_reap_number(outcome->pid);
        outcome->pid = -1;
        return;
    }
    long sent = outcome->pidfd < 0 ? kill(outcome->pid, SIGKILL)
                                   : syscall(SYS_pidfd_send_signal, outcome->pidfd, SIGKILL, NULL, 0);
    int refused = sent < 0 && errno == EPERM;
    if (outcome->leads_group && (sent == 0 || refused)) /* it is there: else the number may be anybody's */
        kill(-outcome->pid, SIGKILL);
    if (refused) { /* it has made itself another user's already (sudo): it may live long */
        if (outcome->pidfd >= 0) close(outcome->pidfd);
        outcome->pid = outcome->pidfd = -1;
    } else
        lw_reap(outcome);
}

#else

LW_API void lw_settle(struct lw_outcome *outcome) { (void)outcome; }
LW_API void lw_end(struct lw_outcome *outcome) { (void)outcome; }

#endif
#endif
