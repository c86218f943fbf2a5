"""A small .tflite file around each operator but convolutions and arithmetic of two tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.random import Generator
from tflite_cases import SIDE, WIDTH, convolution, drawn_scale, drawn_weights
from tflite_files import TfliteFile

Case = Callable[[TfliteFile, int, Generator], int]


def tensor_like(file: TfliteFile, data: int, shape: tuple[int, ...]) -> int:
    """A tensor of another shape, quantized as ``data``."""
    q = file.tensors[data].quantization
    return file.tensor(shape, "int8", q.scale, int(q.zeroPoint[0]))


def constant(file: TfliteFile, values: Sequence[Any]) -> int:
    """An int32 constant."""
    array = np.array(values, np.int32)
    return file.tensor(array.shape, "int32", values=array)


def function(kind: str, options: str = "", slopes: int = 0, **given: Any) -> Case:
    """A function of one tensor, of a convolution's or of the picture."""

    def make(file: TfliteFile, data: int, rng: Generator) -> int:
        if kind not in ("LOG", "SQRT"):
            data = convolution(file, data, rng)
        shape = tuple(file.tensors[data].shape)
        inputs = [data]
        if slopes:
            values = rng.integers(-128, 128, slopes).astype(np.int8)
            inputs.append(file.tensor((1, 1, slopes), "int8", 0.01, 3, values=values))
        output = file.tensor(shape, "int8", *drawn_scale(rng))
        return file.operator(kind, inputs, output, options, **given)

    return make


def with_constant(kind: str, options: str, count: int, constant_first: bool = False) -> Case:
    """Of a tensor and a constant that LiteRT takes by the tensor's scale."""

    def make(file: TfliteFile, data: int, rng: Generator) -> int:
        data = convolution(file, data, rng)
        values = rng.integers(-40, 40, count).astype(np.int8)
        number = tensor_like(file, data, () if count == 1 else (count,))
        file.set_values(number, values)
        output = tensor_like(file, data, (1, SIDE, SIDE, WIDTH))
        inputs = [number, data] if constant_first else [data, number]
        return file.operator(kind, inputs, output, options)

    return make


def larger(kind: str) -> Case:
    """MAXIMUM or MINIMUM of two tensors of one scale."""

    def make(file: TfliteFile, data: int, rng: Generator) -> int:
        first = convolution(file, data, rng)
        second = convolution(file, data, rng)
        file.tensors[second].quantization = file.tensors[first].quantization
        output = tensor_like(file, first, (1, SIDE, SIDE, WIDTH))
        return file.operator(kind, [first, second], output, "MaximumMinimumOptions")

    return make


