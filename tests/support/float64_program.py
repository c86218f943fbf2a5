"""A quantized program in float64: what its scales, zero points and weights mean, without rounding
between."""

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
            shape = [-1 if index == axis else 1 for index in range(value.ndim)]
            return (value.double() - zero_points.reshape(shape)) * scales.reshape(shape)
        if node.target is aten.to.dtype:  # To float16, or back.
            return args[0].double()
        if node.target is aten._assert_tensor_metadata.default:
            return None
        return super().run_node(node)


def _widened(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor
