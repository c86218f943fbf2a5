"""Converters of PyTorch's ``quantized_decomposed`` operators, which stock TVM does not import.

Each has the form that ``from_exported_program(custom_convert_map=...)`` asks for: a function of the
FX node and the importer. All integer tensors are int8; the scales become float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import fx
from tvm import relax

from compile.support.errors import GraphError

_INT8_RANGE = (-128, 127)


def quantize_per_tensor(node: fx.Node, importer: Any) -> relax.Var:
    """``quantize_per_tensor(x, scale, zero_point, quant_min, quant_max, dtype)``."""
    data, scale, zero_point, low, high, dtype = _arguments(node)
    _check_int8(node, low, high, dtype)
    call = relax.op.quantize(
        importer.env[data], _scale(scale), _zero_point(zero_point), axis=-1, out_dtype="int8"
    )
    return importer.block_builder.emit(call)


def dequantize_per_tensor(node: fx.Node, importer: Any) -> relax.Var:
    """``dequantize_per_tensor(q, scale, zero_point, quant_min, quant_max, dtype)``."""
    data, scale, zero_point, low, high, dtype = _arguments(node)
    _check_int8(node, low, high, dtype)
    call = relax.op.dequantize(
        importer.env[data], _scale(scale), _zero_point(zero_point), axis=-1, out_dtype="float32"
    )
    return importer.block_builder.emit(call)


def dequantize_per_channel(node: fx.Node, importer: Any) -> relax.Var:
    """``dequantize_per_channel(q, scales, zero_points, axis, min, max, dtype, *, out_dtype)``.

    The zero points are dropped: :func:`compile.frontend.check_program.check_program` has seen that
    they are zero (weights are symmetric).
    """
    data, scales, _, axis, _, _, dtype = _arguments(node)
    _check_int8(node, *_INT8_RANGE, dtype)
    out_dtype = node.kwargs.get("out_dtype") or torch.float32
    call = relax.op.dequantize(
        importer.env[data],
        importer.env[scales],
        _zero_point(0),
        axis=axis,
        out_dtype=str(out_dtype).removeprefix("torch."),
    )
    return importer.block_builder.emit(call)


#: What :func:`compile.frontend.import_program.import_program` hands to TVM's importer.
QUANTIZED_OPS = {
    "quantize_per_tensor.default": quantize_per_tensor,
    "dequantize_per_tensor.default": dequantize_per_tensor,
    "dequantize_per_channel.default": dequantize_per_channel,
}


def _arguments(node: fx.Node) -> tuple[Any, ...]:
    """The arguments, whose types the operator's schema says and FX's do not."""
    return node.args


def _check_int8(node: fx.Node, low: int, high: int, dtype: torch.dtype) -> None:
    if dtype is not torch.int8 or (low, high) != _INT8_RANGE:
        raise GraphError(
            f"{node.name}: quantized to {dtype} in [{low}, {high}]; only int8 in [-128, 127] can "
            "be imported, so let the quantizer use that"
        )


def _scale(value: float) -> relax.Expr:
    return relax.const(np.float32(value), "float32")


def _zero_point(value: int) -> relax.Expr:
    return relax.const(np.int8(value), "int8")
