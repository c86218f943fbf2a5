"""Recognize a convolution with its bias, over int8 or float data. Not a pass itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tvm import relax

from compile.graph.constants import Definitions, constant_value
from compile.graph.quantized_graph import NotLowerable, QuantizedTensor, dequantized, op_name

#: Layout of a feature map whose rows are planes, one for each channel.
NHCW = "NHCW"


@dataclass(frozen=True)
class Convolution:
    """A 2-D convolution with bias and activation.

    Attributes:
        data: the original int8 variable, or the original float variable.
        weight: OIHW, int8 or float32.
        weight_scale: float32 [O], or None for float weights.
        bias: float32 [O].
        data_layout, out_layout: "NHWC", or "NHCW" for rows of planes.
        low, high: limits of the activation in real numbers, or None.
    """

    data: QuantizedTensor | relax.Expr
    weight: NDArray
    weight_scale: NDArray[np.float32] | None
    bias: NDArray[np.float32]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    groups: int
    dilation: tuple[int, int] = (1, 1)
    data_layout: str = "NHWC"
    out_layout: str = "NHWC"
    low: float | None = None
    high: float | None = None

    @property
    def is_depthwise(self) -> bool:
        """Whether each output channel is computed from one input channel, and each input channel
        makes one output channel."""
        return self.groups > 1 and self.weight.shape[:2] == (self.groups, 1)

    @property
    def is_grouped(self) -> bool:
        """Whether it is neither dense nor depthwise."""
        return self.groups > 1 and not self.is_depthwise

    @property
    def is_pointwise(self) -> bool:
        """Whether each output pixel is computed from one input pixel's channels, all of them."""
        geometry = self.weight.shape[2:], self.stride, self.padding, self.groups
        return geometry == ((1, 1), (1, 1), (0, 0, 0, 0), 1)


def match_convolution(expr: relax.Expr, definitions: Definitions) -> Convolution:
    """The convolution (with its bias) that ``expr`` computes.

    Raises:
        NotLowerable: it is none, or one that no kernel serves.
    """
    call = definitions.get(expr, expr) if isinstance(expr, relax.Var) else expr
    bias = None
    if op_name(call) == "add":
        bias = constant_value(call.args[1], definitions)
        if bias is None:
            raise NotLowerable("it adds two tensors")
        call = definitions.get(call.args[0])
    if op_name(call) != "nn.conv2d":
        raise NotLowerable(f"{op_name(call) or 'its source'} is no convolution")
    attrs = call.attrs
    weight, weight_scale = _weight(call.args[1], definitions)
    channels = weight.shape[0]
    if bias is None:
        bias = np.zeros(channels, np.float32)
    axis = str(attrs.out_layout).index("C") - 4
    if bias.size != channels or (bias.ndim and bias.shape[max(axis, -bias.ndim)] != channels):
        raise NotLowerable("the bias is not one number per output channel")
    groups = int(attrs.groups)
    source, border = _without_zeros(call.args[0], definitions)
    data: QuantizedTensor | relax.Expr = source
    # Under float weights int8 data saves nothing: its dequantize stays an op of its own.
    if op_name(definitions.get(source)) == "dequantize" and weight_scale is not None:
        data = dequantized(source, definitions)
    rows, columns = (int(s) for s in attrs.strides)
    top, left, bottom, right = (
        int(p) + more for p, more in zip(attrs.padding, border, strict=True)
    )
    # There is nothing between the taps of a window with one of them.
    down, across = (
        int(step) if taps > 1 else 1
        for step, taps in zip(attrs.dilation, weight.shape[2:], strict=True)
    )
    return Convolution(
        data,
        weight,
        weight_scale,
        bias.reshape(channels).astype(np.float32),
        stride=(rows, columns),
        padding=(top, left, bottom, right),
        groups=groups,
        dilation=(down, across),
        data_layout=str(attrs.data_layout),
        out_layout=str(attrs.out_layout),
    )


def _without_zeros(
    expr: relax.Expr, definitions: Definitions
) -> tuple[relax.Expr, tuple[int, int, int, int]]:
    """What a border of zeros is put around (NHWC), if one is: (top, left, bottom, right) of it."""
    call = definitions.get(expr) if isinstance(expr, relax.Var) else None
    none = expr, (0, 0, 0, 0)
    if call is None or op_name(call) != "nn.pad":
        return none
    widths = [int(width) for width in call.attrs.pad_width]
    is_zero = str(call.attrs.pad_mode) == "constant" and float(call.attrs.pad_value) == 0
    if not is_zero or len(widths) != 8 or min(widths) < 0 or any(widths[:2] + widths[6:]):
        return none
    top, bottom, left, right = widths[2:6]
    return call.args[0], (top, left, bottom, right)


def activation_limits(call: relax.Expr) -> tuple[float, float | None] | None:
    """(low, high) where ``call`` is a ReLU or a clip, else None."""
    if op_name(call) == "nn.relu":
        return 0.0, None
    if op_name(call) == "clip":
        return float(call.args[1].value), float(call.args[2].value)
    return None


def _weight(
    expr: relax.Expr, definitions: Definitions
) -> tuple[NDArray, NDArray[np.float32] | None]:
    definition = definitions.get(expr) if isinstance(expr, relax.Var) else expr
    if definition is not None and op_name(definition) == "dequantize":
        weight = constant_value(definition.args[0], definitions)
        scale = constant_value(definition.args[1], definitions)
        zero_point = constant_value(definition.args[2], definitions)
        if weight is None or scale is None or np.any(zero_point) or definition.attrs.axis != 0:
            raise NotLowerable("the weights are not constants, symmetric per output channel")
        return weight, scale.astype(np.float32)
    weight = constant_value(expr, definitions)
    if weight is None:
        raise NotLowerable("the weights are no constants")
    return weight, None
