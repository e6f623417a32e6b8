# The C header that runs children, and what the threads that start them use of the C library.
from libc.stdint cimport int64_t, uint32_t, uint64_t

from loopwright._native._linux cimport rusage

cdef extern from "_child.h" nogil:
    enum:
        LW_CAN_CLONE
        LW_NEW_SESSION
        LW_SET_GROUP
        LW_TAKE_TERMINAL
        LW_CLOSE_FDS
        LW_RESTORE_SIGNALS
        LW_SET_NICE
        LW_COPY_MEMORY
        LW_SET_GROUPS
        LW_NEW_PID_NAMESPACE
        LW_INTO_CGROUP
        LW_SETTLE_LATE
        LW_UNSETTLED
        LW_ENDED
        LW_TAKEN
    struct lw_limit:
        int which
        uint64_t value[2]
    struct lw_order:
        char **programs
        char **argv
        char **envp
        const char *folder
        const int *keep
        const lw_limit *limits
        const unsigned char *cpus
        const uint32_t *groups
        uint64_t mask
        int streams[3]
        int n_keep, n_limits, cpu_bytes, n_groups
        int flags, shared_cut, process_group, file_mask, niceness, death_signal, cgroup
        int64_t uid, gid
        int parent
    struct lw_outcome:
        int pid, pidfd, error, stage
        int ended, code, value
        rusage used
    struct lw_area:
        pass
    void lw_start(const lw_order *order, lw_area *area, lw_outcome *outcome)
    lw_area *lw_new_area()
    void lw_drop_area(lw_area *area)
    void lw_mark(lw_area *area, int unwanted)
    void lw_reap_number(int pid)
    void lw_settle(lw_outcome *outcome)
    void lw_end(lw_outcome *outcome)
    int64_t lw_clock()
    uint64_t lw_blocked_signals()
    int lw_slot_file()

cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_t:
        pass
    ctypedef struct pthread_attr_t:
        pass
    ctypedef struct pthread_mutex_t:
        pass
    ctypedef struct pthread_cond_t:
        pass
    int pthread_mutex_init(pthread_mutex_t *, void *)
    int pthread_mutex_lock(pthread_mutex_t *)
    int pthread_mutex_unlock(pthread_mutex_t *)
    int pthread_cond_init(pthread_cond_t *, void *)
    int pthread_cond_signal(pthread_cond_t *)
    int pthread_cond_wait(pthread_cond_t *, pthread_mutex_t *)
    int pthread_attr_init(pthread_attr_t *)
    int pthread_attr_destroy(pthread_attr_t *)
    int pthread_attr_setstacksize(pthread_attr_t *, size_t)
    int pthread_attr_setdetachstate(pthread_attr_t *, int)
    int pthread_create(pthread_t *, pthread_attr_t *, void *(*)(void *) noexcept nogil, void *)
    enum:
        PTHREAD_CREATE_DETACHED

cdef extern from "<signal.h>" nogil:
    ctypedef struct sigset_t:
        pass
    int sigfillset(sigset_t *)
    int pthread_sigmask(int, const sigset_t *, sigset_t *)
    enum:
        SIG_BLOCK
        SIG_SETMASK

cdef extern from "<sys/eventfd.h>" nogil:
    int eventfd(unsigned int, int)
    enum:
        EFD_CLOEXEC
        EFD_NONBLOCK

cdef extern from "<fcntl.h>" nogil:
    int fcntl(int, int, ...)
    enum:
        F_DUPFD_CLOEXEC
        O_CLOEXEC

cdef extern from "<unistd.h>" nogil:
    int dup3(int, int, int)
    int usleep(unsigned int)
    int getpid()
    char **environ
