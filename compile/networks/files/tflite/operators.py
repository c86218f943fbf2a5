"""What each operator of a .tflite file is in PyTorch.

Each function writes its operator into the scope's graph and returns the result in real numbers, or
None where it has put the result itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import fx

from compile.networks.files.rounding import line_through, xnnpack_rescale
from compile.networks.files.tflite import arithmetic, convolutions, moving, tables, windows
from compile.networks.files.tflite.model import Operator
from compile.networks.files.tflite.scope import Scope, nchw_axis, nhwc
from compile.support.errors import MqnetError

aten = torch.ops.aten


def _quantize(scope: Scope, operator: Operator) -> fx.Node | None:
    data, output = operator.inputs[0], operator.outputs[0]
    before, after = scope.tensors[data], scope.tensors[output]
    if before.dtype not in ("INT8", "UINT8"):
        return scope.real(data)
    x, y = before.quantized, after.quantized
    if x == y:
        scope.put_bytes(output, scope.bytes(data))
        return None
    table = xnnpack_rescale(x, y)
    multiplier = round(float(np.float32(x.scale) / np.float32(y.scale)) * 256) / 256
    factor = float(np.float32(multiplier * y.scale / x.scale))
    factor, shift, _ = line_through(table, x, y, factor, 0.0)
    scaled = scope.builder.call(aten.mul.Tensor, scope.real(data), factor)
    return scope.builder.call(aten.add.Tensor, scaled, shift)


def _dequantize(scope: Scope, operator: Operator) -> fx.Node | None:
    (data,), (output,) = operator.inputs, operator.outputs
    constant = scope.constant(data)
    if constant is None:
        return scope.real(data)
    scope.put_constant(output, constant)
    return None


def _largest(scope: Scope, operator: Operator) -> fx.Node:
    """ARG_MAX: the first of the largest along an axis."""
    data, output = operator.inputs[0], scope.tensors[operator.outputs[0]]
    shape = scope.tensors[data].shape
    axis = moving.integers(scope, operator, 1)[0] % len(shape)
    kept = list(nhwc(shape))
    kept[axis + 4 - len(shape)] = 1
    place = scope.builder.call(
        aten.argmax.default, scope.real(data), nchw_axis(axis, len(shape)), True
    )
    if output.dtype == "INT32":
        place = scope.builder.call(aten.to.dtype, place, torch.int32)
    return moving.shaped(scope, place, tuple(kept), nhwc(output.shape))


def _cast(scope: Scope, operator: Operator) -> fx.Node:
    """CAST, of numbers that mean themselves."""
    data, output = (scope.tensors[one] for one in (operator.inputs[0], operator.outputs[0]))
    if data.dtype not in _CASTS or output.dtype not in _CASTS:
        raise MqnetError(f"{output.name} casts {data.dtype} to {output.dtype}: quantize instead")
    return scope.builder.call(aten.to.dtype, scope.real(operator.inputs[0]), _CASTS[output.dtype])


_CASTS = {"FLOAT32": torch.float32, "INT32": torch.int32, "INT64": torch.int64}


def _unary(function: Any) -> Callable[[Scope, Operator], fx.Node]:
    """A function that LiteRT and PyTorch round alike."""

    def convert(scope: Scope, operator: Operator) -> fx.Node:
        return scope.builder.call(function, scope.real(operator.inputs[0]))

    return convert


OPERATORS: dict[str, Callable[[Scope, Operator], fx.Node | None]] = {
    "ABS": tables.function(aten.abs.default),
    "ADD": arithmetic.add,
    "ARG_MAX": _largest,
    "AVERAGE_POOL_2D": windows.average_pool,
    "CAST": _cast,
    "CONCATENATION": moving.concat,
    "CONV_2D": convolutions.convolution,
    "DEPTHWISE_CONV_2D": convolutions.depthwise,
    "DEPTH_TO_SPACE": moving.depth_to_space,
    "DEQUANTIZE": _dequantize,
    "DIV": arithmetic.divide,
    "ELU": tables.function(aten.elu.default),
    "EXP": tables.function(aten.exp.default),
    "EXPAND_DIMS": moving.reshape,
    "FULLY_CONNECTED": convolutions.fully_connected,
    "GELU": tables.gelu,
    "HARD_SWISH": tables.function(aten.hardswish.default),
    "LEAKY_RELU": tables.function(aten.leaky_relu.default, "alpha"),
    "LOG": tables.function(aten.log.default),
    "LOGISTIC": _unary(aten.sigmoid.default),
    "MAXIMUM": arithmetic.larger(aten.maximum.default),
    "MAX_POOL_2D": windows.max_pool,
    "MEAN": windows.mean,
    "MINIMUM": arithmetic.larger(aten.minimum.default),
    "MIRROR_PAD": moving.mirror_pad,
    "MUL": arithmetic.multiply,
    "NEG": tables.function(aten.neg.default),
    "PAD": moving.pad,
    "PRELU": tables.prelu,
    "QUANTIZE": _quantize,
    "REDUCE_MAX": windows.maximum,
    "RELU": tables.function(aten.relu.default),
    "RELU6": tables.function(aten.relu6.default),
    "RELU_N1_TO_1": tables.clamp,
    "RESHAPE": moving.reshape,
    "RESIZE_BILINEAR": windows.resize_bilinear,
    "RESIZE_NEAREST_NEIGHBOR": windows.resize_nearest,
    "RSQRT": _unary(aten.rsqrt.default),
    "SLICE": moving.part,
    "SOFTMAX": windows.softmax,
    "SPACE_TO_DEPTH": moving.space_to_depth,
    "SPLIT": moving.split,
    "SPLIT_V": moving.split_by_sizes,
    "SQRT": tables.function(aten.sqrt.default),
    "SQUEEZE": moving.reshape,
    "STRIDED_SLICE": moving.strided_slice,
    "SUB": arithmetic.subtract,
    "TANH": _unary(aten.tanh.default),
    "TRANSPOSE": moving.transpose,
    "TRANSPOSE_CONV": convolutions.transposed,
}
"""By the name of the format; what is not here is refused."""
