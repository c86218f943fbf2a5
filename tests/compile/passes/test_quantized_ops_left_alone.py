"""LowerQuantizedOps where no kernel serves: the ops stay in float and the log says why."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import tvm
from backends import cpu_backend
from quantized_op_cases import (
    LOGGER,
)
from tvm import relax
from tvm.ir import assert_structural_equal

from compile.passes.lower_quantized_ops import LowerQuantizedOps

SHAPE = (1, 4, 6, 4)
PER_TENSOR = (np.float32(0.5), np.int8(3))


def quantized_op(build, *parameters, output=PER_TENSOR) -> tvm.IRModule:
    """dequantize of two int8 parameters, what ``build`` makes of them, quantize."""
    builder = relax.BlockBuilder()
    names = "ab"[: max(1, len(parameters))]
    params = [relax.Var(name, relax.TensorType(SHAPE, "int8")) for name in names]
    with builder.function("main", params):
        with builder.dataflow():
            operands = []
            for param, (scale, zero_point) in zip(params, parameters or [PER_TENSOR], strict=True):
                scale, zero_point = relax.const(scale), relax.const(zero_point)
                operands.append(builder.emit(relax.op.dequantize(param, scale, zero_point, -1)))
            value = build(builder, *operands)
            scale, zero_point = map(relax.const, output)
            result = relax.op.quantize(value, scale, zero_point, -1, "int8")
            result = builder.emit_output(result, "result")
        builder.emit_func_output(result)
    return builder.get()


def convolution(builder, data, weight=None, **options):
    """conv2d of ``data`` with int8 weights of its number of channels."""
    if weight is None:
        stored = relax.const(np.ones((4, 4 // options.get("groups", 1), 1, 1), "int8"))
        scales = relax.const(np.ones(4, "float32"))
        weight = relax.op.dequantize(stored, scales, relax.const(np.int8(0)), 0)
        weight = builder.emit(weight)
    layouts = {"data_layout": "NHWC", "kernel_layout": "OIHW", "out_layout": "NHWC"}
    return builder.emit(relax.op.nn.conv2d(data, weight, **layouts, **options))


def asymmetric_weight(builder):
    stored = relax.const(np.ones((4, 4, 1, 1), "int8"))
    scales = relax.const(np.ones(4, "float32"))
    return builder.emit(relax.op.dequantize(stored, scales, relax.const(np.int8(1)), 0))


def resize(builder, data, size, method="nearest_neighbor"):
    return builder.emit(relax.op.image.resize2d(data, size, layout="NHWC", method=method))


def mean_of(builder, data):
    return builder.emit(relax.op.mean(data, axis=[1, 2], keepdims=True))


OTHER = (np.float32(0.25), np.int8(3))
REFUSED = [
    (
        "nn.softmax has no integer kernel",
        quantized_op(lambda bb, a: bb.emit(relax.op.nn.softmax(a, axis=3))),
    ),
    (
        "sigmoid has no integer kernel",
        quantized_op(lambda bb, a: bb.emit(relax.op.sigmoid(convolution(bb, a)))),
    ),
    (
        "the convolution has a float operand",
        quantized_op(
            lambda bb, a: convolution(bb, a, relax.const(np.ones((4, 4, 1, 1), "float32")))
        ),
    ),
    (
        "the weights are not constants, symmetric per output channel",
        quantized_op(lambda bb, a: convolution(bb, a, asymmetric_weight(bb))),
    ),
    (
        "the bias is not one number per output channel",
        quantized_op(
            lambda bb, a: bb.emit(
                relax.op.add(convolution(bb, a), relax.const(np.ones((1, 1, 6, 4), "float32")))
            )
        ),
    ),
    (
        "multiply has no integer kernel",
        quantized_op(
            lambda bb, a: bb.emit(relax.op.multiply(a, relax.const(np.ones(4, "float32"))))
        ),
    ),
    (
        "average pooling is lowered for a 1x1 result only",
        quantized_op(
            lambda bb, a: bb.emit(relax.op.nn.adaptive_avg_pool2d(a, [2, 2], layout="NHWC"))
        ),
    ),
    (
        "the mean is over 8421505 pixels, and an int32 holds the sum of 8421504",
        quantized_op(lambda bb, a: mean_of(bb, resize(bb, a, (5, 1684301)))),
    ),
    (
        "resizing by cubic has no kernel",
        quantized_op(lambda bb, a: resize(bb, a, (8, 12), "cubic")),
    ),
    (
        "the weights of the bilinear resizing are too fine for int32",
        quantized_op(lambda bb, a: resize(bb, a, (4999, 5003), "linear")),
    ),
    (
        "resizing by nearest neighbours with half_pixel and round has no kernel",
        quantized_op(lambda bb, a: resize(bb, a, (8, 6))),
    ),
    (
        "moving bytes needs one quantization for operands and result",
        quantized_op(lambda bb, a: resize(bb, a, (8, 12)), output=OTHER),
    ),
    (
        "moving bytes needs one quantization for operands and result",
        quantized_op(lambda bb, a, b: bb.emit(relax.op.concat([a, b], axis=3)), PER_TENSOR, OTHER),
    ),
    (
        "padding of mode circular has no kernel",
        quantized_op(
            lambda bb, a: bb.emit(relax.op.nn.pad(a, [0, 0, 1, 1, 1, 1, 0, 0], "circular"))
        ),
    ),
    (
        "padding is lowered for rows and columns only",
        quantized_op(lambda bb, a: bb.emit(relax.op.nn.pad(a, [0] * 6 + [1, 1], "reflect"))),
    ),
    (
        "concatenation is lowered along channels only",
        quantized_op(
            lambda bb, a, b: bb.emit(relax.op.concat([a, b], axis=1)), PER_TENSOR, PER_TENSOR
        ),
    ),
    (
        "quantize is not per tensor with constant parameters",
        quantized_op(
            lambda bb, a: bb.emit(relax.op.sigmoid(a)), output=(np.ones(4, "float32"), np.int8(0))
        ),
    ),
]


@pytest.mark.parametrize(("why", "before"), REFUSED)
def test_op_without_a_kernel_stays_and_says_why(why: str, before, caplog) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    assert_structural_equal(LowerQuantizedOps(cpu_backend())(before), before)
    assert caplog.messages == [f"result stays in float: {why}"]
