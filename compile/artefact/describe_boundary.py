"""The int8 tensors between backbone and head and what their numbers mean, for the manifest."""

from __future__ import annotations

from dataclasses import dataclass

import tvm
from tvm import relax

from compile.graph.constants import definitions_of
from compile.graph.quantized_graph import op_name, quantization_of


@dataclass(frozen=True)
class BoundaryTensor:
    """One int8 result of the backbone: real = scale * (q - zero_point).

    Attributes:
        shape: NHWC.
        scale, zero_point: per tensor.
    """

    shape: tuple[int, ...]
    scale: float
    zero_point: int
    dtype: str = "int8"
    layout: str = "NHWC"


def describe_boundary(cut: tvm.IRModule) -> list[BoundaryTensor]:
    """The boundary of a module that comes from the cut; empty where it was not split."""
    if not any(var.name_hint == "head" for var in cut.get_global_vars()):
        return []
    head: relax.Function = cut["head"]
    definitions = definitions_of(head)
    tensors = {}
    for value in definitions.values():
        if op_name(value) == "dequantize" and value.args[0] in list(head.params):
            quantization = quantization_of(value, definitions)
            shape = tuple(int(extent) for extent in value.args[0].ty.shape)
            tensors[value.args[0]] = BoundaryTensor(
                shape, float(quantization.scale), quantization.zero_point
            )
    return [tensors[param] for param in head.params if param in tensors]
