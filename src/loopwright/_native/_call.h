/* Raw system calls, for what runs where the C library may not be used (`_child.h`): nothing is touched but registers. */
#ifndef LOOPWRIGHT_CALL_H
#define LOOPWRIGHT_CALL_H

#include <stdint.h>
#include <sys/syscall.h>

#if defined(__linux__) && (defined(__x86_64__) || defined(__aarch64__))
#define LW_CAN_CLONE 1
#else
#define LW_CAN_CLONE 0
#endif

#if LW_CAN_CLONE

#define LW_INLINE static inline __attribute__((always_inline))

#ifndef SYS_clone3
#define SYS_clone3 435
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

struct lw_clone_args { /* struct clone_args of linux/sched.h, as of Linux 5.7 */
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

#if defined(__x86_64__)
LW_INLINE long lw_call(long number, long a, long b, long c, long d, long e)
{
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return result;
}

/* clone3, with `run(with)` as the child's first and last function, on the stack that `args` names. */
LW_INLINE long lw_clone(struct lw_clone_args *args, void (*run)(void *), void *with)
{
    long result;
    register void (*function)(void *) __asm__("r12") = run;
    register void *argument __asm__("r13") = with;
    __asm__ volatile("syscall; test %%rax, %%rax; jnz 1f\n\t"
                     "xor %%ebp, %%ebp; mov %%r13, %%rdi; call *%%r12; ud2\n"
                     "1:"
                     : "=a"(result)
                     : "a"((long)SYS_clone3), "D"(args), "S"(sizeof *args), "r"(function), "r"(argument)
                     : "rcx", "r11", "memory", "cc");
    return result;
}
#else
LW_INLINE long lw_call(long number, long a, long b, long c, long d, long e)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory", "cc");
    return x0;
}

LW_INLINE long lw_clone(struct lw_clone_args *args, void (*run)(void *), void *with)
{
    register long x8 __asm__("x8") = SYS_clone3;
    register long x0 __asm__("x0") = (long)args;
    register long x1 __asm__("x1") = sizeof *args;
    register void (*function)(void *) __asm__("x19") = run;
    register void *argument __asm__("x20") = with;
    __asm__ volatile("svc #0\n\tcbnz x0, 1f\n\t"
                     "mov x29, xzr\n\tmov x0, x20\n\tblr x19\n\tbrk #1\n"
                     "1:"
                     : "+r"(x0) : "r"(x8), "r"(x1), "r"(function), "r"(argument) : "memory", "cc");
    return x0;
}
#endif

#endif
#endif
