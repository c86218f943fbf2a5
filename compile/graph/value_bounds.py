"""Between which numbers the elements of a float tensor lie, where its operators say so."""

from __future__ import annotations

import numpy as np
from tvm import relax

from compile.graph.constants import Definitions, constant_value
from compile.graph.quantized_graph import op_name

#: Least and largest value.
Bounds = tuple[float, float]

_OF_RESULTS: dict[str, Bounds] = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0)}


def bounds_of(expr: relax.Expr, definitions: Definitions) -> Bounds | None:
    """Return the bounds of ``expr``; None where nothing is known of it."""
    number = scalar_value(expr, definitions)
    if number is not None:
        return number, number
    value = definitions.get(expr) if isinstance(expr, relax.Var) else expr
    name = op_name(value)
    if name in _OF_RESULTS:
        return _OF_RESULTS[name]
    if value is None:
        is_byte = isinstance(expr.ty, relax.TensorType) and expr.ty.dtype == "uint8"
        return (0.0, 255.0) if is_byte else None
    if name == "astype":
        return bounds_of(value.args[0], definitions)
    if name in ("add", "divide"):
        return _of_both(name, value, definitions)
    return None


def _of_both(name: str, call: relax.Call, definitions: Definitions) -> Bounds | None:
    first, second = (bounds_of(arg, definitions) for arg in call.args)
    if first is None or second is None:
        return None
    if name == "add":
        return first[0] + second[0], first[1] + second[1]
    low, high = second
    if low != high or low == 0:
        return None
    quotients = first[0] / low, first[1] / low
    return min(quotients), max(quotients)


def scalar_value(expr: relax.Expr, definitions: Definitions) -> float | None:
    """Return the number that ``expr`` stands for where it is a finite constant of one element."""
    value = constant_value(expr, definitions)
    if value is None or value.size != 1 or not np.all(np.isfinite(value)):
        return None
    return float(value.reshape(()))
