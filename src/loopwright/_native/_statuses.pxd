# An exit status out of what waitid(2) gives.
from loopwright._native._linux cimport rusage, timeval

cdef object status_of(int code, int value, rusage *used)
cdef tuple usage_of(rusage *used)
cdef object status_from(int code, int value, tuple usage)
cdef double _seconds(timeval time) noexcept
