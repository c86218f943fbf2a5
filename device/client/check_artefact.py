"""Checks a build by its test vector: what ``compile/check.py`` does once its options are read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import tvm

from compile.artefact.manifest import VECTOR
from compile.artefact.reader import Artefact, check_runs_here, open_artefact
from compile.artefact.vector_file import TestVector, read_vector
from compile.support.build_cache import BuildCache, content_of, key_of
from compile.support.checksum import sha256_of
from compile.support.errors import ArtefactError, MqnetError
from compile.support.progress import Progress
from device.client.address import DeviceAddress
from device.client.check_request import CheckRequest, Machine, a_device, this_machine
from device.client.compare_facts import (
    Difference,
    Kind,
    compare_facts,
    compare_results,
    count_bits,
    describe_values,
    is_exact,
)
from device.runtime.check_calls import Facts, check_calls, pack_arrays, unpack_arrays
from device.runtime.reference_network import Reference, ReferenceCall, plan_reference

_KIND = "reference"
_SOURCES = ("compile/passes", "compile/codegen", "device/runtime")


@dataclass(frozen=True)
class WrongPart:
    """The first part of a build that is not right.

    Attributes:
        place: of the kernel call in the frame; -1 where it is none.
        kernel, layers: what computes, and which layers of the network; empty where nobody knows.
        what: is wrong with it, as a clause.
    """

    place: int
    kernel: str
    layers: tuple[str, ...]
    what: str

    def __str__(self) -> str:
        """The sentence."""
        if not self.kernel:
            return self.what
        layers = f", which computes {', '.join(self.layers)}" if self.layers else ""
        return f"call {self.place}, kernel {self.kernel}{layers}: {self.what}"


@dataclass
class CheckReport:
    """What came of a check.

    Attributes:
        machine: that the build ran on.
        calls: of a frame.
        exact, close: calls up to the first wrong one that are bit for bit what they have to be, and
            that are so within what the order of float additions can do.
        weights: constants that are bit for bit right.
        largest: what the floats that are right differ by, of what is allowed.
        wrong: None where all is right.
    """

    machine: str
    calls: int
    exact: int = 0
    close: int = 0
    weights: int = 0
    largest: float = 0.0
    wrong: WrongPart | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        wrong = None if self.wrong is None else {**vars(self.wrong), "sentence": str(self.wrong)}
        return {"right": self.wrong is None, **vars(self), "wrong": wrong}


def check_artefact(
    folder: Path,
    device: DeviceAddress | None,
    threads: int | None,
    seconds: float,
    cache: BuildCache,
    progress: Progress,
) -> CheckReport:
    """Check the build in ``folder``.

    Args:
        folder: of a build.
        device: that computes; None: this machine.
        threads: of a frame; None: as many as it was built for.
        seconds: that a frame may take at most.
        cache: of what references have computed.
        progress: is told each step.

    Raises:
        MqnetError: one of its kinds, for each mistake that a user can mend.
    """
    with loaded_build(folder, device, threads, seconds) as (machine, artefact, vector):
        return check_on(machine, artefact, vector, cache, progress)


@contextmanager
def loaded_build(
    folder: Path, device: DeviceAddress | None, threads: int | None, seconds: float
) -> Iterator[tuple[Machine, Artefact, TestVector]]:
    """Load the build in ``folder``, as :func:`check_artefact` does it; it, and its test vector.

    Raises:
        MqnetError: one of its kinds, for each mistake that a user can mend.
    """
    artefact = open_artefact(folder)
    if VECTOR not in artefact.manifest.files:
        raise ArtefactError(
            f"{folder} holds no test vector ({VECTOR}), which builds of earlier versions did not "
            "have: build it again"
        )
    if not 0 < seconds < inf:
        raise MqnetError(f"seconds {seconds:g} is not a positive number")
    vector = read_vector(folder / VECTOR)
    if device is None:
        check_runs_here(artefact)
    loaded: AbstractContextManager[Machine] = (
        this_machine(artefact, threads, seconds)
        if device is None
        else a_device(artefact, device, threads, seconds)
    )
    with loaded as machine:
        yield machine, artefact, vector


def check_on(
    machine: Machine, artefact: Artefact, vector: TestVector, cache: BuildCache, progress: Progress
) -> CheckReport:
    """Check ``artefact``, which ``machine`` has loaded, by its ``vector``."""
    reference = plan_reference(artefact, vector)
    with progress.phase("reference"):
        expected = _expected(artefact, reference, vector, cache)
    with progress.phase(f"a frame on {machine.name}"):
        return _Check(artefact, reference, vector, cache, machine, expected).run()


@dataclass
class _Check:
    artefact: Artefact
    reference: Reference
    vector: TestVector
    cache: BuildCache
    machine: Machine
    expected: list[Facts]
    request: CheckRequest = field(init=False)

    def __post_init__(self) -> None:
        *of_calls, _ = self.expected
        pairs = list(zip(self.reference.calls, of_calls, strict=True))
        self.request = CheckRequest(
            self.vector.inputs,
            sorted({call.kernel for call in self.artefact.manifest.calls}),
            [call.there for call in self.reference.calls],
            {call.there.place: _given(facts) for call, facts in pairs if call.there.is_rounded},
        )

    def run(self) -> CheckReport:
        """Run the frame, and once more where something is wrong."""
        report = CheckReport(self.machine.name, len(self.artefact.manifest.calls))
        outcome = self.machine.facts(self.request, ())
        if outcome.error:
            report.wrong = self._failed(outcome.error)
            return report
        found, outputs = outcome.value
        *of_calls, of_outputs = self.expected
        for call, ours, theirs in zip(self.reference.calls, found, of_calls, strict=True):
            difference = compare_facts(ours, theirs, self.reference.is_half)
            if difference.is_wrong:
                report.wrong = self._explain(call, difference)
                return report
            report.weights += len(theirs[0])
            report.exact += is_exact(theirs)
            report.close += not is_exact(theirs)
            report.largest = max(report.largest, difference.share)
        difference = compare_results(outputs, of_outputs, self.reference.is_half)
        if difference.is_wrong:
            name = self.artefact.manifest.outputs[difference.index].name
            what = f"output {name} is not what the kernels have computed"
            report.wrong = WrongPart(-1, "", (), what)
        return report

    def _failed(self, error: str) -> WrongPart:
        """A frame that did not come to its end."""
        place = self.machine.reached()
        calls = self.artefact.manifest.calls
        if not 0 <= place < len(calls):
            return WrongPart(-1, "", (), f"the frame did not come to its end: {error}")
        call = calls[place]
        return WrongPart(place, call.kernel, call.layers, f"it did not come to its end: {error}")

    def _explain(self, call: ReferenceCall, difference: Difference) -> WrongPart:
        """Name what differs in ``call``, and by how much."""
        place = call.there.place
        ours = self.machine.facts(self.request, (place,))
        with self.reference.loaded(self.cache) as network:
            network.set_inputs(self.vector.inputs)
            theirs, _ = check_calls(
                network, self.reference.kernels, [call.here], {}, (call.here.place,)
            )
        index = difference.index + (len(call.here.constants) if difference.kind == "results" else 0)
        values = ""
        if not ours.error:
            number = self.request.calls.index(call.there)
            pair = ours.value[0][number], theirs[0]
            values = _described(*pair, index, difference.kind, self.reference.is_half)
        if difference.kind == "weights":
            what = f"argument {call.there.constants[difference.index]}, a constant, is wrong"
        else:
            what = "its result is wrong"
        return WrongPart(place, call.kernel, call.layers, what + values)


def _given(facts: Facts) -> Facts:
    """The integers that are rounded from floats: all behind them has to be the same again, bit for
    bit."""
    return [one if one.dtype.kind in "iub" else np.zeros(0) for one in facts[1:]]


def _described(ours: Facts, theirs: Facts, index: int, kind: Kind, is_half: bool) -> str:
    if len(ours) != len(theirs):
        return ": it was not called"
    if kind == "weights":
        return f": {count_bits(ours[index], theirs[index])}"
    return f": {describe_values(ours[index], theirs[index], is_half)}"


def _expected(
    artefact: Artefact, reference: Reference, vector: TestVector, cache: BuildCache
) -> list[Facts]:
    """The facts of the reference's calls, and of its outputs behind them."""
    content = sha256_of(artefact.library.with_name(VECTOR))
    key = key_of(content, tvm.__version__, content_of(_SOURCES))
    kept = cache.get(_KIND, key)
    if kept is not None:
        return unpack_arrays(kept)
    with reference.loaded(cache) as network:
        network.set_inputs(vector.inputs)
        calls = [call.here for call in reference.calls]
        facts, outputs = check_calls(network, reference.kernels, calls, {})
    found = [*facts, outputs]
    cache.put(_KIND, key, pack_arrays(found))
    return found
