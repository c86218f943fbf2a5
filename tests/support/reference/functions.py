"""Functions of one tensor as PyTorch computes them, by the name of its operator."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

#: What PyTorch computes in float32, one rounding per operation; e^x in float64 before that.
UNARY = {
    "to.dtype": lambda x, dtype: x,
    "add.Tensor": lambda x, y: x + np.float32(y),
    "sub.Tensor": lambda x, y: x - np.float32(y),
    "mul.Tensor": lambda x, y: x * np.float32(y),
    "div.Tensor": lambda x, y: x / np.float32(y),
    "ones_like.default": lambda x, **_: np.ones_like(x),
    "rsub.Scalar": lambda x, y: np.float32(y) - x,
    "clamp.default": lambda x, low, high: np.clip(x, np.float32(low), np.float32(high)),
    "abs.default": np.abs,
    "rsqrt.default": lambda x: 1 / np.sqrt(x.astype(np.float64)),
    "log.default": lambda x: np.log(x.astype(np.float64)),
    "exp.default": lambda x: np.exp(x.astype(np.float64)),
    "relu.default": lambda x: np.maximum(x, np.float32(0)),
    "hardtanh.default": lambda x, low, high: np.clip(x, np.float32(low), np.float32(high)),
    "sigmoid.default": lambda x: 1 / (1 + np.exp(-x.astype(np.float64))),
    "tanh.default": lambda x: np.tanh(x.astype(np.float64)),
    "silu.default": lambda x: x / (1 + np.exp(-x.astype(np.float64))),
    "selu.default": lambda x: (
        1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x.astype(np.float64)))
    ),
    "leaky_relu.default": lambda x, slope=0.01: np.where(x < 0, x * np.float32(slope), x),
    "prelu.default": lambda x, slopes: np.where(x < 0, x * slopes, x),
    "hardsigmoid.default": lambda x: _six(x) / np.float32(6),
    "hardswish.default": lambda x: x * _six(x) / np.float32(6),
    "gelu.default": lambda x, approximate="none": _GELUS[approximate](x.astype(np.float64)),
}


def _six(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.clip(x + np.float32(3), np.float32(0), np.float32(6))


_GELUS = {
    "none": lambda x: x / 2 * (1 + np.vectorize(math.erf)(x / math.sqrt(2))),
    "tanh": lambda x: x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
}
