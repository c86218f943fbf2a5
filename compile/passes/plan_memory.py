"""Fix the order of kernels and the memory that each tensor lives in.

The plan is plain data in the module that this returns: storages, tensors in them, and kernel calls
in order. Everything behind it (the VM's bytecode) only spells it out.
"""

from __future__ import annotations

import tvm
from tvm import relax

from compile.graph.layers import keep_layers
from compile.passes.inline_parts import InlineParts
from compile.passes.plan_storage import PlanStorage


def plan_memory() -> tvm.transform.Pass:
    """Destination-passing kernel calls over statically planned storage."""
    passes = [
        InlineParts(),
        relax.transform.RewriteDataflowReshape(),
        relax.transform.ToNonDataflow(),
        relax.transform.RemovePurityChecking(),
        keep_layers(relax.transform.CallTIRRewrite()),
        PlanStorage(),
    ]
    return tvm.transform.Sequential(passes, name="PlanMemory")


def lower_to_vm() -> tvm.transform.Pass:
    """The planned module as calls of the virtual machine's builtins."""
    passes = [
        relax.transform.KillAfterLastUse(),
        relax.transform.LowerRuntimeBuiltin(),
        relax.transform.ComputePrimValue(),
        relax.transform.VMShapeLower(),
        relax.transform.AttachGlobalSymbol(),
    ]
    return tvm.transform.Sequential(passes, name="LowerToVM")
