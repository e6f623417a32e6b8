# What the compiled modules use of Linux and of Python, declared where Cython's own declarations stop.
from libc.stdint cimport uint32_t, uint64_t

cdef extern from "Python.h":
    object PyUnicode_EncodeFSDefault(object text)

cdef extern from "<sys/epoll.h>" nogil:
    ctypedef union epoll_data_t:
        uint64_t u64
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    int epoll_create1(int flags)
    int epoll_ctl(int epfd, int op, int fd, epoll_event *event)
    int epoll_wait(int epfd, epoll_event *events, int maxevents, int timeout)
    enum:
        EPOLL_CLOEXEC
        EPOLL_CTL_ADD
        EPOLL_CTL_MOD
        EPOLL_CTL_DEL
        EPOLLIN
        EPOLLONESHOT

cdef extern from "<sys/timerfd.h>" nogil:
    struct timespec:
        long tv_sec
        long tv_nsec
    struct itimerspec:
        timespec it_interval
        timespec it_value
    int timerfd_create(int clock, int flags)
    int timerfd_settime(int fd, int flags, const itimerspec *new_value, itimerspec *old_value)
    enum:
        CLOCK_MONOTONIC
        TFD_CLOEXEC
        TFD_NONBLOCK

cdef extern from "<sys/time.h>" nogil:
    struct timeval:
        long tv_sec
        long tv_usec

cdef extern from "<sys/resource.h>" nogil:
    struct rusage:
        timeval ru_utime
        timeval ru_stime
        long ru_maxrss
        long ru_minflt
        long ru_majflt
        long ru_inblock
        long ru_oublock
        long ru_nvcsw
        long ru_nivcsw

cdef extern from "<sys/wait.h>" nogil:
    ctypedef struct siginfo_t:
        int si_pid
        int si_code
        int si_status
    enum:
        CLD_DUMPED
        CLD_EXITED
        WEXITED
        WNOHANG
        WNOWAIT

cdef extern from "<sys/syscall.h>" nogil:
    enum:
        SYS_waitid

cdef extern from "<unistd.h>" nogil:
    long syscall(long number, ...)
    int close(int fd)
