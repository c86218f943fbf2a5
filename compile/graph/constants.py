"""Values that are known while compiling."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tvm
from numpy.typing import NDArray
from tvm import relax

Definitions = Mapping[relax.Var, relax.Expr]


def definitions_of(function: relax.Function) -> dict[relax.Var, relax.Expr]:
    """What each variable of ``function`` is bound to."""
    return {
        binding.var: binding.value for block in function.body.blocks for binding in block.bindings
    }


def variables_of(expr: relax.Expr) -> list[relax.Var]:
    """The variables that ``expr`` reads."""
    if isinstance(expr, relax.Var):
        return [expr]
    if isinstance(expr, relax.Tuple):
        return [var for field in expr.fields for var in variables_of(field)]
    if isinstance(expr, relax.TupleGetItem):
        return variables_of(expr.tuple_value)
    if isinstance(expr, relax.Call):
        return [var for arg in expr.args for var in variables_of(arg)]
    return []


def constant_value(expr: relax.Expr, definitions: Definitions) -> NDArray | None:
    """The array that ``expr`` stands for where it is a constant, reshaped or transposed or not."""
    if isinstance(expr, relax.Var):
        definition = definitions.get(expr)
        return None if definition is None else constant_value(definition, definitions)
    if isinstance(expr, tvm.ir.GenericConst):
        return expr.value.numpy()
    if isinstance(expr, relax.Call) and expr.op in _FOLDABLE:
        data = constant_value(expr.args[0], definitions)
        return None if data is None else _FOLDABLE[expr.op](expr, data)
    return None


def _reshape(call: relax.Call, data: NDArray) -> NDArray:
    return data.reshape([int(extent) for extent in call.ty.shape])


def _permute(call: relax.Call, data: NDArray) -> NDArray:
    axes = call.attrs.axes
    return np.transpose(data, None if axes is None else [int(axis) for axis in axes])


_FOLDABLE = {
    relax.op.reshape(relax.const(0.0), ()).op: _reshape,
    relax.op.permute_dims(relax.const(0.0)).op: _permute,
}
