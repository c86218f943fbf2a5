"""What is known of a file's tensors while its graph is written.

Tensors are NHWC there and NCHW here; one of fewer axes has 1 for those that it lacks in front.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx

from compile.networks.files.graph_builder import GraphBuilder, Quantized
from compile.networks.files.tflite.model import TensorFacts
from compile.support.errors import MqnetError

aten = torch.ops.aten

Padding = tuple[int, int, int, int]
"""Rows above and below, columns before and behind."""


def nhwc(shape: Sequence[int]) -> tuple[int, ...]:
    """The four extents of a tensor."""
    return (1,) * (4 - len(shape)) + tuple(shape)


def nchw_axis(axis: int, rank: int) -> int:
    """Which axis here is ``axis`` of a tensor of so many axes there."""
    return (0, 2, 3, 1)[axis + 4 - rank]


class Scope:
    """Nodes of the graph by the number of the file's tensor that they compute."""

    def __init__(self, builder: GraphBuilder, tensors: list[TensorFacts]) -> None:
        self.builder = builder
        self.tensors = tensors
        self._bytes: dict[int, fx.Node] = {}
        self._real: dict[int, fx.Node] = {}
        self._constants: dict[int, TensorFacts] = {}
        self._padded: dict[int, tuple[int, Padding]] = {}
        self._moved: dict[int, tuple[int, NDArray[np.int32]]] = {}

    def put(self, index: int, node: fx.Node) -> None:
        """``node`` computes tensor ``index`` in real numbers, not yet rounded to its scale."""
        tensor = self.tensors[index]
        if tensor.dtype not in ("INT8", "UINT8"):
            self._real[index] = node
            return
        self.put_bytes(index, self.builder.quantize(node, tensor.quantized))

    def put_bytes(self, index: int, node: fx.Node) -> None:
        """``node`` computes the int8 tensor ``index``."""
        self._bytes[index] = node
        self._real[index] = self.builder.dequantize(node, self.tensors[index].quantized)

    def real(self, index: int) -> fx.Node:
        """Tensor ``index`` in real numbers."""
        if index not in self._real:
            raise MqnetError(f"tensor {self.tensors[index].name} is read before it is computed")
        return self._real[index]

    def bytes(self, index: int) -> fx.Node:
        """Tensor ``index`` in int8."""
        self.real(index)
        return self._bytes[index]

    def at_scale(self, index: int, scale: float) -> fx.Node:
        """Tensor ``index`` in real numbers by another scale than its own."""
        zero_point = self.tensors[index].quantized.zero_point
        return self.builder.dequantize(self.bytes(index), Quantized(scale, zero_point))

    def settled(self, index: int, node: fx.Node) -> fx.Node:
        """``node`` rounded to the scale of tensor ``index``, where that has one."""
        tensor = self.tensors[index]
        if not tensor.is_int8:
            return node
        of = tensor.quantized
        return self.builder.dequantize(self.builder.quantize(node, of), of)

    def put_constant(self, index: int, tensor: TensorFacts) -> None:
        """Tensor ``index`` holds the numbers of the constant ``tensor``."""
        self._constants[index] = tensor

    def constant(self, index: int) -> TensorFacts | None:
        """The constant that tensor ``index`` is, or None."""
        tensor = self.tensors[index]
        return self._constants.get(index, tensor if tensor.constant is not None else None)

    def put_padded(self, index: int, source: int, padding: Padding) -> None:
        """Tensor ``index`` is ``source`` within a border of zeros."""
        self._padded[index] = source, padding

    def padded(self, index: int) -> tuple[int, Padding]:
        """The tensor that ``index`` is, and the border of zeros around it."""
        return self._padded.get(index, (index, (0, 0, 0, 0)))

    def put_moved(self, index: int, source: int, origins: NDArray[np.int32]) -> None:
        """Number n of tensor ``index`` is number ``origins[n]`` of ``source``."""
        self._moved[index] = source, origins

    def moved(self, index: int) -> tuple[int, NDArray[np.int32]]:
        """The tensor whose numbers ``index`` holds, and where each is there."""
        if index in self._moved:
            return self._moved[index]
        shape = self.tensors[index].shape
        return index, np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
