"""Writes a network as a graph of PyTorch's operations, in PT2E's form where it is quantized."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from compile.networks.quantized_ops import DEQUANTIZE, DEQUANTIZE_PER_CHANNEL, QUANTIZE

_INT8 = (-128, 127, torch.int8)


@dataclass(frozen=True)
class Quantized:
    """What int8 numbers of a tensor mean: ``scale * (q - zero_point)``."""

    scale: float
    zero_point: int

    def by(self, scale: float) -> Quantized:
        """The same zero point with another scale."""
        return Quantized(scale, self.zero_point)

    def real(self, q: NDArray) -> NDArray[np.float32]:
        """The numbers that ``q`` mean, rounded as PyTorch and the compiler do."""
        return (
            (q.astype(np.float32) - np.float32(self.zero_point)) * np.float32(self.scale)
        ).astype(np.float32)

    def quantized(self, real: NDArray) -> NDArray[np.int64]:
        """The int8 numbers next to ``real``, ties to even, in int64."""
        steps = np.rint(real.astype(np.float32) * (np.float32(1) / np.float32(self.scale)))
        return np.clip(steps + self.zero_point, -128, 127).astype(np.int64)


class GraphBuilder:
    """A graph that grows by an operation at a time."""

    def __init__(self) -> None:
        self._graph = fx.Graph()
        self._root = nn.Module()
        self._count = 0
        self.path = ""

    def input(self) -> fx.Node:
        """The next input."""
        name = f"input{self._count}"
        self._count += 1
        return self._graph.placeholder(name)

    def named(self, path: str) -> None:
        """From here on operations are of the layer at ``path``."""
        self.path = path

    def constant(self, value: Tensor) -> fx.Node:
        """A constant that is ``value``."""
        name = f"constant{self._count}"
        self._count += 1
        self._root.register_buffer(name, value)
        return self._graph.get_attr(name)

    def call(self, function: Callable[..., Any], *args: Any) -> fx.Node:
        """The result of ``function``, one of PyTorch's."""
        node = self._graph.call_function(function, args)
        if self.path:
            node.meta["nn_module_stack"] = {self.path: (self.path, "")}
        return node

    def quantize(self, data: fx.Node, of: Quantized) -> fx.Node:
        """``data`` as int8."""
        return self.call(QUANTIZE, data, of.scale, of.zero_point, *_INT8)

    def dequantize(self, data: fx.Node, of: Quantized) -> fx.Node:
        """Int8 ``data`` as numbers."""
        return self.call(DEQUANTIZE, data, of.scale, of.zero_point, *_INT8)

    def weights(self, values: NDArray[np.int8], scales: NDArray[np.float32]) -> fx.Node:
        """Int8 weights, OIHW, as numbers by a scale for each output channel."""
        zero_points = torch.zeros(len(scales), dtype=torch.int64)
        constants = (torch.from_numpy(values.copy()), torch.from_numpy(scales.copy()), zero_points)
        return self.call(DEQUANTIZE_PER_CHANNEL, *map(self.constant, constants), 0, *_INT8)

    def finish(self, results: Sequence[fx.Node]) -> fx.GraphModule:
        """What gives the only one of ``results``, or all of them."""
        self._graph.output(results[0] if len(results) == 1 else tuple(results))
        module = fx.GraphModule(self._root, self._graph)
        module.graph.eliminate_dead_code()
        module.recompile()
        return module


def layer_path(name: str) -> str:
    """A path of modules from the ``name`` of a tensor: of names that a converter from PyTorch
    writes, as ``torch.nn.modules.conv.Conv2d_conv1``, those of the attributes."""
    parts = []
    for part in name.split(";")[0].split("/"):
        attribute = part.rpartition(".")[2].partition("_")[2] if "." in part else part
        parts.append(re.sub(r"\W", "_", attribute))
    path = ".".join(part for part in parts if part)
    return path if all(part.strip("_") for part in path.split(".")) else ""
