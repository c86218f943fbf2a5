"""The kernel calls of a frame in order, and the layers of the network that each computes."""

from __future__ import annotations

from dataclasses import dataclass

import tvm
from tvm import relax, tirx

from compile.graph.layers import layers_of


@dataclass(frozen=True)
class CallSummary:
    """One kernel call.

    Attributes:
        kernel: name of the function in the library.
        layers: qualified names of the PyTorch modules that it computes, in order; an activation
            belongs to the layer before it.
    """

    kernel: str
    layers: tuple[str, ...]


def describe_calls(planned: tvm.IRModule, function: str = "main") -> list[CallSummary]:
    """The calls of ``function``, of a module from
    :func:`compile.passes.plan_memory.plan_memory`."""
    calls = (binding.value for block in planned[function].body.blocks for binding in block.bindings)
    return [
        CallSummary(call.op.name_hint, layers_of(call))
        for call in calls
        if isinstance(call, relax.Call)
        and isinstance(call.op, tvm.ir.GlobalVar)
        and isinstance(planned[call.op], tirx.PrimFunc)
    ]
