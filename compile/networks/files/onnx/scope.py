"""What is known of an ONNX file's values while its graph is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx

from compile.networks.files.graph_builder import GraphBuilder, Quantized
from compile.support.errors import MqnetError


@dataclass(frozen=True)
class Step:
    """One node of the file.

    Attributes:
        kind: name of its operator.
        name: that of its first result.
        inputs: names of what it reads, "" for what is left out.
        outputs: names of its results.
        attributes: by name; texts are str.
    """

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute, or what it is where it is left out."""
        return self.attributes.get(name, default)

    def input(self, place: int) -> str:
        """The name of an input, "" where it is left out."""
        return self.inputs[place] if place < len(self.inputs) else ""


@dataclass(frozen=True)
class Bytes:
    """An int8 tensor: the node that computes it, and what its numbers mean, if that is known."""

    node: fx.Node
    quantized: Quantized


@dataclass(frozen=True)
class QuantizedConstant:
    """A constant that a DequantizeLinear reads: int8 or int32 ``values``, with one scale, or one
    along ``axis``."""

    values: NDArray
    scales: NDArray[np.float32]
    axis: int

    @property
    def real(self) -> NDArray[np.float32]:
        """Its numbers."""
        shape = [1] * self.values.ndim
        if self.scales.size > 1:
            shape[self.axis] = self.scales.size
        return (self.values.astype(np.float32) * self.scales.reshape(shape)).astype(np.float32)


class Scope:
    """Nodes of the graph, and constants, by the names that the file has for them.

    Attributes:
        users: the nodes that read a value.
    """

    def __init__(
        self,
        builder: GraphBuilder,
        constants: Mapping[str, NDArray],
        steps: list[Step],
        outputs: tuple[str, ...],
    ) -> None:
        self.builder = builder
        self.users: dict[str, list[Step]] = {}
        for step in steps:
            for name in step.inputs:
                self.users.setdefault(name, []).append(step)
        self._outputs = outputs
        self._constants: dict[str, NDArray | QuantizedConstant] = dict(constants)
        self._real: dict[str, fx.Node] = {}
        self._bytes: dict[str, Bytes] = {}
        self._origins: dict[str, str] = {}

    def put(self, name: str, node: fx.Node) -> None:
        """``node`` computes the real numbers called ``name``."""
        self._real[name] = node

    def put_bytes(self, name: str, node: fx.Node, quantized: Quantized) -> None:
        """``node`` computes the int8 numbers called ``name``, which are ``quantized`` so."""
        self._bytes[name] = Bytes(node, quantized)

    def bytes(self, name: str) -> Bytes | None:
        """The int8 tensor called ``name``, or None."""
        return self._bytes.get(name)

    def put_dequantized(self, name: str, origin: str) -> None:
        """``name`` are the real numbers of the int8 tensor ``origin``."""
        source = self._bytes[origin]
        self._origins[name] = origin
        self._real[name] = self.builder.dequantize(source.node, source.quantized)

    def origin(self, name: str) -> Bytes | None:
        """The int8 tensor whose real numbers are called ``name``, or None."""
        return self._bytes.get(self._origins.get(name, ""))

    def put_constant(self, name: str, constant: NDArray | QuantizedConstant) -> None:
        """``name`` is a constant."""
        self._constants[name] = constant

    def constant(self, name: str) -> NDArray | QuantizedConstant | None:
        """The constant called ``name``, or None."""
        return self._constants.get(name)

    def numbers(self, step: Step, place: int) -> NDArray:
        """The constant that ``step`` needs.

        Raises:
            MqnetError: it is computed.
        """
        constant = self._constants.get(step.input(place))
        if constant is None:
            raise MqnetError(
                f"input {place} of op {step.kind} ({step.name}) is computed or left out: it has to "
                "be a constant (simplify the file, and export it for a fixed size)"
            )
        return constant.real if isinstance(constant, QuantizedConstant) else constant

    def real(self, name: str) -> fx.Node:
        """The real numbers called ``name``.

        Raises:
            MqnetError: there are none.
        """
        if name in self._real:
            return self._real[name]
        constant = self._constants.get(name)
        if constant is None:
            raise MqnetError(f"{name} is read before it is computed, or not in real numbers")
        values = constant.real if isinstance(constant, QuantizedConstant) else constant
        node = self.builder.constant(torch.from_numpy(values.astype(np.float32)))
        self._real[name] = node
        return node

    def result_quantized(self, step: Step) -> Quantized | None:
        """How the result of ``step`` is quantized, behind its ReLU or Clip; None where it is not,
        or is read otherwise too."""
        name = step.outputs[0]
        while name not in self._outputs and len(self.users.get(name, ())) == 1:
            (user,) = self.users[name]
            if user.kind == "QuantizeLinear":
                return quantization(self, user)
            if user.kind not in ("Relu", "Clip"):
                return None
            name = user.outputs[0]
        return None


def quantization(scope: Scope, step: Step) -> Quantized:
    """What a QuantizeLinear or DequantizeLinear of an activation says, in int8: zero points of
    uint8 are 128 less.

    Raises:
        MqnetError: it has several scales, or other bytes.
    """
    scale, zero_point = _parameters(scope, step)
    if scale.size != 1 or zero_point.dtype not in (np.int8, np.uint8):
        raise MqnetError(
            f"{step.name} has {scale.size} scales and {zero_point.dtype} numbers: quantize "
            "activations by tensor to uint8 or int8"
        )
    shift = 128 if zero_point.dtype == np.uint8 else 0
    return Quantized(float(scale.item()), int(zero_point.item()) - shift)


def _parameters(scope: Scope, step: Step) -> tuple[NDArray[np.float32], NDArray]:
    scale = scope.numbers(step, 1)
    if step.input(2):
        return scale, scope.numbers(step, 2)
    if step.kind == "QuantizeLinear":
        return scale, np.zeros(scale.shape, np.uint8)
    constant = scope.constant(step.inputs[0])
    dtype = constant.dtype if isinstance(constant, np.ndarray) else np.uint8
    return scale, np.zeros(scale.shape, dtype)


def quantized_constant(scope: Scope, step: Step) -> QuantizedConstant | NDArray[np.float32]:
    """The constant that a DequantizeLinear reads: in integers where they are symmetric.

    Raises:
        MqnetError: it is in blocks.
    """
    values = scope.numbers(step, 0)
    scale, zero_point = _parameters(scope, step)
    axis = step.get("axis", 1) % max(values.ndim, 1)
    if step.get("block_size", 0) or scale.ndim > 1:
        raise MqnetError(f"{step.name} is quantized in blocks: quantize weights by channel")
    if not zero_point.any() and values.dtype in (np.int8, np.int32):
        return QuantizedConstant(values, np.atleast_1d(scale), axis)
    shape = [1] * values.ndim
    if scale.size > 1:
        shape[axis] = scale.size
    centred = values.astype(np.float32) - zero_point.astype(np.float32).reshape(shape)
    return (centred * scale.reshape(shape)).astype(np.float32)
