/* call_soon(callback, *args, context=None), with its arguments taken apart by hand.
 *
 * Each step of each task comes here, from C, with `context` by name. What Cython makes for such a signature finds the
 * name by its hash and its letters, because the string that C's tasks pass is not the interned one: that took as long
 * as queueing the callback. Here the string that came last is known by its address. */
#ifndef LOOPWRIGHT_CALL_SOON_H
#define LOOPWRIGHT_CALL_SOON_H

#include <Python.h>

typedef PyObject *(*lw_soon)(PyObject *loop, PyObject *callback, PyObject *args, PyObject *context);
static lw_soon lw_soon_of_the_loop;
static PyObject *lw_no_arguments;
static PyObject *lw_last_name; /* one that says "context", and is kept, so that no other string gets its address */

static int lw_says_context(PyObject *name)
{
    if (name == lw_last_name)
        return 1;
    if (PyUnicode_CompareWithASCIIString(name, "context") != 0)
        return 0;
    Py_INCREF(name);
    Py_XSETREF(lw_last_name, name);
    return 1;
}

static PyObject *lw_call_soon(PyObject *loop, PyObject *const *args, Py_ssize_t positional, PyObject *names)
{
    PyObject *callback = positional > 0 ? args[0] : NULL, *context = Py_None, *rest, *handle;
    Py_ssize_t named = names == NULL ? 0 : PyTuple_GET_SIZE(names);
    for (Py_ssize_t index = 0; index < named; index++) {
        PyObject *name = PyTuple_GET_ITEM(names, index);
        if (lw_says_context(name))
            context = args[positional + index];
        else if (PyUnicode_CompareWithASCIIString(name, "callback") != 0)
            return PyErr_Format(PyExc_TypeError, "call_soon() got an unexpected keyword argument '%U'", name);
        else if (callback != NULL)
            return PyErr_Format(PyExc_TypeError, "call_soon() got multiple values for argument 'callback'");
        else
            callback = args[positional + index];
    }
    if (callback == NULL)
        return PyErr_Format(PyExc_TypeError, "call_soon() missing 1 required positional argument: 'callback'");
    if (positional <= 1)
        return lw_soon_of_the_loop(loop, callback, lw_no_arguments, context);
    rest = PyTuple_New(positional - 1);
    if (rest == NULL)
        return NULL;
    for (Py_ssize_t index = 1; index < positional; index++)
        PyTuple_SET_ITEM(rest, index - 1, Py_NewRef(args[index]));
    handle = lw_soon_of_the_loop(loop, callback, rest, context);
    Py_DECREF(rest);
    return handle;
}

static PyMethodDef lw_call_soon_method = {
    "call_soon", (PyCFunction)(void (*)(void))lw_call_soon, METH_FASTCALL | METH_KEYWORDS,
    "call_soon($self, callback, *args, context=None)\n--\n\nAs asyncio.AbstractEventLoop.call_soon()."};

/* Make it a method of that type, to do `soon`. */
static int lw_install_call_soon(PyTypeObject *type, lw_soon soon)
{
    PyObject *method = PyDescr_NewMethod(type, &lw_call_soon_method);
    int failed;
    lw_soon_of_the_loop = soon;
    lw_no_arguments = PyTuple_New(0);
    if (method == NULL || lw_no_arguments == NULL)
        return -1;
    failed = PyDict_SetItemString(type->tp_dict, "call_soon", method);
    Py_DECREF(method);
    PyType_Modified(type);
    return failed;
}

#endif
