"""A small .tflite file around each operator that is taken, with drawn scales and weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.random import Generator
from tflite_files import TfliteFile

SIDE = 16
SHAPE = (1, SIDE, SIDE, 3)
WIDTH = 8
IMAGE = np.random.default_rng(9).integers(0, 256, SHAPE, dtype=np.uint8)
IMAGE.reshape(-1)[:] = np.tile(np.arange(256, dtype=np.uint8), 3)
np.random.default_rng(8).shuffle(IMAGE.reshape(-1, 3))


def drawn_scale(rng: Generator, factor: float = 1) -> tuple[float, int]:
    """A scale, so many times larger, and a zero point."""
    return float(np.float32(factor * rng.uniform(0.01, 0.05))), int(rng.integers(-40, 40))


def drawn_weights(
    file: TfliteFile, rng: Generator, data: int, shape: tuple[int, ...], axis: int
) -> list[int]:
    """Weights and their bias."""
    count = shape[axis]
    values = rng.integers(-127, 128, shape).astype(np.int8)
    scales = rng.uniform(0.001, 0.02, count).astype(np.float32)
    weight = file.tensor(shape, "int8", scales, 0, axis, values)
    (unit,) = file.tensors[data].quantization.scale
    bias = rng.integers(-3000, 3000, count).astype(np.int32)
    return [weight, file.tensor((count,), "int32", unit * scales, values=bias)]


def convolution(
    file: TfliteFile, data: int, rng: Generator, *, stride: int = 1, valid: bool = False,
    activation: int = 0, taps: int = 3, width: int = WIDTH,
) -> int:  # fmt: skip
    """A dense convolution."""
    inputs = int(file.tensors[data].shape[3])
    constants = drawn_weights(file, rng, data, (width, taps, taps, inputs), 0)
    side = SIDE - taps + 1 if valid else -(-SIDE // stride)
    scale, zero_point = drawn_scale(rng)
    output = file.tensor((1, side, side, width), "int8", scale, -128 if activation else zero_point)
    return file.operator(
        "CONV_2D", [data, *constants], output, "Conv2DOptions", padding=int(valid),
        strideH=stride, strideW=stride, fusedActivationFunction=activation,
        dilationHFactor=1, dilationWFactor=1,
    )  # fmt: skip


def depthwise(file: TfliteFile, data: int, rng: Generator) -> int:
    """One behind a dense one: of stride 2, with more padding on one side."""
    data = convolution(file, data, rng, activation=3)
    constants = drawn_weights(file, rng, data, (1, 3, 3, WIDTH), 3)
    output = file.tensor((1, SIDE // 2, SIDE // 2, WIDTH), "int8", *drawn_scale(rng))
    return file.operator(
        "DEPTHWISE_CONV_2D", [data, *constants], output, "DepthwiseConv2DOptions", padding=0,
        strideH=2, strideW=2, depthMultiplier=1, fusedActivationFunction=0, dilationHFactor=1,
        dilationWFactor=1,
    )  # fmt: skip


def pair(
    kind: str, options: str, activation: int = 0
) -> Callable[[TfliteFile, int, Generator], int]:
    """Arithmetic of two tensors."""

    def make(file: TfliteFile, data: int, rng: Generator) -> int:
        operands = [convolution(file, data, rng) for _ in range(2)]
        output = file.tensor((1, SIDE, SIDE, WIDTH), "int8", *drawn_scale(rng))
        return file.operator(kind, operands, output, options, fusedActivationFunction=activation)

    return make


def with_constant(
    kind: str, options: str, count: int
) -> Callable[[TfliteFile, int, Generator], int]:
    """Arithmetic of a tensor and a number, or one for each channel."""

    def make(file: TfliteFile, data: int, rng: Generator) -> int:
        data = convolution(file, data, rng)
        values = rng.integers(-128, 128, count).astype(np.int8)
        shape = () if count == 1 else (count,)
        constant = file.tensor(shape, "int8", *drawn_scale(rng), values=values)
        output = file.tensor((1, SIDE, SIDE, WIDTH), "int8", *drawn_scale(rng))
        return file.operator(kind, [data, constant], output, options, fusedActivationFunction=0)

    return make


def unary(kind: str, scale: float, zero_point: int) -> Callable[[TfliteFile, int, Generator], int]:
    """A function of a tensor."""

    def make(file: TfliteFile, data: int, rng: Generator) -> int:
        if kind != "RSQRT":
            data = convolution(file, data, rng, taps=1, width=3)
        output = file.tensor(SHAPE, "int8", scale, zero_point)
        return file.operator(kind, [data], output)

    return make


def mean(file: TfliteFile, data: int, rng: Generator) -> int:
    """Over height and width."""
    data = convolution(file, data, rng)
    axes = file.tensor((2,), "int32", values=np.array([1, 2], np.int32))
    output = file.tensor((1, 1, 1, WIDTH), "int8", *drawn_scale(rng))
    return file.operator("MEAN", [data, axes], output, "ReducerOptions", keepDims=True)


def dense(file: TfliteFile, data: int, rng: Generator) -> int:
    """Over the channels of one pixel."""
    data = mean(file, data, rng)
    constants = drawn_weights(file, rng, data, (5, WIDTH), 0)
    output = file.tensor((1, 1, 1, 5), "int8", *drawn_scale(rng))
    inputs = [data, *constants]
    options = "FullyConnectedOptions"
    return file.operator("FULLY_CONNECTED", inputs, output, options, keepNumDims=True)


def moved(file: TfliteFile, data: int, rng: Generator) -> int:
    """A max pool, upsampled by a resize, beside one that is upsampled by concats and reshapes."""
    scale, zero_point = 1 / 255, -128
    half = SIDE // 2

    def tensor(*shape: int) -> int:
        return file.tensor(shape, "int8", scale, zero_point)

    def joined(parts: list[int], axis: int, *shape: int) -> int:
        options = "ConcatenationOptions"
        return file.operator("CONCATENATION", parts, tensor(*shape), options, axis=axis)

    def shaped(part: int, *shape: int) -> int:
        wanted = file.tensor((4,), "int32", values=np.array(shape, np.int32))
        return file.operator(
            "RESHAPE", [part, wanted], tensor(*shape), "ReshapeOptions", newShape=shape
        )

    pooled = file.operator(
        "MAX_POOL_2D", [data], tensor(1, half, half, 3), "Pool2DOptions", padding=0, strideH=2,
        strideW=2, filterHeight=2, filterWidth=2,
    )  # fmt: skip
    size = file.tensor((2,), "int32", values=np.array([SIDE, SIDE], np.int32))
    first = file.operator(
        "RESIZE_NEAREST_NEIGHBOR", [pooled, size], tensor(*SHAPE), "ResizeNearestNeighborOptions"
    )
    rows = shaped(joined([pooled] * 2, 3, 1, half, half, 6), 1, half, 1, SIDE * 3)
    second = shaped(joined([rows] * 2, 2, 1, half, 2, SIDE * 3), *SHAPE)
    both = joined([first, second, data], -1, 1, SIDE, SIDE, 9)
    return convolution(file, both, rng)


def padded(file: TfliteFile, data: int, rng: Generator) -> int:
    """A border that a convolution reads."""
    widths = np.array([[0, 0], [1, 2], [2, 1], [0, 0]], np.int32)
    constant = file.tensor((4, 2), "int32", values=widths)
    bordered = file.tensor((1, SIDE + 3, SIDE + 3, 3), "int8", 1 / 255, -128)
    data = file.operator("PAD", [data, constant], bordered, "PadOptions")
    constants = drawn_weights(file, rng, data, (WIDTH, 4, 4, 3), 0)
    output = file.tensor((1, SIDE, SIDE, WIDTH), "int8", *drawn_scale(rng))
    return file.operator(
        "CONV_2D", [data, *constants], output, "Conv2DOptions", padding=1, strideH=1, strideW=1,
        fusedActivationFunction=1, dilationHFactor=1, dilationWFactor=1,
    )  # fmt: skip


CASES: dict[str, Callable[[TfliteFile, int, Generator], int]] = {
    "same": convolution,
    "stride": lambda *given: convolution(*given, stride=2, activation=3),
    "valid": lambda *given: convolution(*given, valid=True, activation=1),
    "depthwise": depthwise,
    "padded": padded,
    "dense": dense,
    "mean": mean,
    "moved": moved,
    "add": pair("ADD", "AddOptions"),
    "add relu": pair("ADD", "AddOptions", 1),
    "subtract": pair("SUB", "SubOptions"),
    "multiply": pair("MUL", "MulOptions"),
    "add number": with_constant("ADD", "AddOptions", 1),
    "add numbers": with_constant("ADD", "AddOptions", WIDTH),
    "subtract number": with_constant("SUB", "SubOptions", 1),
    "multiply number": with_constant("MUL", "MulOptions", 1),
    "multiply numbers": with_constant("MUL", "MulOptions", WIDTH),
    "logistic": unary("LOGISTIC", 1 / 256, -128),
    "tanh": unary("TANH", 1 / 128, 0),
    "relu": unary("RELU", 0.013, -128),
    "relu6": unary("RELU6", 6 / 255, -128),
    "quantize": unary("QUANTIZE", 0.0123, 11),
    "rsqrt": unary("RSQRT", 16 / 255, -128),
}


def write_case(name: str, path: Path, seed: int = 0) -> Path:
    """The file of the case ``name``."""
    return write_operator(CASES[name], path, seed)


def write_operator(
    make: Callable[[TfliteFile, int, Generator], int], path: Path, seed: int = 0
) -> Path:
    """The file of what ``make`` makes of a picture."""
    file = TfliteFile()
    data = file.tensor(SHAPE, "int8", 1 / 255, -128)
    output = make(file, data, np.random.default_rng(seed))
    return file.write(path, [data], [output])
