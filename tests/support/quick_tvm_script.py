"""TVMScript that is parsed without a search of all modules for each function on the stack.

TVM's decorators ask for the whole stack (``inspect.stack``), each frame with its line of source,
for which Python goes through all imported modules again and again. Below pytest sixty frames lie,
so that took half of the time in which the tests are collected.
"""

from __future__ import annotations

import functools
import inspect
import linecache
import sys
from inspect import FrameInfo
from types import SimpleNamespace


def parse_quickly() -> None:
    """Give TVM's decorators a stack whose lines of source are looked up by the names of files."""
    from tvm.relax.script.parser import entry as relax_entry
    from tvm.script.parser.ir import entry as module_entry
    from tvm.tirx.script.parser import entry as tirx_entry

    quick = SimpleNamespace(**vars(inspect))
    quick.stack = _stack
    for entry in (relax_entry, module_entry, tirx_entry):
        entry.inspect = quick


def check_types_quickly() -> None:
    """Take apart once, not at each call, what a schedule's methods say about their arguments: that
    took a tenth of scheduling."""
    from tvm.s_tir.schedule import _type_checker

    _type_checker._dispatcher = functools.cache(_type_checker._dispatcher)


def _stack() -> list[FrameInfo]:
    """The caller's frame first, as ``inspect.stack()`` gives it."""
    frame, found = sys._getframe(1), []
    while frame is not None:
        name, line = frame.f_code.co_filename, frame.f_lineno
        source = linecache.getline(name, line)
        context = [source] if source else None
        found.append(FrameInfo(frame, name, line, frame.f_code.co_name, context, 0))
        frame = frame.f_back
    return found
