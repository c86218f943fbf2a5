"""TVMScript's ``prim_func`` without a look at the whole stack."""

from __future__ import annotations

import sys
from collections.abc import Callable

from tvm import tirx
from tvm.script.parser._core import parse, utils


def prim_func(*, s_tir: bool, private: bool = False) -> Callable[[Callable], tirx.PrimFunc]:
    """Parse a function of TVMScript, as ``T.prim_func`` does: a decorator.

    It is used by way of this module's name, which the parser looks for: ``tir_script.prim_func``;
    the parser reads ``s_tir`` and ``private`` off the source, too. TVM's own looks for the source
    of every function on the stack (``inspect.stack``), twice for each that it parses, to find the
    variables that only annotations name; in a build that takes longer than parsing. Here they are
    those of the function that holds the decorated one.
    """
    around = sys._getframe(1).f_locals

    def parsed(function: Callable) -> tirx.PrimFunc:
        names = {**function.__globals__, **around, **utils.get_func_nonlocals(function)}
        return parse(function, names)

    parsed.dispatch_token = "tirx"  # type: ignore[attr-defined]  # The parser asks for it.
    return parsed
