"""What a child needs, laid out in memory that no Python object can move. Who asks for it frees it."""

import cython

if not cython.compiled:
    raise ImportError("loopwright._native._layout is compiled code and does not run as plain Python")

from os import fsencode

from cython.cimports.libc.stdlib import malloc
from cython.cimports.libc.string import memcpy
from cython.cimports.loopwright._native import _child
from cython.cimports.loopwright._native._linux import PyUnicode_EncodeFSDefault


@cython.cfunc
def encoded(words) -> tuple:
    """Words as bytes. A tuple of its own: the caller's list may change while the child is being started."""
    made: list = []
    for word in words:
        if type(word) is str and "\0" not in word:
            made.append(PyUnicode_EncodeFSDefault(word))
        else:
            encoded = word if type(word) is bytes else fsencode(word)
            if b"\0" in encoded:
                raise ValueError(f"embedded null byte in {word!r}")
            made.append(encoded)
    return tuple(made)


@cython.cfunc
def pointers(strings: tuple) -> cython.pp_char:
    count: cython.Py_ssize_t = len(strings)
    index: cython.Py_ssize_t
    made = cython.cast(cython.pp_char, malloc((count + 1) * cython.sizeof(cython.p_char)))
    if made == cython.NULL:
        raise MemoryError
    for index in range(count):
        made[index] = cython.cast(bytes, strings[index])
    made[count] = cython.NULL
    return made


@cython.cfunc
def environment() -> cython.pp_char:
    """What the environment is now. The strings stay where they are: setenv(3) of the C library frees none, because
    somebody may still look at what getenv(3) gave; the array of them it may move."""
    count: cython.size_t = 0
    if _child.environ != cython.NULL:
        while _child.environ[count] != cython.NULL:
            count += 1
    made = cython.cast(cython.pp_char, malloc((count + 1) * cython.sizeof(cython.p_char)))
    if made == cython.NULL:
        raise MemoryError
    if count:
        memcpy(made, _child.environ, count * cython.sizeof(cython.p_char))
    made[count] = cython.NULL
    return made


@cython.cfunc
def numbers(values) -> cython.p_int:
    """As 32 bits each; group ids above 2**31 keep theirs."""
    count: cython.Py_ssize_t = len(values)
    index: cython.Py_ssize_t
    made = cython.cast(cython.p_int, malloc((count + 1) * cython.sizeof(cython.int)))
    if made == cython.NULL:
        raise MemoryError
    for index in range(count):
        made[index] = cython.cast(cython.int, cython.cast(cython.longlong, values[index]))
    return made


@cython.cfunc
def limits_of(triples: tuple) -> cython.pointer(_child.lw_limit):
    count: cython.Py_ssize_t = len(triples)
    index: cython.Py_ssize_t
    made = cython.cast(cython.pointer(_child.lw_limit), malloc((count + 1) * cython.sizeof(_child.lw_limit)))
    if made == cython.NULL:
        raise MemoryError
    for index in range(count):
        which, soft, hard = triples[index]
        made[index].which = which
        made[index].value[0] = soft
        made[index].value[1] = hard
    return made
