/* The variables of contexts, by the address of the mapping that holds them: _contexts.py has why.
 *
 * What is found out is known to the one module that includes this. */
#ifndef LOOPWRIGHT_VARIABLES_H
#define LOOPWRIGHT_VARIABLES_H

#include <Python.h>

/* Where a context keeps the mapping of its variables: found by what it shows the collector, for no header tells. 0 if it
 * was not found. */
static Py_ssize_t lw_variables_at;

static int lw_found_variables(PyObject *object, void *found)
{
    if (!PyContext_CheckExact(object) && !PyType_Check(object)) /* the context that was current before, its own type */
        *(PyObject **)found = object;
    return 0;
}

static inline void lw_find_variables(PyObject *context)
{
    PyObject *variables = NULL;
    Py_ssize_t end = Py_TYPE(context)->tp_basicsize - (Py_ssize_t)sizeof(PyObject *);
    Py_TYPE(context)->tp_traverse(context, lw_found_variables, &variables);
    for (Py_ssize_t at = sizeof(PyObject); variables != NULL && at <= end; at += sizeof(PyObject *)) {
        if (*(PyObject **)((char *)context + at) == variables)
            lw_variables_at = at;
    }
}

static inline PyObject *lw_variables(PyObject *context)
{
    return *(PyObject **)((char *)context + lw_variables_at);
}

/* As PyContext_Copy(), which crashes on one that the collector has cleared: it has no variables. */
static inline PyObject *lw_copy_context(PyObject *context)
{
    return lw_variables_at != 0 && lw_variables(context) == NULL ? PyContext_New() : PyContext_Copy(context);
}

/* Those of the current context; NULL if there is none yet. */
static inline PyObject *lw_current_variables(void)
{
    PyObject *context = PyThreadState_Get()->context;
    return context == NULL || lw_variables_at == 0 ? NULL : lw_variables(context);
}

#endif
