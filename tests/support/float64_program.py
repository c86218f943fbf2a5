"""A quantized program in float64: what its scales, zero points and weights mean, without rounding
between. Biases of integer convolutions are whole numbers of their accumulator, as the compiler has
them: half of one can be what a picture of one colour lacks to a tie, all of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx
from torch.export import ExportedProgram

from compile.networks.quantized_ops import DEQUANTIZE, DEQUANTIZE_PER_CHANNEL, QUANTIZE
from compile.quantize.resize_program import tensors_of

aten = torch.ops.aten


def run_in_float64(program: ExportedProgram, photo: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The output, [H, W, C], of ``program`` for ``photo``, uint8 [H, W, C]."""
    with torch.no_grad():
        constants = [_widened(one.detach()) for one in tensors_of(program)]
        inputs = [*constants, torch.from_numpy(photo[None])]
        (output,) = _Float64(program.graph_module).run(*inputs)
    return output.numpy()[0]


class _Float64(fx.Interpreter):
    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.scales: dict[fx.Node, Tensor] = {}

    def run_node(self, node: fx.Node) -> Any:
        args, kwargs = self.fetch_args_kwargs_from_env(node)
        if node.target is QUANTIZE:
            value, scale, zero_point, low, high, _ = args
            return (value / scale).round().add(zero_point).clamp(low, high)
        if node.target is DEQUANTIZE:
            value, scale, zero_point = args[:3]
            return (value.double() - zero_point) * scale
        if node.target is DEQUANTIZE_PER_CHANNEL:
            value, scales, zero_points, axis = args[:4]
            self.scales[node] = scales
            shape = [-1 if index == axis else 1 for index in range(value.ndim)]
            return (value.double() - zero_points.reshape(shape)) * scales.reshape(shape)
        if node.target is aten.conv2d.default and len(args) > 2 and args[2] is not None:
            return node.target(*args[:2], self._whole(args[2], node), *args[3:], **kwargs)
        if node.target is aten.to.dtype:  # To float16, or back.
            return args[0].double()
        if node.target is aten._assert_tensor_metadata.default:
            return None
        return super().run_node(node)

    def _whole(self, bias: Tensor, conv: fx.Node) -> Tensor:
        """``bias`` of ``conv`` as an integer accumulator holds it, where it multiplies integers."""
        data, weight = conv.args[:2]
        if data.target is not DEQUANTIZE or weight not in self.scales:
            return bias
        unit = data.args[1] * self.scales[weight]
        return (bias / unit).round() * unit


def _widened(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor
