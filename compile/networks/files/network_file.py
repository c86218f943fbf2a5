"""What a file says of a network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import fx

from compile.networks.files.graph_builder import Quantized
from compile.networks.quantized_ops import DEQUANTIZE, DEQUANTIZE_PER_CHANNEL, QUANTIZE
from compile.support.errors import MqnetError

aten = torch.ops.aten

#: Part of the range that the darkest and brightest numbers of calibration may miss.
_NEAR = 0.1

Size = tuple[int, int]


@dataclass(frozen=True)
class NetworkFile:
    """A network from a file.

    Attributes:
        module: in evaluation mode, float32 [1, channels, H, W] in [0, 1] to float32 [1, C, H, W];
            each operation is in a module of its own.
        channels: of its input.
        size: height and width that it takes, and no other; None where it says none.
        scheme: name of the quantization scheme that it has already, or "" for a float network.
    """

    module: fx.GraphModule
    channels: int
    size: Size | None
    scheme: str = ""


def scheme_of(graph: fx.Graph) -> str:
    """Name the scheme that ``graph``, of PyTorch's operations, is quantized by: "int8", "mixed"
    where a convolution has float data or weights, "w8a32" where weights alone are int8, "" for
    none."""
    targets = {node.target for node in graph.nodes}
    if QUANTIZE not in targets:
        return "w8a32" if DEQUANTIZE_PER_CHANNEL in targets else ""
    convolutions = [node for node in graph.nodes if node.target is aten.conv2d.default]
    return "int8" if all(map(_is_in_int8, convolutions)) else "mixed"


def _is_in_int8(convolution: fx.Node) -> bool:
    """Whether data and weights are."""
    data, weights = convolution.args[:2]
    is_weight = isinstance(weights, fx.Node) and weights.target is DEQUANTIZE_PER_CHANNEL
    return is_weight and _is_int8(data)


def _is_int8(node: object) -> bool:
    """Whether ``node`` is an int8 tensor in real numbers, also with a border."""
    assert isinstance(node, fx.Node)
    if node.target in (aten.pad.default, aten.constant_pad_nd.default):
        return _is_int8(node.args[0])
    return node.target is DEQUANTIZE


def check_input_range(quantized: Quantized) -> None:
    """Raise where an input, ``quantized`` so, is no picture in [0, 1].

    Raises:
        MqnetError: it says from where to where it goes.
    """
    low, high = quantized.real(np.array([-128, 127]))
    if low < -_NEAR or not 1 - 2 * _NEAR < high < 1 + 2 * _NEAR:
        raise MqnetError(
            f"its input goes from {low:.3g} to {high:.3g}, and pictures are given to it in [0, 1]: "
            "put what changes their range into the network"
        )
