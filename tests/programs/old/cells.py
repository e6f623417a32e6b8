"""Cells of a notebook, each run by the same loop if it awaits anything.

Project: ipython/ipython
Where: IPython/core/async_helpers.py at 018538a05b3d, `_AsyncIORunner` and `_should_be_async`
Leans on: `get_event_loop().run_until_complete()`, so that a task started by one cell goes on in the next
Plain: fails: RuntimeError: There is no current event loop in thread 'MainThread'
Prints:
    [1] no await: 6
    [2] started a task: clock
    [3] awaited: 6 * 7 = 42
    [4] the task went on with each that awaited: True
"""

import ast
import asyncio
import inspect

CELLS = [
    "answer = 6\nprint('no await:', answer)",
    "started = asyncio.ensure_future(clock())\nawait asyncio.sleep(0)\nprint('started a task:', clock.__name__)",
    "while ticks < 3:\n    await asyncio.sleep(0.001)\nprint('awaited: 6 * 7 =', await times(answer, 7))",
    "started.cancel()\nawait asyncio.wait([started])\nprint('the task went on with each that awaited:', ticks > 2)",
]

ticks = 0


async def clock():
    global ticks
    while True:
        ticks += 1
        await asyncio.sleep(0.001)


async def times(first, second):
    return first * second


def asyncio_runner(coroutine):
    return asyncio.get_event_loop().run_until_complete(coroutine)


def run_cell(number, cell):
    print(f"[{number}]", end=" ")
    code = compile(cell, f"<cell {number}>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if code.co_flags & inspect.CO_COROUTINE:
        asyncio_runner(eval(code, globals()))
    else:
        exec(code, globals())


for number, cell in enumerate(CELLS, 1):
    run_cell(number, cell)
asyncio.get_event_loop().close()
