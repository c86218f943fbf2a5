"""Parses TVMScript where that is quick."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import ParamSpec, TypeVar

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def on_shallow_stack(make: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Let ``make``, which parses TVMScript, run on the stack of a thread of its own.

    For each function that it parses, TVMScript looks for the source of every function on the stack
    (``inspect.stack``). In the middle of a build those are fifty, and take longer than parsing.
    """

    @wraps(make)
    def made(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(make, *args, **kwargs).result()

    return made
