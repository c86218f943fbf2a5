"""A frame as PyTorch computes it: in float32, fake-quantized, and each tensor of the latter from
exact inputs; and how much of the network's error is made where."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from compile.artefact.vector_file import TestVector
from compile.quantize.evaluate_program import (
    Values,
    dequantized,
    evaluate_program,
    outputs_of,
    pair_nodes,
    propagate_back,
    rounded_before,
)
from device.client.layers.load_programs import Programs
from device.client.layers.match_tensors import Scale


@dataclass(frozen=True)
class PytorchFrames:
    """Tensors by the nodes of the quantized program, as PyTorch has them.

    Attributes:
        quantized: by the fake-quantized program.
        plain: in float32; {} where there is no such network, and so are the others.
        rounded: those, each as near as the quantized program's tensor can hold it.
        quantized_own: by the fake-quantized program, each from ``rounded`` inputs.
        shares: of the network's error, to first order.
    """

    quantized: Values
    plain: Values = field(default_factory=dict)
    rounded: Values = field(default_factory=dict)
    quantized_own: Values = field(default_factory=dict)
    shares: Mapping[int, float] = field(default_factory=dict)


def evaluate_frames(
    programs: Programs,
    vector: TestVector,
    scales: Mapping[int, Scale],
    made: Collection[int],
    named: Collection[int],
) -> PytorchFrames:
    """Compute the frame of ``vector``.

    Args:
        programs: of the network.
        vector: of the build.
        scales: of the quantized program's int8 tensors, by node.
        made: nodes of the tensors that a build's calls make.
        named: other nodes that are wanted.
    """
    quantized, plain, inputs = programs.quantized, programs.plain, vector.inputs
    outputs = outputs_of(quantized)
    wanted = {*made, *named, *outputs, *scales}
    values = evaluate_program(quantized, inputs, wanted)
    if plain is None:
        return PytorchFrames(values)
    pairs = pair_nodes(quantized, plain)
    # What float integers stand for holds no more than those.
    between = {node for node in (*made, *scales) if node in pairs} - dequantized(quantized)
    known = {node for node in wanted if node in pairs}
    by_pair = evaluate_program(plain, inputs, {pairs[node] for node in known})
    floats = {node: by_pair[pairs[node]] for node in known}
    rounded = {
        node: scales[node].quantized(floats[node]) if node in scales else floats[node]
        for node in between
    }
    own = evaluate_program(quantized, inputs, wanted, rounded)

    changing = {node for node in outputs if node in pairs and floats[node].dtype.kind == "f"}
    at_outputs = {node: values[node] - floats[node] for node in changing}
    shares = _shares(programs, vector, scales, pairs, values, floats, between, at_outputs)
    return PytorchFrames(values, floats, rounded, own, shares)


def _shares(
    programs: Programs,
    vector: TestVector,
    scales: Mapping[int, Scale],
    pairs: Mapping[int, int],
    values: Values,
    floats: Values,
    between: Collection[int],
    errors: Values,
) -> dict[int, float]:
    """The share of the ``errors`` of the outputs that is made in each tensor ``between``.

    What a tensor adds is what it is, less what float32 makes of the same inputs. It is followed to
    the outputs by the float network's derivatives, half-way between float32's values and the
    quantized ones, so that what all add comes to the errors but for terms of the third order.
    """
    plain = programs.plain
    assert plain is not None
    whole = sum(float(np.vdot(error, error)) for error in errors.values())
    if not whole:
        return {}
    # Of tensors that are rounded twice, the second is what is read.
    real = {
        node: scales[node].real(values[node]) if node in scales else values[node]
        for node in sorted(between)
    }
    read = {pairs[node]: value for node, value in real.items()}
    halfway = {pairs[node]: (value + floats[node]) / 2 for node, value in real.items()}
    inherited = evaluate_program(plain, vector.inputs, read, read)
    by_pair = {pairs[node]: error for node, error in errors.items()}
    slopes = propagate_back(plain, vector.inputs, read, by_pair, halfway)
    before = rounded_before(programs.quantized)
    shares = {}
    for node, value in real.items():
        pair = pairs[node]
        if pair in slopes:
            added = value - real.get(before.get(node, -1), inherited[pair])
            shares[node] = float(np.vdot(slopes[pair], added)) / whole
    return shares
