cimport loopwright._native._child as _child

cdef tuple encoded(words)
cdef char** pointers(tuple strings) except? NULL
cdef char** environment() except? NULL
cdef int* numbers(values) except? NULL
cdef _child.lw_limit* limits_of(tuple triples) except? NULL
