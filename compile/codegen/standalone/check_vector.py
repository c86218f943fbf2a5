"""The test vector of a build: inputs, and what has to come of them, call by call.

It is computed on the machine that builds, by the same kernels without their schedules: without
tiles, vectors, the target's instructions, tuning records or its machine code. So whatever of those
is wrong shows, and in the kernel that it is in. Integers have to be the same bit for bit. Sums of
floats come in another order, so what is computed of them, in integers too, is not compared but for
some elements of the network's own outputs, within a tolerance.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import numpy as np
import tvm
from numpy.typing import NDArray
from tvm import relax
from tvm.runtime import vm

from compile.codegen.kernel_objects import emit_objects
from compile.codegen.link.link import ExportLinker
from compile.codegen.reference_target import reference_target
from compile.codegen.standalone.read_plan import FramePlan, Place, read_plan
from compile.graph.parts import MAIN
from compile.support.build_cache import BuildCache
from compile.support.frame import Frame
from compile.support.scratch_folder import scratch_folder
from targets.load_target import load_target

# Of the range of an output: what another order of float32 additions may change, and of float16.
_TOLERANCE, _TOLERANCE_FP16 = 1e-4, 2e-2
_MOST_SAMPLES = 4096
# VMInstrumentReturnKind: make the call that was announced.
_GO_ON = 0


@dataclass(frozen=True)
class ExpectedOutput:
    """Some elements of an output.

    Attributes:
        values: of the elements 0, ``step``, 2 ``step`` ...
        step: has no divisor in common with any extent, so that elements of all rows and channels
            are among them.
        tolerance: the largest difference.
    """

    values: tuple[float, ...]
    step: int
    tolerance: float

    @property
    def literals(self) -> list[str]:
        """The values as numbers of C."""
        return [_literal(value) for value in self.values]

    @property
    def tolerance_literal(self) -> str:
        """The tolerance as a number of C."""
        return _literal(self.tolerance)


@dataclass(frozen=True)
class CheckVector:
    """What a frame has to give.

    Attributes:
        inputs: of the frame.
        digests: by call: of its results that are no floats; 0 of what is not compared.
        outputs: of the network.
    """

    inputs: Frame
    digests: tuple[int, ...]
    outputs: tuple[ExpectedOutput, ...]


def compute_vector(
    planned: FramePlan, unscheduled: tvm.IRModule, macs: int, inputs: Frame, cache: BuildCache
) -> CheckVector:
    """Compute the vector of a network on this machine.

    Args:
        planned: the frame that is to be checked.
        unscheduled: the same network, planned without having been scheduled.
        macs: multiply-accumulates of the frame.
        inputs: of the network's shapes and dtypes.
        cache: of kernels that were compiled before.
    """
    functions = {
        var: function
        for var, function in unscheduled.functions_items()
        if not isinstance(function, relax.Function) or var.name_hint == MAIN
    }
    module = tvm.IRModule(functions)
    plan, host = read_plan(module), load_target("host")
    digests: list[int] = []
    with scratch_folder("mqnet-vector-") as folder:
        library = folder / "reference.so"
        emit_objects(module, reference_target(macs), cache).export(library, ExportLinker(host))
        machine = vm.VirtualMachine(tvm.runtime.load_module(str(library)), tvm.cpu())
        kernels = {call.kernel for call in plan.calls}

        def digest(_: Any, name: str, before: bool, __: Any, *arguments: Any) -> int:
            if not before and name in kernels:
                count = plan.calls[len(digests)].results
                digests.append(digest_of([one.numpy() for one in arguments[-count:]]))
            return _GO_ON

        machine.set_instrument(digest)
        made = machine[MAIN](*(tvm.runtime.tensor(np.ascontiguousarray(one)) for one in inputs))
        results = [made] if isinstance(made, tvm.runtime.Tensor) else list(made)
        exact, inexact_outputs = exact_calls(planned)
        outputs = tuple(
            _expected(result.numpy(), plan, index in inexact_outputs)
            for index, result in enumerate(results)
        )
    compared = align_digests(plan, digests, planned)
    kept = (digest if is_exact else 0 for digest, is_exact in zip(compared, exact, strict=True))
    return CheckVector(inputs, tuple(kept), outputs)


def align_digests(plan: FramePlan, digests: Sequence[int], planned: FramePlan) -> list[int]:
    """Give the calls of ``planned`` the ``digests`` of the same calls of ``plan``; 0 to those that
    it has not: a kernel that only reshapes is left out where its loops still show it."""
    theirs, ours = (
        [f"{call.kernel}/{call.results}" for call in one.calls] for one in (plan, planned)
    )
    found = [0] * len(planned.calls)
    for block in SequenceMatcher(None, theirs, ours, autojunk=False).get_matching_blocks():
        found[block.b : block.b + block.size] = digests[block.a : block.a + block.size]
    return found


def exact_calls(plan: FramePlan) -> tuple[list[bool], set[int]]:
    """Find the calls whose integers are the same in whatever order floats are added, which are
    those before any float is computed; and the numbers of the other outputs."""
    inexact: dict[tuple[Place, int], bool] = {}
    exact = []
    for call in plan.calls:
        tensors = [plan.tensors[number] for number in call.arguments]
        read, written = tensors[: -call.results or None], tensors[len(tensors) - call.results :]
        doubtful = any(inexact.get((one.place, one.offset), False) for one in read)
        for one in written:
            is_float = np.dtype(one.dtype).kind not in "iub"
            inexact[one.place, one.offset] = doubtful or is_float
        exact.append(not doubtful)
    for number, output in plan.copies:
        source = plan.tensors[number]
        inexact["output", output] = inexact.get((source.place, source.offset), False)
    doubtful_places = {place for place, is_doubtful in inexact.items() if is_doubtful}
    return exact, {offset for place, offset in doubtful_places if place == "output"}


def digest_of(results: Sequence[NDArray[Any]]) -> int:
    """Compute the CRC-32 of those of ``results`` that are no floats, one behind the other, with a
    bit that tells it from 0; 0 where all are."""
    integers = [result for result in results if result.dtype.kind in "iub"]
    crc = 0
    for result in integers:
        crc = zlib.crc32(np.ascontiguousarray(result).view(np.uint8).data, crc)
    return 1 << 32 | crc if integers else 0


def _literal(value: float) -> str:
    names = {math.inf: "INFINITY", -math.inf: "-INFINITY"}
    return "NAN" if math.isnan(value) else names.get(value, repr(value))


def _expected(output: NDArray[Any], plan: FramePlan, is_inexact: bool) -> ExpectedOutput:
    step = max(1, output.size // _MOST_SAMPLES)
    while math.gcd(step, max(output.size, 1)) != 1:
        step += 1
    values = output.reshape(-1)[::step].astype(np.float64)
    tolerance = math.inf if is_inexact else 0.0
    if output.dtype.kind == "f":
        is_half = any(tensor.dtype == "float16" for tensor in plan.tensors)
        finite = values[np.isfinite(values)]
        spread = float(np.ptp(finite)) if finite.size else 0.0
        tolerance = (_TOLERANCE_FP16 if is_half else _TOLERANCE) * (spread or 1.0)
    return ExpectedOutput(tuple(values.tolist()), step, tolerance)
