"""The reference of a build: its own kernels without their schedules, compiled for this machine.

So what is wrong in a schedule, in the target's instructions, in a tuning record or in machine code
shows, and in the kernel that it is in.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Any

import numpy as np
import tvm
from tvm import relax

from compile.artefact.reader import Artefact
from compile.artefact.vector_file import TestVector
from compile.codegen.kernel_objects import emit_objects
from compile.codegen.link.link import ExportLinker
from compile.codegen.reference_target import reference_target
from compile.codegen.standalone.read_plan import FrameCall, FramePlan, read_plan
from compile.graph.parts import COPY, HEAD
from compile.passes.plan_memory import plan_memory
from compile.support.build_cache import BuildCache
from compile.support.scratch_folder import scratch_folder
from device.runtime.artefact_device import network_layout
from device.runtime.check_calls import CheckedCall
from device.runtime.tvm_network import TvmNetwork
from targets.load_target import load_target


@dataclass(frozen=True)
class ReferenceCall:
    """A call of the reference that the build makes, too.

    Attributes:
        kernel: name of the function.
        layers: that it computes.
        here: the call as the reference makes it.
        there: the call as the build makes it.
        nodes: of the exported program that it computes, by number.
        results: shape and dtype of each.
    """

    kernel: str
    layers: tuple[str, ...]
    here: CheckedCall
    there: CheckedCall
    nodes: tuple[int, ...] = ()
    results: tuple[tuple[tuple[int, ...], str], ...] = ()


@dataclass(frozen=True)
class Reference:
    """How a build has to compute.

    Attributes:
        modules: planned, by library.
        layout: of :func:`device.runtime.artefact_device.network_layout`, on this processor.
        calls: those that both make.
        kernels: names of the reference's.
        macs: of a frame.
        is_half: some floats are float16.
    """

    modules: Mapping[str, tvm.IRModule]
    layout: Mapping[str, Any]
    calls: tuple[ReferenceCall, ...]
    kernels: Collection[str]
    macs: int
    is_half: bool

    @contextmanager
    def loaded(self, cache: BuildCache) -> Iterator[TvmNetwork]:
        """Compile it, but for the kernels that are in ``cache``, and load it."""
        host, target = load_target("host"), reference_target(self.macs)
        # The loader goes by names: none of them may be that of another library.
        with scratch_folder("mqnet-reference-") as folder:
            for library, module in self.modules.items():
                code = emit_objects(module, target, cache)
                code.export(folder / library, ExportLinker(host))
            yield TvmNetwork(folder, self.layout)


def plan_reference(artefact: Artefact, vector: TestVector) -> Reference:
    """Plan the reference of ``artefact``.

    Raises:
        GraphError: the network does more than to call kernels.
    """
    manifest, layout = artefact.manifest, network_layout(artefact)
    modules, is_half = {}, False
    found: list[ReferenceCall] = []
    for part, (library, _) in layout["parts"].items():
        module = _functions_of(plan_memory()(vector.modules[library]), part)
        modules[library], plan = module, read_plan(module, part)
        is_half = is_half or any(one.dtype == "float16" for one in plan.tensors)
        if part == HEAD:
            for origin in layout["head_arguments"]:
                if isinstance(origin, int):
                    copy = CheckedCall(len(found), (), 1, False)
                    found.append(ReferenceCall(COPY, (), copy, copy))
        found += [
            _described(plan, call, place) for place, call in enumerate(plan.calls, len(found))
        ]
    names = [call.kernel for call in found]
    theirs = [call.kernel for call in manifest.calls]
    calls = []
    # A kernel that only reshapes is left out where its loops still show it.
    for block in SequenceMatcher(None, names, theirs, autojunk=False).get_matching_blocks():
        for offset in range(block.size):
            call = found[block.a + offset]
            calls.append(replace(call, there=replace(call.here, place=block.b + offset)))
    return Reference(
        modules,
        layout | {"parts": {part: (file, "cpu") for part, (file, _) in layout["parts"].items()}},
        tuple(calls),
        frozenset(names),
        manifest.whole.macs,
        is_half,
    )


def _functions_of(module: tvm.IRModule, function: str) -> tvm.IRModule:
    return tvm.IRModule(
        {
            var: one
            for var, one in module.functions_items()
            if not isinstance(one, relax.Function) or var.name_hint == function
        }
    )


def _described(plan: FramePlan, call: FrameCall, place: int) -> ReferenceCall:
    tensors = [plan.tensors[argument] for argument in call.arguments]
    read = tensors[: len(tensors) - call.results]
    # The input is the same on both sides, floats or not.
    computes_floats = any(
        one.place in ("arena", "output") and np.dtype(one.dtype).kind not in "iub" for one in read
    )
    constants = (index for index, one in enumerate(tensors) if one.place == "weights")
    checked = CheckedCall(place, tuple(constants), call.results, computes_floats)
    results = tuple((one.shape, one.dtype) for one in tensors[len(read) :])
    return ReferenceCall(call.kernel, call.layers, checked, checked, call.nodes, results)