def average_pool(window: int, stride: int, activation: int = 0, same: bool = True) -> Case:
    """An average pool."""

    def make(file: TfliteFile, data: int, rng: Generator) -> int:
        data = convolution(file, data, rng)
        side = -(-SIDE // stride) if same else (SIDE - window) // stride + 1
        output = tensor_like(file, data, (1, side, side, WIDTH))
        return file.operator(
            "AVERAGE_POOL_2D", [data], output, "Pool2DOptions", padding=int(not same),
            strideH=stride, strideW=stride, filterHeight=window, filterWidth=window,
            fusedActivationFunction=activation,
        )  # fmt: skip

    return make


def max_pool(file: TfliteFile, data: int, rng: Generator) -> int:
    """One of stride 2 with a border at the end alone."""
    data = convolution(file, data, rng)
    output = tensor_like(file, data, (1, SIDE // 2, SIDE // 2, WIDTH))
    return file.operator(
        "MAX_POOL_2D", [data], output, "Pool2DOptions", padding=0, strideH=2, strideW=2,
        filterHeight=3, filterWidth=3,
    )  # fmt: skip


def reduced(kind: str, axes: Sequence[int], keeps: bool) -> Case:
    """MEAN or REDUCE_MAX."""

    def make(file: TfliteFile, data: int, rng: Generator) -> int:
        data = convolution(file, data, rng)
        shape = tuple(
            1 if axis in axes else extent
            for axis, extent in enumerate((1, SIDE, SIDE, WIDTH))
            if keeps or axis not in axes
        )
        output = tensor_like(file, data, shape)
        if kind == "MEAN":
            output = file.tensor(shape, "int8", *drawn_scale(rng))
        inputs = [data, constant(file, axes)]
        return file.operator(kind, inputs, output, "ReducerOptions", keepDims=keeps)

    return make


def softmax(file: TfliteFile, data: int, rng: Generator) -> int:
    """Over channels."""
    data = convolution(file, data, rng)
    output = file.tensor((1, SIDE, SIDE, WIDTH), "int8", 1 / 256, -128)
    return file.operator("SOFTMAX", [data], output, "SoftmaxOptions", beta=1.0)


def resized(kind: str, size: tuple[int, int], **given: bool) -> Case:
    """RESIZE_BILINEAR or RESIZE_NEAREST_NEIGHBOR of the picture."""
    bilinear, nearest = "ResizeBilinearOptions", "ResizeNearestNeighborOptions"

    def make(file: TfliteFile, data: int, rng: Generator) -> int:
        options = bilinear if kind == "RESIZE_BILINEAR" else nearest
        output = tensor_like(file, data, (1, *size, 3))
        return file.operator(kind, [data, constant(file, size)], output, options, **given)

    return make


def shuffled(kind: str) -> Case:
    """DEPTH_TO_SPACE or SPACE_TO_DEPTH of blocks of 2x2."""
    spread = kind == "DEPTH_TO_SPACE"

    def make(file: TfliteFile, data: int, rng: Generator) -> int:
        data = convolution(file, data, rng)
        shape = (
            (1, SIDE * 2, SIDE * 2, WIDTH // 4) if spread else (1, SIDE // 2, SIDE // 2, 4 * WIDTH)
        )
        options = "DepthToSpaceOptions" if spread else "SpaceToDepthOptions"
        return file.operator(kind, [data], tensor_like(file, data, shape), options, blockSize=2)

    return make


def transposed(
    kernel: int, stride: int, padding: int = 0, bias: bool = True, activation: int = 0
) -> Case:
    """TRANSPOSE_CONV to 8 channels."""

    def make(file: TfliteFile, data: int, rng: Generator) -> int:
        data = convolution(file, data, rng, width=5)
        side = SIDE * stride if padding == 0 else (SIDE - 1) * stride + max(kernel, stride)
        weights, own_bias = drawn_weights(file, rng, data, (WIDTH, kernel, kernel, 5), 0)
        shape = (1, side, side, WIDTH)
        output = file.tensor(shape, "int8", *drawn_scale(rng))
        inputs = [constant(file, shape), weights, data, *([own_bias] if bias else [])]
        return file.operator(
            "TRANSPOSE_CONV", inputs, output, "TransposeConvOptions", padding=padding,
            strideH=stride, strideW=stride, fusedActivationFunction=activation,
        )  # fmt: skip

    return make


def part(file: TfliteFile, data: int, rng: Generator) -> int:
    """SLICE of rows and channels."""
    data = convolution(file, data, rng)
    output = tensor_like(file, data, (1, 7, SIDE, 5))
    inputs = [data, constant(file, [0, 3, 0, 2]), constant(file, [1, 7, -1, 5])]
    return file.operator("SLICE", inputs, output, "SliceOptions")


def strided(file: TfliteFile, data: int, rng: Generator) -> int:
    """STRIDED_SLICE of every other row, all columns but the last, and one channel."""
    data = convolution(file, data, rng)
    limits = [constant(file, one) for one in ([0, 1, 0, 3], [1, 0, -1, 4], [1, 2, 1, 1])]
    output = tensor_like(file, data, (1, SIDE // 2, SIDE - 1))
    return file.operator(
        "STRIDED_SLICE", [data, *limits], output, "StridedSliceOptions", endMask=2,
        shrinkAxisMask=8, beginMask=1,
    )  # fmt: skip


def split(kind: str) -> Case:
    """SPLIT or SPLIT_V of channels, of which one part is transposed and one reshaped."""

    def make(file: TfliteFile, data: int, rng: Generator) -> int:
        data = convolution(file, data, rng)
        sizes = [4, 4] if kind == "SPLIT" else [5, 3]
        parts = [tensor_like(file, data, (1, SIDE, SIDE, size)) for size in sizes]
        if kind == "SPLIT":
            inputs, options = [constant(file, 3), data], "SplitOptions"
        else:
            inputs = [data, constant(file, sizes), constant(file, -1)]
            options = "SplitVOptions"
        file.operator(kind, inputs, parts, options, numSplits=2)
        turned = tensor_like(file, data, (1, SIDE, SIDE, sizes[1]))
        inputs = [parts[1], constant(file, [0, 2, 1, 3])]
        file.operator("TRANSPOSE", inputs, turned, "TransposeOptions")
        squeezed = tensor_like(file, data, (SIDE, SIDE, sizes[0]))
        file.operator("SQUEEZE", [parts[0]], squeezed, "SqueezeOptions", squeezeDims=[0])
        whole = tensor_like(file, data, (1, SIDE, SIDE, sizes[0]))
        axis = constant(file, 0)
        file.operator("EXPAND_DIMS", [squeezed, axis], whole, "ExpandDimsOptions")
        output = tensor_like(file, data, (1, SIDE, SIDE, WIDTH))
        return file.operator(
            "CONCATENATION", [turned, whole], output, "ConcatenationOptions", axis=3
        )

    return make


def mirrored(file: TfliteFile, data: int, rng: Generator) -> int:
    """MIRROR_PAD before a convolution."""
    widths = constant(file, [[0, 0], [1, 1], [2, 0], [0, 0]])
    output = tensor_like(file, data, (1, SIDE + 2, SIDE + 2, 3))
    return file.operator("MIRROR_PAD", [data, widths], output, "MirrorPadOptions", mode=0)


def dense(rows: bool) -> Case:
    """FULLY_CONNECTED of every pixel, or of all numbers."""

    def make(file: TfliteFile, data: int, rng: Generator) -> int:
        data = convolution(file, data, rng, width=4)
        inputs = 4 if rows else SIDE * SIDE * 4
        constants = drawn_weights(file, rng, data, (6, inputs), 0)
        shape = (1, SIDE, SIDE, 6) if rows else (1, 6)
        output = file.tensor(shape, "int8", *drawn_scale(rng, 1 if rows else 20))
        options = "FullyConnectedOptions"
        return file.operator(
            "FULLY_CONNECTED", [data, *constants], output, options, keepNumDims=rows
        )

    return make


OPERATOR_CASES: dict[str, Case] = {
    "abs": function("ABS"),
    "average pool": average_pool(2, 2, same=False),
    "average pool same": average_pool(3, 2),
    "average pool relu": average_pool(3, 1, 1),
    "average pool relu6": average_pool(4, 4, 3),
    "dense rows": dense(True),
    "dense all": dense(False),
    "depth to space": shuffled("DEPTH_TO_SPACE"),
    "space to depth": shuffled("SPACE_TO_DEPTH"),
    "elu": function("ELU"),
    "exp": function("EXP", "ExpOptions"),
    "gelu": function("GELU", "GeluOptions"),
    "hard swish": function("HARD_SWISH", "HardSwishOptions"),
    "leaky relu": function("LEAKY_RELU", "LeakyReluOptions", alpha=0.3),
    "log": function("LOG"),
    "max pool": max_pool,
    "maximum": larger("MAXIMUM"),
    "minimum": larger("MINIMUM"),
    "maximum number": with_constant("MAXIMUM", "MaximumMinimumOptions", 1),
    "minimum numbers": with_constant("MINIMUM", "MaximumMinimumOptions", WIDTH, True),
    "subtract from": with_constant("SUB", "SubOptions", 1, True),
    "subtract from numbers": with_constant("SUB", "SubOptions", WIDTH, True),
    "mean of channels": reduced("MEAN", [3], True),
    "mean of channels flat": reduced("MEAN", [3], False),
    "mean flat": reduced("MEAN", [1, 2], False),
    "mean of rows": reduced("MEAN", [1], True),
    "maximum of channels": reduced("REDUCE_MAX", [3], True),
    "maximum of pixels": reduced("REDUCE_MAX", [1, 2], True),
    "mirror pad": mirrored,
    "neg": function("NEG", "NegOptions"),
    "prelu": function("PRELU", slopes=WIDTH),
    "prelu of one": function("PRELU", slopes=1),
    "relu n1 to 1": function("RELU_N1_TO_1"),
    "resize nearest": resized("RESIZE_NEAREST_NEIGHBOR", (24, 40)),
    "resize nearest half pixel": resized(
        "RESIZE_NEAREST_NEIGHBOR", (32, 48), halfPixelCenters=True
    ),
    "slice": part,
    "strided slice": strided,
    "softmax": softmax,
    "split": split("SPLIT"),
    "split by sizes": split("SPLIT_V"),
    "sqrt": function("SQRT"),
    "transpose conv": transposed(3, 2),
    "transpose conv relu": transposed(4, 2, activation=1),
    "transpose conv valid": transposed(2, 2, 1),
    "transpose conv without bias": transposed(5, 3, 1, bias=False),
    "transpose conv by one": transposed(3, 1),
}

BILINEAR_CASES: dict[str, Case] = {
    "by two": resized("RESIZE_BILINEAR", (32, 32), halfPixelCenters=True),
    "corners": resized("RESIZE_BILINEAR", (31, 46), alignCorners=True),
    "odd": resized("RESIZE_BILINEAR", (23, 37), halfPixelCenters=True),
}
