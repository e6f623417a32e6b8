/* What the event loop needs of C and of CPython where Cython's own declarations stop, or cost more. */
#ifndef LOOPWRIGHT_LOOP_H
#define LOOPWRIGHT_LOOP_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <Python.h>
#include <errno.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* epoll_pwait2 came with Linux 5.11, and its number is the same on every architecture; glibc wraps it since 2.35. */
#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

static inline int lw_epoll_pwait2(int epoll, struct epoll_event *events, int most, const struct timespec *timeout)
{
    return (int)syscall(SYS_epoll_pwait2, epoll, events, most, timeout, NULL, 0);
}

/* Seconds of CLOCK_MONOTONIC, to the last bit what time.monotonic() gives: that is what asyncio's loops go by. */
static inline double lw_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_nsec == 0)
        return (double)now.tv_sec;
    return (double)((long long)now.tv_sec * 1000000000LL + now.tv_nsec) / 1e9;
}

/* Whether there is one reference to it and no more. */
static inline int lw_is_alone(PyObject *object)
{
    return Py_REFCNT(object) == 1;
}

/* Have the collector look at a handle no more, and look again. */
static inline void lw_hide(PyObject *handle)
{
    PyObject_GC_UnTrack(handle);
}

static inline void lw_show(PyObject *object)
{
    if (object == Py_None || (PyTuple_CheckExact(object) && PyTuple_GET_SIZE(object) == 0)) /* a static object */
        return;
    if (!PyObject_GC_IsTracked(object))
        PyObject_GC_Track(object);
}

/* The same for a tuple, or None, if there is only one reference to it. */
static inline void lw_settle(PyObject *args)
{
    if (Py_REFCNT(args) == 1)
        PyObject_GC_UnTrack(args);
}

/* Whether the collector does not see this, and it is for whoever has the only reference to show what it refers to. */
static inline int lw_is_settled(PyObject *object)
{
    return Py_REFCNT(object) == 1 && PyObject_IS_GC(object) && !PyObject_GC_IsTracked(object);
}

static inline int lw_has_weakrefs(PyObject *object)
{
    return *(PyObject **)((char *)object + Py_TYPE(object)->tp_weaklistoffset) != NULL;
}

static inline int lw_visit_settled(PyObject *object, visitproc visit, void *arg)
{
    return lw_is_settled(object) ? Py_TYPE(object)->tp_traverse(object, visit, arg) : 0;
}

/* A trashcan for long chains of objects of these types (CPython's own way before 3.14, which has it for all): Cython's
 * sees whether tp_dealloc is the one that it made. */
#define LW_MOST_TYPES 4
static struct { PyTypeObject *type; destructor dealloc; } lw_taken_over[LW_MOST_TYPES];

static void lw_dealloc(PyObject *object)
{
    PyObject_GC_UnTrack(object);
    Py_TRASHCAN_BEGIN(object, lw_dealloc)
    for (PyTypeObject *type = Py_TYPE(object); type != NULL; type = type->tp_base) { /* somebody may have derived one */
        for (int index = 0; index < LW_MOST_TYPES; index++) {
            if (lw_taken_over[index].type == type) {
                lw_taken_over[index].dealloc(object);
                type = &PyBaseObject_Type;
                break;
            }
        }
    }
    Py_TRASHCAN_END
}

static inline void lw_take_over_dealloc(PyTypeObject *type)
{
    for (int index = 0; index < LW_MOST_TYPES; index++) {
        if (lw_taken_over[index].type == NULL) {
            lw_taken_over[index].type = type;
            lw_taken_over[index].dealloc = type->tp_dealloc;
            type->tp_dealloc = lw_dealloc;
            break;
        }
    }
}

/* The number that a socket object has now, -1 once it is closed: the first field of CPython's structure, which no header
 * shows. Whoever uses this has looked whether it is there. */
static inline int lw_socket_number(PyObject *sock)
{
    return *(int *)((char *)sock + sizeof(PyObject));
}

static inline PyObject *lw_call(PyObject *callable, PyObject *args)
{
    return PyObject_Vectorcall(callable, &PyTuple_GET_ITEM(args, 0), (size_t)PyTuple_GET_SIZE(args), NULL);
}

/* With the method looked up anew, as a protocol may replace it, and no bound method made. */
static inline PyObject *lw_call_method(PyObject *self, PyObject *name, PyObject *argument)
{
    PyObject *stack[3] = {NULL, self, argument};
    return PyObject_VectorcallMethod(name, stack + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
}

/* The same while an exception is handled, as in an `except`: what is called may ask sys.exc_info(). */
static inline PyObject *lw_call_handling(PyObject *self, PyObject *name, PyObject *argument, PyObject *exception)
{
    _PyErr_StackItem *handled = PyThreadState_Get()->exc_info;
    PyObject *before = handled->exc_value, *result;
    handled->exc_value = Py_NewRef(exception);
    result = lw_call_method(self, name, argument);
    Py_XSETREF(handled->exc_value, before);
    return result;
}

/* The exception that is being raised, taken away. */
static inline PyObject *lw_fetch(void)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL)
        PyException_SetTraceback(value, traceback);
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return value;
#endif
}

/* For Cython: an exception is set. */
static inline int lw_reraise(void)
{
    return -1;
}

/* Raise it again, with no line added to its traceback. */
static inline int lw_raise(PyObject *exception)
{
#if PY_VERSION_HEX >= 0x030C0000
    PyErr_SetRaisedException(Py_NewRef(exception));
#else
    PyErr_Restore(Py_NewRef((PyObject *)Py_TYPE(exception)), Py_NewRef(exception), PyException_GetTraceback(exception));
#endif
    return -1;
}

#endif
