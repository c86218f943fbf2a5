"""The kernel calls of a frame in order, and the layers of the network that each computes."""

from __future__ import annotations

import tvm
from tvm import relax, tirx

from compile.artefact.manifest import CallSummary
from compile.graph.layers import layers_of


def list_calls(planned: tvm.IRModule, function: str = "main") -> list[CallSummary]:
    """List the calls of ``function``, of a module from
    :func:`compile.passes.plan_memory.plan_memory`."""
    calls = (binding.value for block in planned[function].body.blocks for binding in block.bindings)
    return [
        CallSummary(call.op.name_hint, layers_of(call))
        for call in calls
        if isinstance(call, relax.Call)
        and isinstance(call.op, tvm.ir.GlobalVar)
        and isinstance(planned[call.op], tirx.PrimFunc)
    ]
