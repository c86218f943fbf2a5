"""Unary functions of an 8-bit tensor as tables of their 256 values. Not a pass itself."""

from __future__ import annotations

from collections.abc import Callable

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


_UNARY: dict[str, Callable[..., NDArray]] = {
    "nn.relu": lambda x: np.maximum(x, np.float32(0)),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x.astype(np.float64))),
    "tanh": lambda x: np.tanh(x.astype(np.float64)),
    "nn.leakyrelu": lambda x, slope: np.where(x < 0, x * slope, x),
    "nn.silu": lambda x: x / (1 + np.exp(-x.astype(np.float64))),
    "nn.selu": lambda x: SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(_double(x))),
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
}

#: What of an op's attributes its function takes.
_ATTRIBUTES = {"nn.leakyrelu": ("alpha",)}


def unary_chain(expr: relax.Expr, definitions: Definitions) -> tuple[list[relax.Call], relax.Expr]:
    """The ops of one tensor operand (and scalars, or numbers for its channels) that lead to
    ``expr``, last first, and the expression before them."""
    chain: list[relax.Call] = []
    while True:
        call = definitions.get(expr) if isinstance(expr, relax.Var) else None
        if (
            call is None
            or op_name(call) not in _UNARY
            or not _others_are_scalars(call, definitions)
        ):
            return chain, expr
        chain.append(call)
        expr = call.args[0]


def _others_are_scalars(call: relax.Call, definitions: Definitions) -> bool:
    others = [arg for arg in call.args[1:] if _is_tensor(arg) and not arg.same_as(call.args[0])]
    values = (constant_value(arg, definitions) for arg in others)
    return all(value is not None and _is_of_channels(value, call) for value in values)


def _is_of_channels(value: NDArray, call: relax.Call) -> bool:
    """Whether there is one number, or one for each channel of an NHWC feature map."""
    if value.size == 1:
        return True
    shape = call.args[0].ty.shape
    return len(shape) == 4 and value.shape == (1, 1, 1, int(shape[3]))


def _is_tensor(expr: relax.Expr) -> bool:
    return isinstance(getattr(expr, "ty", None), relax.TensorType)


def unary_origin(
    chain: list[relax.Call], source: relax.Expr, definitions: Definitions
) -> tuple[list[relax.Call], QuantizedTensor, NDArray] | None:
    """The 8-bit tensor that a unary ``chain`` starts from, and its 256 values as real numbers."""
    if op_name(definitions.get(source)) == "dequantize":
        operand = dequantized(source, definitions)
        q = np.arange(-128, 128, dtype=np.float32)
        numbers = (q - operand.quantization.zero_point) * operand.quantization.scale
        return chain, operand, numbers
    if _is_tensor(source) and source.ty.dtype == "uint8":
        unit = Quantization(np.float32(1), 0)
        return chain, QuantizedTensor(source, unit), np.arange(256, dtype=np.float32)
    return None


def tabulate(chain: list[relax.Call], numbers: NDArray, output: Quantization) -> NDArray[np.int8]:
    """int8 [256]: the quantized value of the ``chain`` for each of the 256 ``numbers``; int8
    [C,256] where a constant of the chain has a number for each channel.

    Every op is rounded to float32, as PyTorch computes it; exponentials are taken in double
    precision first, so that the table does not depend on a math library's last bit.
    """
    values = numbers
    for call in reversed(chain):
        scalars = [values if arg.same_as(call.args[0]) else _constant(arg) for arg in call.args[1:]]
        names = _ATTRIBUTES.get(op_name(call), ())
        scalars += [np.float32(getattr(call.attrs, name)) for name in names]
        values = _UNARY[op_name(call)](values, *scalars).astype(np.float32)
    # PyTorch quantizes by multiplying with the float32 reciprocal of the scale.
    inverse = np.float32(1) / output.scale
    rounded = np.rint(values * inverse) + output.zero_point
    return np.clip(rounded, -128, 127).astype(np.int8)


def _constant(expr: relax.Expr) -> np.float32 | NDArray[np.float32]:
    """One number, or [C,1]."""
    value = expr.value
    array = value.numpy() if hasattr(value, "numpy") else np.array(value)
    return np.float32(array.item()) if array.size == 1 else array.reshape(-1, 1).astype(np.float32)
