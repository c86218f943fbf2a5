"""Indices as TIR writes them, at random, and the number that one is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import add, floordiv, mod, mul, sub

import tvm
import tvm_ffi
from hypothesis import strategies as st
from tvm import tirx
from tvm.ir import Var

_OPERATORS = (add, sub, mul, tirx.min, tirx.max)
_DIVISIONS = (floordiv, mod, tirx.truncdiv, tirx.truncmod)


def indices(variables: Sequence[Var]) -> st.SearchStrategy[tirx.Expr]:
    """Expressions of ``variables`` and numbers; they are divided by numbers only."""
    numbers = st.integers(-40, 40).map(lambda number: tirx.const(number, "int32"))

    def combined(parts: st.SearchStrategy[tirx.Expr]) -> st.SearchStrategy[tirx.Expr]:
        return st.builds(_apply, st.sampled_from(_OPERATORS), parts, parts) | st.builds(
            _apply, st.sampled_from(_DIVISIONS), parts, st.integers(1, 9)
        )

    return st.recursive(st.sampled_from(variables) | numbers, combined, max_leaves=8)


def _apply(operator, left: tirx.Expr, right: tirx.Expr | int) -> tirx.Expr:
    return operator(left, right)


def index_value(index: tirx.Expr, values: Mapping[Var, int]) -> int:
    """Of ``index``, all of whose variables have ``values``."""
    numbers = tvm_ffi.structural_map(
        index, (Var, lambda variable: tirx.const(values[variable], variable.ty))
    )
    return int(tvm.sym.Analyzer().simplify(numbers))
