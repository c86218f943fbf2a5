"""Unary functions of an 8-bit tensor as tables of their 256 values. Not a pass itself.

Such a function is one op, a chain of them, or ops that meet again, as x and the clipped x + 3 do in
hard-swish."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tvm import relax

from compile.graph.constants import Definitions, constant_value
from compile.graph.quantized_graph import Quantization, QuantizedTensor, dequantized, op_name

#: Of Klambauer et al., "Self-Normalizing Neural Networks", 2017, in PyTorch's digits.
SELU_SCALE, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717


def _double(x: NDArray) -> NDArray[np.float64]:
    return x.astype(np.float64)


def _reciprocal_root(x: NDArray) -> NDArray[np.float64]:
    """What is not positive has none, and is taken for the limit at 0."""
    least = np.finfo(np.float32).tiny
    return np.where(x > 0, 1 / np.sqrt(np.maximum(_double(x), least)), np.inf)


_erf = np.vectorize(math.erf, otypes=[np.float64])


_UNARY: dict[str, Callable[..., NDArray]] = {
    "nn.relu": lambda x: np.maximum(x, np.float32(0)),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x.astype(np.float64))),
    "tanh": lambda x: np.tanh(x.astype(np.float64)),
    "nn.leakyrelu": lambda x, slope: np.where(x < 0, x * slope, x),
    "nn.silu": lambda x: x / (1 + np.exp(-x.astype(np.float64))),
    "nn.selu": lambda x: SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(_double(x))),
    "nn.gelu": lambda x: x * 0.5 * (1 + _erf(_double(x) / math.sqrt(2))),
    "nn.gelu_tanh": lambda x: (
        x * 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * _double(x) ** 3)))
    ),
    "minimum": np.minimum,
    "abs": np.abs,
    "ones_like": np.ones_like,
    "rsqrt": _reciprocal_root,
    "log": lambda x: np.log(_double(x)),
    "exp": lambda x: np.exp(x.astype(np.float64)),
    "clip": lambda x, low, high: np.clip(x, low, high),
    "astype": lambda x: x,
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "take": lambda table, x: table.ravel()[x.astype(np.int64)],
}

#: What of an op's attributes its function takes.
_ATTRIBUTES = {"nn.leakyrelu": ("alpha",)}


@dataclass(frozen=True)
class UnaryFunction:
    """A function of one tensor.

    Attributes:
        source: the tensor.
        steps: the ops, each behind those that it is computed from, and what they are bound to.
    """

    source: relax.Expr
    steps: tuple[tuple[relax.Var, relax.Call], ...]


def unary_function(expr: relax.Expr, definitions: Definitions) -> UnaryFunction:
    """Return ``expr`` as a function of one tensor (and of scalars, or numbers for its channels):
    of itself where it is none of another one."""
    sources: dict[relax.Var, relax.Expr] = {}
    source = _source(expr, definitions, sources)
    used: set[relax.Var] = set()
    pending = [expr]
    while pending:
        var = pending.pop()
        if var in sources and var not in used and not var.same_as(source):
            used.add(var)
            pending.extend(arg for arg in definitions[var].args if isinstance(arg, relax.Var))
    return UnaryFunction(source, tuple((var, definitions[var]) for var in sources if var in used))


def _source(
    expr: relax.Expr, definitions: Definitions, sources: dict[relax.Var, relax.Expr]
) -> relax.Expr:
    """What ``expr`` is a function of; ``sources`` get it, behind what it is computed from."""
    if not isinstance(expr, relax.Var):
        return expr
    if expr not in sources:
        source: relax.Expr = expr
        call = definitions.get(expr)
        if call is not None and (arguments := _arguments(call, definitions)):
            operands = [
                arg
                for arg in arguments
                if _is_tensor(arg) and not _is_number(arg, call, definitions)
            ]
            found = [_source(arg, definitions, sources) for arg in operands]
            is_first = bool(operands) and operands[0].same_as(arguments[0])
            if is_first and all(one.same_as(found[0]) for one in found):
                source = found[0]
        sources[expr] = source
    return sources[expr]


def _arguments(call: relax.Call, definitions: Definitions) -> list[relax.Expr]:
    """What ``call`` computes its result of element by element, without the table of a lookup in one
    that is known; none where it does something else."""
    if op_name(call) == "take":
        table = constant_value(call.args[0], definitions)
        return [call.args[1]] if table is not None and table.ndim == 1 else []
    return [*call.args] if op_name(call) in _UNARY else []


def _is_number(expr: relax.Expr, call: relax.Call, definitions: Definitions) -> bool:
    value = constant_value(expr, definitions)
    return value is not None and _is_of_channels(value, call)


def _is_of_channels(value: NDArray, call: relax.Call) -> bool:
    """Whether there is one number, or one for each channel of an NHWC feature map."""
    if value.size == 1:
        return True
    shape = call.args[0].ty.shape
    return len(shape) == 4 and value.shape == (1, 1, 1, int(shape[3]))


def _is_tensor(expr: relax.Expr) -> bool:
    return isinstance(getattr(expr, "ty", None), relax.TensorType)


def unary_origin(
    function: UnaryFunction, definitions: Definitions
) -> tuple[QuantizedTensor, NDArray] | None:
    """The 8-bit tensor that a ``function`` is of, and its 256 values as real numbers."""
    source = function.source
    if op_name(definitions.get(source)) == "dequantize":
        operand = dequantized(source, definitions)
        q = np.arange(-128, 128, dtype=np.float32)
        return operand, (q - operand.quantization.zero_point) * operand.quantization.scale
    if _is_tensor(source) and source.ty.dtype == "uint8":
        unit = Quantization(np.float32(1), 0)
        return QuantizedTensor(source, unit), np.arange(256, dtype=np.float32)
    return None


def tabulate(
    function: UnaryFunction, numbers: NDArray, output: Quantization, definitions: Definitions
) -> NDArray[np.int8]:
    """int8 [256]: the quantized value of the ``function`` for each of the 256 ``numbers``; int8
    [C,256] where one of its constants has a number for each channel.

    Every op is rounded to float32, as PyTorch computes it; exponentials are taken in double
    precision first, so that the table does not depend on a math library's last bit.
    """
    values = {function.source: numbers}
    result = numbers
    for var, call in function.steps:
        operands = [
            values[arg]
            if isinstance(arg, relax.Var) and arg in values
            else _constant(arg, definitions)
            for arg in call.args
        ]
        names = _ATTRIBUTES.get(op_name(call), ())
        operands += [np.float32(getattr(call.attrs, name)) for name in names]
        result = values[var] = _UNARY[op_name(call)](*operands).astype(np.float32)
    # PyTorch quantizes by multiplying with the float32 reciprocal of the scale.
    inverse = np.float32(1) / output.scale
    rounded = np.rint(result * inverse) + output.zero_point
    return np.clip(rounded, -128, 127).astype(np.int8)


def _constant(expr: relax.Expr, definitions: Definitions) -> np.float32 | NDArray[np.float32]:
    """One number, or [C,1]."""
    array = constant_value(expr, definitions) if _is_tensor(expr) else np.array(expr.value)
    assert array is not None
    return np.float32(array.item()) if array.size == 1 else array.reshape(-1, 1).astype(np.float32)
