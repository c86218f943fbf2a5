"""Leave the limits of a requantized result away where they limit nothing.

A kernel takes the limits of its result as numbers at run time, so that a record of its loops
outlives another calibration. Most of the time they are those of int8: of a convolution without an
activation, and of one with a ReLU, whose zero point is the smallest number. What narrows an int32
to int8 saturates there anyway. This pass comes behind the records, and looks at the constants that
every call of a kernel passes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tvm
import tvm_ffi
from numpy.typing import NDArray
from tvm import relax, tirx
from tvm.ir import Call, TensorLoad

from compile.graph.constants import constant_value
from compile.graph.quantized_graph import op_name
from compile.kernels.common.quantize_op import MOST_ROUNDED, QUANTIZE_INT8, round_to_int8
from compile.kernels.common.requantize import product_inside

_INT8 = np.iinfo(np.int8)
#: What the magnitude of an integer cannot exceed, by its type. What overflows is no larger.
_MOST = {"int8": 2.0**7, "int16": 2.0**15, "int32": 2.0**31}

#: What each call of a kernel passes for a buffer.
_Known = Mapping[tirx.Var, Sequence[NDArray]]


@tvm.transform.module_pass(opt_level=0, name="DropIdleLimits")
class DropIdleLimits:
    """The pass."""

    def transform_module(self, mod: tvm.IRModule, _ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """``mod`` with kernels that limit no more than they have to."""
        calls = _calls(mod)
        for variable, function in mod.functions_items():
            if not isinstance(function, tirx.PrimFunc) or variable.name_hint not in calls:
                continue
            dropped = _Dropping(_known(function, calls[variable.name_hint])).of(function)
            if not dropped.same_as(function):
                mod.update_func(variable, dropped)
        return mod


def _calls(mod: tvm.IRModule) -> dict[str, list[Sequence[relax.Expr]]]:
    """The arguments of every call of a kernel, by its name."""
    found: dict[str, list[Sequence[relax.Expr]]] = {}

    def visit(expr: relax.Expr) -> None:
        if isinstance(expr, relax.Call) and op_name(expr) == "call_tir":
            found.setdefault(expr.args[0].name_hint, []).append(list(expr.args[1].fields))

    for _, function in mod.functions_items():
        if isinstance(function, relax.Function):
            relax.analysis.post_order_visit(function, visit)
    return found


def _known(function: tirx.PrimFunc, calls: Sequence[Sequence[relax.Expr]]) -> _Known:
    """Of those buffers that are constants in all ``calls``."""
    known = {}
    for parameter, *args in zip(function.params, *calls, strict=False):
        if len(parameter.ty.shape) > 1:
            continue
        arrays = [array for arg in args if (array := constant_value(arg, {})) is not None]
        if len(arrays) == len(args):
            known[parameter] = arrays
    return known


class _Dropping:
    """Rewrites one kernel."""

    def __init__(self, known: _Known) -> None:
        self._known = known

    def of(self, function: tirx.PrimFunc) -> tirx.PrimFunc:
        body = tvm_ffi.structural_map(function.body, (Call, self._rounded))
        return function if body.same_as(function.body) else function.with_body(body)

    def _rounded(self, call: Call) -> tirx.Expr:
        if getattr(call.op, "name", "") != QUANTIZE_INT8:
            return call
        value, zero_point, low, high = call.args
        are_idle = self._is(low, _INT8.min) and self._is(high, _INT8.max)
        if not are_idle or self._most(value) > MOST_ROUNDED:
            return call
        return round_to_int8(value, zero_point)

    def _is(self, load: tirx.Expr, number: int) -> bool:
        """Whether an element of a buffer is that ``number`` in every call."""
        values = self._values(load)
        if values is None or not isinstance(load.indices[0], tirx.IntImm):
            return False
        return all(int(array[int(load.indices[0])]) == number for array in values)

    def _values(self, load: tirx.Expr) -> Sequence[NDArray] | None:
        return self._known.get(load.source) if isinstance(load, TensorLoad) else None

    def _most(self, value: tirx.Expr) -> float:
        """What the magnitude of a ``value`` cannot exceed."""
        limit = _MOST.get(str(value.ty.dtype), np.inf)
        if isinstance(value, tirx.Mul):
            return min(limit, self._most(value.a) * self._most(value.b))
        if isinstance(value, tirx.Add | tirx.Sub):
            return min(limit, self._most(value.a) + self._most(value.b))
        if isinstance(value, tirx.Cast):
            return min(limit, self._most(value.value))
        if (product := product_inside(value)) is not None:
            return self._most(product)
        if isinstance(value, tirx.IntImm):
            return abs(int(value))
        arrays = self._values(value)
        if arrays is None:
            return limit
        return max(float(np.abs(one.astype(np.float64)).max()) for one in arrays)
