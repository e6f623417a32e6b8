/* The program that every side starts. No C library and no dynamic linking, so that what is measured is the starting.
 *
 *   -DEXITS   ends at once, with code 7: a made-up 0 does not pass for it
 *   -DTALKS   writes "hello\n" and ends, with code 7
 *   -DSLEEPS  sleeps until it is killed
 */
#if defined(__x86_64__)
enum { WRITE = 1, EXIT = 60, PPOLL = 271 };
static long call(long n, long a, long b, long c, long d, long e)
{
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
enum { WRITE = 64, EXIT = 93, PPOLL = 73 };
static long call(long n, long a, long b, long c, long d, long e)
{
    register long x8 __asm__("x8") = n;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
    return x0;
}
#else
#error "the child program is written for x86-64 and AArch64"
#endif

__attribute__((noreturn)) void _start(void)
{
#ifdef TALKS
    static const char words[] = "hello\n";
    call(WRITE, 1, (long)words, 6, 0, 0);
#endif
#ifdef SLEEPS
    for (;;)
        call(PPOLL, 0, 0, 0, 0, 0);
#endif
    call(EXIT, 7, 0, 0, 0, 0);
    __builtin_unreachable();
}
