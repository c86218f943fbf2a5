"""Layers of a whole build: where the accuracy goes, and where a fault is."""

from __future__ import annotations

import numpy as np
import pytest
from fixtures_artefacts import SIZE, ArtefactFactory
from planted_faults import (
    Fault,
    FaultyMachine,
    clipped_bias,
    shifted_window,
    transposed_weight,
    wrong_scale,
)

from compile.artefact.manifest import VECTOR
from compile.artefact.reader import Artefact
from compile.artefact.vector_file import read_vector
from device.client.layers.load_programs import load_programs
from device.client.layers.measure_layers import LayerMeter
from device.runtime.reference_network import ReferenceCall, plan_reference

PLACES = 10


def meter_of(built: Artefact) -> LayerMeter:
    vector = read_vector(built.library.with_name(VECTOR))
    programs = load_programs(built, vector.nodes, None, None)
    return LayerMeter(built, vector, plan_reference(built, vector), programs)


@pytest.fixture(scope="module")
def built(artefact: ArtefactFactory) -> Artefact:
    return artefact(size=SIZE)


@pytest.fixture(scope="module")
def meter(built: Artefact) -> LayerMeter:
    return meter_of(built)


@pytest.fixture(scope="module")
def machine(built: Artefact) -> FaultyMachine:
    return FaultyMachine(built)


def test_a_right_build(built: Artefact, meter: LayerMeter, machine: FaultyMachine):
    machine.plant(None, None)
    report = meter.measure(machine)
    assert report.first_off is None and not report.failed
    calls = [layer for layer in report.layers if layer.place >= 0]
    assert sorted(layer.place for layer in calls) == list(range(len(built.manifest.calls)))
    # The statistics of the two norms are nothing of the program.
    without = [layer.layers for layer in calls if not layer.tensor]
    assert without == [("net.head.norm1",), ("net.head.norm2",)]
    named = {module for layer in report.layers for module in layer.modules}
    assert {"net", "net.head.conv1", "net.backbone.encoder.stem.conv"} <= named
    exact = [layer for layer in calls if layer.steps is not None]
    # Of a channel that is always the same number all of it may be on a tie, and of 24 values two.
    assert max(layer.differing for layer in exact) < 0.1
    # To first order all that is lost is lost somewhere.
    assert 0.9 < sum(layer.share or 0 for layer in report.layers) < 1.1
    for layer in calls:
        if layer.tensor and layer.quantized is not None and layer.dtype == "int8":
            assert layer.compiled is not None
            assert abs(layer.compiled.own.sqnr - layer.quantized.own.sqnr) < 3


FAULTS = [wrong_scale, transposed_weight, clipped_bias, shifted_window]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_is_named_first(meter: LayerMeter, machine: FaultyMachine, fault: Fault):
    """In each of ten calls, of all kinds of kernels that there are."""
    places = _places(meter, fault)
    assert len(places) == PLACES
    named = []
    for call in places:
        machine.plant(call, fault)
        named.append(meter.wrong_calls(machine))
    # What reads a wrong tensor is right.
    assert named == [[call.there.place] for call in places]


def _places(meter: LayerMeter, fault: Fault) -> list[ReferenceCall]:
    """Ten calls, as many kinds of them as there are."""
    calls = [one.call for one in meter.tensors if "conv2d" in one.call.kernel]
    if fault is shifted_window:
        # Windows, of more than one row.
        calls = [
            one.call
            for one in meter.tensors
            if any(name in str(one.call.layers) for name in ("depthwise", "stem", "head.conv1"))
            and one.shape[1] > 1
        ]
    random = np.random.default_rng(FAULTS.index(fault))
    return [calls[place] for place in sorted(random.permutation(len(calls))[:PLACES])]
