"""Where the error of a quantized network is made: of weights, and of tensors that are rounded.

What a tensor adds to the outputs' error is followed there by derivatives, as ``compile/check.py
--layers`` does (:mod:`device.client.layers.evaluate_frames`); here what rounds the weights and what
rounds the activations are apart, since a precision removes one or both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray
from torch import fx
from torch.export import ExportedProgram

from compile.networks.parts import Parts
from compile.networks.quantized_ops import DEQUANTIZE, DEQUANTIZE_PER_CHANNEL, QUANTIZE
from compile.precision.scopes import IN_FLOAT, INT8, Assignment, Scopes, scope_path
from compile.quantize.evaluate_program import (
    evaluate_program,
    outputs_of,
    pair_nodes,
    propagate_back,
)
from compile.support.frame import Frame


class RoundedTensor(msgspec.Struct, frozen=True, array_like=True):
    """A tensor that is rounded to int8.

    Attributes:
        error: mean squared error of the outputs that this makes.
        maker: the scope that computes it; -1 for what is before the network.
        readers: the scopes that read it.
    """

    error: float
    maker: int
    readers: tuple[int, ...]

    def is_rounded(self, assignment: Assignment) -> bool:
        """Whether it would be in ``assignment``: who makes it or who reads it is in int8."""
        scopes = (self.maker, *self.readers)
        return any(assignment[scope] == INT8 for scope in scopes if scope >= 0)


class ErrorSources(msgspec.Struct, frozen=True):
    """What makes the error.

    Attributes:
        weights: mean squared error of the outputs that the int8 weights of each scope make.
        tensors: that are rounded.
    """

    weights: tuple[float, ...]
    tensors: tuple[RoundedTensor, ...]

    def error(self, assignment: Assignment) -> float:
        """The mean squared error that is to be expected of ``assignment``."""
        weights = sum(
            max(0.0, error)
            for error, letter in zip(self.weights, assignment, strict=True)
            if letter != IN_FLOAT
        )
        rounded = (max(0.0, one.error) for one in self.tensors if one.is_rounded(assignment))
        return weights + sum(rounded)


@dataclass(frozen=True)
class _Tensor:
    """A tensor by the nodes that compute it and, where it is rounded, give it back as floats."""

    source: int
    rounded: int | None
    maker: int
    readers: frozenset[int]


def find_error_sources(
    quantized: ExportedProgram,
    plain: ExportedProgram,
    parts: Parts,
    scopes: Scopes,
    root: str,
    frames: Sequence[Frame],
) -> ErrorSources:
    """Find what makes the error of ``quantized`` on ``frames``.

    Args:
        quantized, plain: the network, and the same in float32 node by node.
        parts: of the operations of ``plain``.
        scopes: of those.
        root: path of the user's module.
        frames: the network's inputs.
    """
    places = {
        number: scopes.number[scope_path(node, root)]
        for number, node in enumerate(plain.graph.nodes)
        if node in parts
    }
    pairs = pair_nodes(quantized, plain)
    tensors = _tensors(quantized, pairs, places)
    weights = np.zeros(len(scopes.paths))
    rounding = np.zeros(len(tensors))
    for frame in frames:
        for number, (by_weights, by_rounding) in enumerate(
            _added(quantized, plain, pairs, tensors, frame)
        ):
            maker = tensors[number].maker
            if maker >= 0:
                weights[maker] += by_weights / len(frames)
            rounding[number] += by_rounding / len(frames)
    return ErrorSources(
        tuple(map(float, weights)),
        tuple(
            RoundedTensor(float(error), one.maker, tuple(sorted(one.readers)))
            for error, one in zip(rounding, tensors, strict=True)
            if one.rounded is not None
        ),
    )


def _tensors(
    quantized: ExportedProgram, pairs: Mapping[int, int], places: Mapping[int, int]
) -> list[_Tensor]:
    """The tensors that operations of ``quantized`` make."""
    nodes = [*quantized.graph.nodes]
    numbers = {node: number for number, node in enumerate(nodes)}

    def scope(node: fx.Node) -> int:
        return places.get(pairs.get(numbers[node], -1), -1)

    found = []
    for node in nodes:
        if numbers[node] not in pairs or _rounds(node) or not _is_float(node):
            continue
        rounded, readers = None, set[int]()
        for user in node.users:
            if user.target is QUANTIZE:
                again = [each for each in user.users if each.target is DEQUANTIZE]
                rounded = numbers[again[0]] if again else None
                readers |= {scope(reader) for each in again for reader in each.users}
            else:
                readers.add(scope(user))
        found.append(_Tensor(numbers[node], rounded, scope(node), frozenset(readers - {-1})))
    return found


def _rounds(node: fx.Node) -> bool:
    return node.target in (QUANTIZE, DEQUANTIZE, DEQUANTIZE_PER_CHANNEL)


def _is_float(node: fx.Node) -> bool:
    value = node.meta.get("val")
    return value is not None and hasattr(value, "dtype") and value.dtype.is_floating_point


def _added(
    quantized: ExportedProgram,
    plain: ExportedProgram,
    pairs: Mapping[int, int],
    tensors: Sequence[_Tensor],
    frame: Frame,
) -> list[tuple[float, float]]:
    """What the weights before each tensor add to the mean squared error of the outputs, and what
    rounding it adds."""
    outputs = [node for node in outputs_of(quantized) if node in pairs]
    wanted = {one.source for one in tensors} | {*outputs}
    wanted |= {one.rounded for one in tensors if one.rounded is not None}
    values = evaluate_program(quantized, frame, wanted)
    floats = evaluate_program(plain, frame, {pairs[one.source] for one in tensors})
    floats |= evaluate_program(plain, frame, {pairs[node] for node in outputs})
    errors = {pairs[node]: values[node] - floats[pairs[node]] for node in outputs}
    size = sum(error.size for error in errors.values())

    def read(one: _Tensor) -> NDArray:
        return values[one.source if one.rounded is None else one.rounded]

    given = {pairs[one.source]: read(one) for one in tensors}
    halfway = {pair: (value + floats[pair]) / 2 for pair, value in given.items()}
    inherited = evaluate_program(plain, frame, given, given)
    slopes = propagate_back(plain, frame, given, errors, halfway)
    added = []
    for one in tensors:
        pair = pairs[one.source]
        slope = slopes.get(pair)
        if slope is None:
            added.append((0.0, 0.0))
            continue
        by_weights = float(np.vdot(slope, values[one.source] - inherited[pair])) / size
        added.append((by_weights, float(np.vdot(slope, read(one) - values[one.source])) / size))
    return added
