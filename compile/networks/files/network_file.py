"""What a file says of a network."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, fx

from compile.networks.files.graph_builder import Quantized
from compile.networks.quantized_ops import DEQUANTIZE, DEQUANTIZE_PER_CHANNEL, QUANTIZE
from compile.networks.user_module import fits_in_file, is_picture
from compile.support.frame import frame_size

aten = torch.ops.aten

#: Part of the range that the darkest and brightest numbers of calibration may miss.
_NEAR = 0.1

_MOVING = (
    aten.pad.default, aten.constant_pad_nd.default, aten.permute.default, aten.reshape.default,
)  # fmt: skip

Size = tuple[int, int]


@dataclass(frozen=True)
class NetworkFile:
    """A network from a file.

    Attributes:
        module: in evaluation mode; each operation is in a module of its own. It takes tensors like
            ``inputs`` and gives one, or a tuple. Quantized tensors are real numbers, float32. One
            picture is float32 [1, channels, H, W] in [0, 1], and so is the only one that is made
            of it.
        inputs: an example of each.
        input_names, output_names: of the tensors.
        makes_picture: whether the only output has four axes.
        scheme: name of the quantization scheme that it has already, or "" for a float network.
        is_open: whether it takes pictures of any size.
        in_pixels: whether its input is in [0, 1], or may be: see :func:`holds_pixels`.
    """

    module: fx.GraphModule
    inputs: tuple[Tensor, ...]
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    makes_picture: bool
    scheme: str = ""
    is_open: bool = False
    in_pixels: bool = True

    @property
    def takes_photographs(self) -> bool:
        """Whether the only input is a picture in [0, 1]."""
        return len(self.inputs) == 1 and is_picture(self.inputs[0]) and self.in_pixels

    @property
    def channels(self) -> int:
        """Of the picture."""
        return int(self.inputs[0].shape[1])

    @property
    def size(self) -> Size | None:
        """Height and width of the picture, or what stands for them of tensors; None where it takes
        any."""
        layout = "NCHW" if self.takes_photographs else ""
        return None if self.is_open else frame_size(tuple(self.inputs[0].shape), layout)


def named_apart(names: Iterable[str]) -> tuple[str, ...]:
    """``names`` of tensors, as files of tensors take them, each once."""
    found: list[str] = []
    for place, name in enumerate(names):
        is_fine = fits_in_file(name) and name not in found
        found.append(name if is_fine else f"tensor_{place}")
    return tuple(found)


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
    """Whether ``node`` is an int8 tensor in real numbers, also with a border or reordered."""
    assert isinstance(node, fx.Node)
    if node.target in _MOVING:
        return _is_int8(node.args[0])
    return node.target is DEQUANTIZE


def holds_pixels(quantized: Quantized) -> bool:
    """Whether numbers that are ``quantized`` so go from 0 to 1. Those that do not are no bytes of a
    photograph, as where a network's user normalizes pictures."""
    low, high = quantized.real(np.array([-128, 127]))
    return bool(low >= -_NEAR and 1 - 2 * _NEAR < high < 1 + 2 * _NEAR)
