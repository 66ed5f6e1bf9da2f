"""Compiling the hot loops (热点循环) with numba when they are first called, not when a module is imported."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

__all__ = ["compiled"]


@cache
def compiled(function: Callable[..., Any]) -> Any:
    """The function as machine code that gives up the interpreter's lock.

    Without ``fastmath``: a cell has the same bits in every block, thread, process and host. Division is as in numpy: by zero
    it gives infinity or NaN, not an error.

    Examples
    --------
    >>> def twice(x):
    ...     return 2 * x
    >>> compiled(twice) is compiled(twice)
    True
    """
    import numba

    try:
        return numba.njit(nogil=True, cache=True, error_model="numpy")(function)
    except RuntimeError:  # no folder to keep the compiled code in: compile in this process (seconds)
        return numba.njit(nogil=True, error_model="numpy")(function)
