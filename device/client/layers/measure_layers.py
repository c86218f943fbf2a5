"""Compares every tensor of a frame: float32, fake-quantized and compiled.

The compiled network runs three times, the same library each time: by itself; with what each call
reads put in the place of what was computed, once the fake-quantized network's values and once
float32's. So an error shows where it is made, and not only what becomes of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compile.artefact.reader import Artefact
from compile.artefact.vector_file import TestVector
from compile.quantize.evaluate_program import Values, modules_of, shapes_of
from compile.support.outcome import Outcome
from device.client.check_request import CheckRequest, Machine
from device.client.layers.evaluate_frames import PytorchFrames, evaluate_frames
from device.client.layers.layer_report import Layer, LayerReport, OwnAndAccumulated
from device.client.layers.load_programs import Programs
from device.client.layers.match_tensors import CallTensor, Scale, match_tensors
from device.client.layers.tensor_errors import compare_tensors
from device.runtime.reference_network import Reference

# Of the largest magnitude of a float tensor: what another order of additions may change.
_TOLERANCE, _TOLERANCE_FP16 = 1e-4, 2e-2
# Of integers: the share that may be rounded the other way, and a few of a small tensor.
_SHARE, _FEW = 0.02, 2


@dataclass(frozen=True)
class Frames:
    """The tensors of a frame by node.

    Attributes:
        pytorch: as PyTorch computes them.
        compiled: by the build.
        lowered_own: the same, each from the fake-quantized program's values as inputs.
        compiled_own: each from float32's, as near as the inputs can hold them; {} where there is no
            float32.
    """

    pytorch: PytorchFrames
    compiled: Values
    lowered_own: Values
    compiled_own: Values


class LayerMeter:
    """Measures the layers of ``artefact`` on the frame of its test ``vector``.

    Attributes:
        tensors: that its calls make.
        scales: by the program's nodes.
        frames: None until they are measured.
    """

    def __init__(
        self,
        artefact: Artefact,
        vector: TestVector,
        reference: Reference,
        programs: Programs,
    ) -> None:
        self._artefact, self._vector = artefact, vector
        self._programs, self._reference = programs, reference
        self._shapes = shapes_of(programs.quantized)
        self.tensors = match_tensors(reference.calls, self._shapes)
        self.scales = {node: Scale(*one) for node, one in vector.nodes.scales.items()}
        self._modules: dict[int, list[str]] = {}
        for module, node in modules_of(programs.quantized).items():
            self._modules.setdefault(node, []).append(module)
        self.frames: Frames | None = None

    def measure(self, machine: Machine) -> LayerReport:
        """Run the frames on ``machine``, which has loaded the build, and compare."""
        name, scheme = machine.name, self._artefact.manifest.scheme
        pytorch, found = self._pytorch, []
        for given in ({}, pytorch.quantized, pytorch.rounded):
            outcome = self._run(machine, given)
            if outcome.error:
                return LayerReport(name, scheme, (), self._failed(machine, outcome.error))
            found.append(outcome.value)
        self.frames = Frames(pytorch, *found)
        return LayerReport(name, scheme, tuple(self._layers(self.frames)))

    def wrong_calls(self, machine: Machine) -> list[int]:
        """Run one frame on ``machine``: the places of the calls that make something else of the
        fake-quantized program's values than that does.

        Raises:
            WorkerError: the frame did not come to its end.
        """
        found = self._run(machine, self._pytorch.quantized).get()
        return [one.call.there.place for one in self.tensors if self._judged(one, found)["is_off"]]

    def _run(self, machine: Machine, given: Values) -> Outcome:
        """The tensors of a frame whose calls read what is ``given``, by node."""
        outcome = machine.facts(self.request(given), self._places)
        if outcome.error:
            return outcome
        return Outcome(
            {
                one.node: arrays[len(one.call.there.constants) + one.result]
                for one, arrays in zip(self.tensors, outcome.value[0], strict=True)
                if arrays
            }
        )

    def request(self, given: Values, reads: Sequence[int] = ()) -> CheckRequest:
        """A frame whose calls read what is ``given``, by node; see :class:`CheckRequest`."""
        values: dict[int, list[NDArray[Any]]] = {}
        for one in self.tensors:
            if one.node in given:
                results = [np.zeros(0) for _ in one.call.results]
                results[one.result] = one.given(given[one.node])
                values[one.call.there.place] = results
        return CheckRequest(
            self._vector.inputs,
            sorted({call.kernel for call in self._artefact.manifest.calls}),
            [one.call.there for one in self.tensors],
            values,
            reads,
        )

    def fake_quantized_request(self, reads: Sequence[int]) -> CheckRequest:
        """A frame whose calls read the fake-quantized program's values, once those are measured."""
        assert self.frames is not None
        return self.request(self.frames.pytorch.quantized, reads)

    def wanted(self, name: str) -> tuple[CallTensor, NDArray[Any]]:
        """The tensor called ``name``, which a call makes, and the fake-quantized program's values
        as the call has to make them."""
        assert self.frames is not None
        found = next(one for one in self.tensors if self._names[one.node] == name)
        return found, found.given(self.frames.pytorch.quantized[found.node])

    def values(self, name: str) -> dict[str, NDArray[Any]]:
        """What the tensor called ``name`` holds, by what has computed it."""
        node, frames = self._names.index(name), self.frames
        assert frames is not None
        found = {"float32": frames.pytorch.plain, "fake-quantized": frames.pytorch.quantized}
        values = {key: self.real(node, one[node]) for key, one in found.items() if node in one}
        if node in frames.pytorch.plain:
            values["float32"] = frames.pytorch.plain[node]
        if node in frames.compiled:
            values["compiled"] = self.real(node, frames.compiled[node])
        return values

    @property
    def _names(self) -> tuple[str, ...]:
        return self._vector.nodes.names

    @property
    def _places(self) -> list[int]:
        return [one.call.there.place for one in self.tensors]

    @cached_property
    def _pytorch(self) -> PytorchFrames:
        made = {one.node for one in self.tensors}
        return evaluate_frames(self._programs, self._vector, self.scales, made, {*self._modules})

    def _failed(self, machine: Machine, error: str) -> str:
        place, calls = machine.reached(), self._artefact.manifest.calls
        if not 0 <= place < len(calls):
            return f"the frame did not come to its end: {error}"
        return f"call {place}, kernel {calls[place].kernel}, did not come to its end: {error}"

    def _layers(self, frames: Frames) -> list[Layer]:
        made = {one.node: one for one in self.tensors}
        rows = [
            (node, 0, self._layer(frames, node, made.get(node))) for node in {*made, *self._modules}
        ]
        for call in self._reference.calls:
            if call.there.place not in self._places:
                row = Layer("", (), call.layers, call.there.place, call.kernel)
                rows.append((max(call.nodes, default=-1), 1, row))
        return [row for _, _, row in sorted(rows, key=lambda one: (*one[:2], one[2].place))]

    def _layer(self, frames: Frames, node: int, made: CallTensor | None) -> Layer:
        scale = self.scales.get(node)
        shape, dtype = self._shapes[node]
        facts: dict[str, Any] = {"shape": shape, "dtype": dtype}
        if scale is not None:
            facts |= vars(scale)
        if node in frames.pytorch.plain:
            plain = frames.pytorch.plain[node]
            facts["quantized"] = OwnAndAccumulated(
                compare_tensors(self.real(node, frames.pytorch.quantized_own[node]), plain),
                compare_tensors(self.real(node, frames.pytorch.quantized[node]), plain),
            )
            facts["saturated"] = None if scale is None else scale.saturated(plain)
            facts["share"] = frames.pytorch.shares.get(node)
        if made is not None:
            facts |= self._compiled(frames, made)
        name, modules = self._names[node], tuple(self._modules.get(node, ()))
        return Layer(name, modules, () if made is None else made.call.layers, **facts)

    def real(self, node: int, value: NDArray[Any]) -> NDArray[Any]:
        """What the numbers in ``value``, of the tensor ``node``, stand for."""
        return self.scales[node].real(value) if node in self.scales else value

    def _compiled(self, frames: Frames, made: CallTensor) -> dict[str, Any]:
        node, facts = made.node, {"place": made.call.there.place, "kernel": made.call.kernel}
        facts |= self._judged(made, frames.lowered_own)
        if node not in frames.lowered_own:
            return facts
        wanted, found = made.laid_out(frames.pytorch.quantized[node]), frames.lowered_own[node]
        real = self.real(node, frames.compiled[node])
        lowered = OwnAndAccumulated(
            compare_tensors(self.real(node, found), self.real(node, wanted)),
            compare_tensors(real, self.real(node, wanted)),
        )
        compiled = None
        if node in frames.pytorch.plain:
            plain = made.laid_out(frames.pytorch.plain[node])
            compiled = OwnAndAccumulated(
                compare_tensors(self.real(node, frames.compiled_own[node]), plain),
                compare_tensors(real, plain),
            )
        return {**facts, "lowered": lowered, "compiled": compiled}

    def _judged(self, made: CallTensor, found: Values) -> dict[str, Any]:
        """How much of a tensor differs from the fake-quantized program's, and whether that is more
        than a matter of rounding."""
        if made.node not in found:
            return {"is_off": True}  # It was not called.
        wanted = made.laid_out(self._pytorch.quantized[made.node])
        difference = np.abs(found[made.node].astype(np.float64) - wanted.astype(np.float64))
        if wanted.dtype.kind in "iub":
            differing, steps = int(np.count_nonzero(difference)), int(difference.max(initial=0))
            share = differing / max(1, difference.size)
            is_off = steps > 1 or differing > max(_FEW, _SHARE * difference.size)
            return {"differing": share, "steps": steps, "is_off": is_off}
        tolerance = _TOLERANCE_FP16 if self._reference.is_half else _TOLERANCE
        wrong = ~(difference <= tolerance * float(np.abs(wanted).max(initial=0.0)))
        return {"differing": float(np.mean(wrong)), "is_off": bool(wrong.any())}
