"""Small .onnx files, float or with quantize and dequantize, and what ONNX Runtime computes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.random import Generator
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SIDE = 16
SHAPE = (1, 3, SIDE, SIDE)
WIDTH = 8
IMAGE = np.tile(np.arange(256, dtype=np.uint8), 3).reshape(1, SIDE, SIDE, 3)


class OnnxFile:
    """A network that grows by a node at a time, and by quantize and dequantize where ``quantized``:
    activations of uint8, or of int8 where ``signed``; weights of dense layers are [O, I] where
    ``turned``."""

    def __init__(
        self, seed: int = 0, quantized: bool = True, signed: bool = False, turned: bool = False
    ) -> None:
        self.turned = turned
        self.rng: Generator = np.random.default_rng(seed)
        self.quantized, self.signed = quantized, signed
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.scales: dict[str, float] = {}
        self.shape: tuple[int | str, ...] = SHAPE

    def constant(self, values: NDArray) -> str:
        """The name of a new constant."""
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """The name of what a new node computes, as real numbers that are not yet quantized."""
        name = f"layer/part{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def rounded(self, name: str, scale: float | None = None, zero_point: int | None = None) -> str:
        """The same, quantized and dequantized."""
        if not self.quantized:
            return name
        scale = float(np.float32(scale or self.rng.uniform(0.01, 0.05)))
        zero_point = int(self.rng.integers(90, 170)) if zero_point is None else zero_point
        place = (
            np.array(zero_point - 128, np.int8) if self.signed else np.array(zero_point, np.uint8)
        )
        parameters = self.constant(np.float32(scale)), self.constant(place)
        result = self.node(
            "DequantizeLinear", self.node("QuantizeLinear", name, *parameters), *parameters
        )
        self.scales[result] = scale
        return result

    def picture(self) -> str:
        """The input."""
        return self.rounded("picture", 1 / 255, 0)

    def conv(
        self, data: str, inputs: int = 3, taps: int = 3, width: int = WIDTH, **attributes: Any
    ) -> str:
        """A convolution with drawn weights."""
        attributes.setdefault("pads", [taps // 2] * 4)
        groups = attributes.get("group", 1)
        shape = (width, inputs // groups, taps, taps)
        if not self.quantized:
            weights = self.rng.normal(0, 0.2, shape).astype(np.float32)
            bias = self.rng.normal(0, 0.2, width).astype(np.float32)
            return self.node(
                "Conv", data, self.constant(weights), self.constant(bias), **attributes
            )
        values = self.rng.integers(-127, 128, shape).astype(np.int8)
        scales = self.rng.uniform(0.001, 0.02, width).astype(np.float32)
        bias = self.rng.integers(-3000, 3000, width).astype(np.int32)
        units = (np.float32(self.scales[data]) * scales).astype(np.float32)
        zeros = np.zeros(width, np.int8), np.zeros(width, np.int32)
        weight, offset = (
            self.node("DequantizeLinear", *map(self.constant, given), axis=0)
            for given in ((values, scales, zeros[0]), (bias, units, zeros[1]))
        )
        return self.node("Conv", data, weight, offset, **attributes)

    def dense(self, data: str, width: int, inputs: int = WIDTH) -> str:
        """A dense layer with drawn weights."""
        shape = (width, inputs) if self.turned else (inputs, width)
        axis, turned = int(not self.turned), int(self.turned)
        if not self.quantized:
            weights = self.constant(self.rng.normal(0, 1, shape).astype(np.float32))
            bias = self.constant(self.rng.normal(0, 1, width).astype(np.float32))
            return self.node("Gemm", data, weights, bias, transB=turned)
        values = self.rng.integers(-127, 128, shape).astype(np.int8)
        scales = self.rng.uniform(0.001, 0.02, width).astype(np.float32)
        units = (np.float32(self.scales[data]) * scales).astype(np.float32)
        given = values, scales, np.zeros(width, np.int8)
        weight = self.node("DequantizeLinear", *map(self.constant, given), axis=axis)
        counts = self.rng.integers(-300, 300, width).astype(np.int32)
        given = counts, units, np.zeros(width, np.int32)
        bias = self.node("DequantizeLinear", *map(self.constant, given), axis=0)
        return self.node("Gemm", data, weight, bias, transB=turned)

    def write(
        self,
        path: Path,
        *outputs: str,
        opset: int = 20,
        integers: Sequence[str] = (),
        axes: int = 4,
    ) -> Path:
        """The file at ``path``; ``outputs`` have so many ``axes``, and some are ``integers``."""
        given = helper.make_tensor_value_info("picture", TensorProto.FLOAT, self.shape)
        results = [
            helper.make_tensor_value_info(
                name, TensorProto.INT64 if name in integers else TensorProto.FLOAT, [None] * axes
            )
            for name in outputs
        ]
        graph = helper.make_graph(self.nodes, "network", [given], results, self.constants)
        opsets = [helper.make_opsetid("", opset)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
        path.write_bytes(model.SerializeToString())
        return path


def run_onnx(
    path: Path, image: NDArray[np.uint8], optimized: bool = True, **extents: int
) -> NDArray[np.float32]:
    """What ONNX Runtime computes of a photograph, uint8 [1, H, W, C]: float32 in that order too;
    ``extents`` are of what the file leaves open."""
    level = onnxruntime.GraphOptimizationLevel
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimized else level.ORT_DISABLE_ALL
    for name, extent in extents.items():
        options.add_free_dimension_override_by_name(name, extent)
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    x = np.ascontiguousarray(image.transpose(0, 3, 1, 2) / np.float32(255))
    (found,) = session.run(None, {session.get_inputs()[0].name: x})
    return found.transpose(0, 2, 3, 1)


def _pair(kind: str) -> Any:
    def make(file: OnnxFile) -> str:
        data = file.picture()
        return file.node(kind, *(file.rounded(file.conv(data)) for _ in range(2)))

    return make


def _number(kind: str, value: float, first: bool = False) -> Any:
    def make(file: OnnxFile) -> str:
        constant = file.constant(np.float32(value))
        inputs = [file.rounded(file.conv(file.picture())), constant]
        return file.node(kind, *reversed(inputs) if first else inputs)

    return make


def _unary(kind: str, **attributes: Any) -> Any:
    return lambda file: file.node(kind, file.rounded(file.conv(file.picture())), **attributes)


def _constants(kind: str, *draws: Any, **attributes: Any) -> Any:
    """An operator that reads constants beside its data."""

    def make(file: OnnxFile) -> str:
        data = file.rounded(file.conv(file.picture()))
        constants = (file.constant(draw(file.rng)) for draw in draws)
        return file.node(kind, data, *constants, **attributes)

    return make


def _drawn(low: float, high: float, *shape: int) -> Any:
    return lambda rng: rng.uniform(low, high, shape).astype(np.float32)


def _given(*values: float, dtype: Any = np.float32) -> Any:
    return lambda _rng: np.array(values if len(values) > 1 else values[0], dtype)


def _concat(file: OnnxFile) -> str:
    data = file.picture()
    parts = [file.rounded(file.conv(data)) for _ in range(2)]
    joined = file.node("Concat", *parts, data, axis=1)
    return file.conv(file.rounded(joined), 2 * WIDTH + 3)


def _depthwise(file: OnnxFile) -> str:
    data = file.rounded(file.node("Relu", file.conv(file.picture())), zero_point=0)
    return file.conv(data, WIDTH, group=WIDTH, strides=[2, 2], pads=[0, 0, 1, 1])


def _clipped(file: OnnxFile) -> str:
    limits = (file.constant(np.float32(value)) for value in (0.0, 1.0))
    return file.node("Clip", file.conv(file.picture(), strides=[2, 2]), *limits)


_FACTORS = _given(1, 1, 2, 2)
_NEAREST = {
    "mode": "nearest",
    "nearest_mode": "floor",
    "coordinate_transformation_mode": "asymmetric",
}

INTEGER_CASES: dict[str, Any] = {
    "conv": lambda file: file.conv(file.picture()),
    "clipped": _clipped,
    "depthwise": _depthwise,
    "concat": _concat,
    "add": _pair("Add"),
    "multiply": _pair("Mul"),
    "add number": _number("Add", 0.37),
    "subtract number": _number("Sub", 0.5),
    "multiply number": _number("Mul", 1.7),
    "sigmoid": _unary("Sigmoid"),
    "tanh": _unary("Tanh"),
    "leaky": _unary("LeakyRelu", alpha=0.2),
    "mean": _constants("ReduceMean", _given(2, 3, dtype=np.int64)),
    "global": _unary("GlobalAveragePool"),
    "max pool": _unary("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    "resize": lambda file: file.node(
        "Resize",
        file.rounded(file.conv(file.picture())),
        "",
        file.constant(_FACTORS(None)),
        **_NEAREST,
    ),
}
"""What is computed in integers: written with quantize and dequantize."""

FLOAT_CASES: dict[str, Any] = {
    **INTEGER_CASES,
    "subtract": _pair("Sub"),
    "divide": _number("Div", 1.3),
    "from a number": _number("Sub", 0.5, first=True),
    "by a number": lambda file: file.node(
        "Div", file.constant(np.float32(2)), file.node("Exp", file.conv(file.picture()))
    ),
    "channels": _constants("Mul", _drawn(0.1, 2, WIDTH, 1, 1)),
    "batch norm": _constants(
        "BatchNormalization", *[_drawn(0.5, 2, WIDTH)] * 4, epsilon=0.01
    ),
    "instance norm": _constants(
        "InstanceNormalization", *[_drawn(0.5, 2, WIDTH)] * 2, epsilon=0.1
    ),
    "average": _unary("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    "average with border": _unary(
        "AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1
    ),
    "exp": _unary("Exp"),
    "shuffle": _unary("DepthToSpace", blocksize=2, mode="CRD"),
    "identity": _unary("Identity"),
    "reflected": _constants(
        "Pad", _given(0, 0, 1, 2, 0, 0, 2, 1, dtype=np.int64), mode="reflect"
    ),
    "zeros": _constants("Pad", _given(0, 0, 1, 2, 0, 0, 2, 1, dtype=np.int64)),
    "bilinear": lambda file: file.node(
        "Resize", file.conv(file.picture()), "", file.constant(_FACTORS(None)), mode="linear",
        coordinate_transformation_mode="half_pixel",
    ),
    "nearest centres": lambda file: file.node(
        "Resize", file.conv(file.picture()), "", file.constant(_given(1, 1, 3, 3)(None)),
    ),
    "transposed": _constants(
        "ConvTranspose", _drawn(-0.3, 0.3, WIDTH, 5, 2, 2), _drawn(-1, 1, 5), strides=[2, 2]
    ),
    "same": lambda file: file.conv(file.picture(), taps=4, pads=None, auto_pad="SAME_UPPER"),
}  # fmt: skip
"""What is taken in float."""
