"""What goes into a network, what comes out, and what its parts pass on: for the manifest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import tvm
from tvm import relax

from compile.artefact.manifest import PICTURE, BoundaryTensor, NetworkTensor
from compile.graph.constants import definitions_of
from compile.graph.parts import HEAD, INPUT, MAIN, parts_among
from compile.graph.quantized_graph import op_name, quantization_of


@dataclass(frozen=True)
class Interface:
    """What goes into a network, what comes out, and what its parts pass on.

    Attributes:
        inputs, outputs: of the whole network.
        boundary: what each head reads of the backbones; empty without them.
        head_arguments: of the head, in order: :data:`compile.graph.parts.INPUT`, or the number of
            the backbone's result; empty without the two.
    """

    inputs: tuple[NetworkTensor, ...]
    outputs: tuple[NetworkTensor, ...]
    boundary: tuple[BoundaryTensor, ...]
    head_arguments: tuple[str | int, ...]


def describe_interface(partitioned: tvm.IRModule) -> Interface:
    """Describe a module from :func:`compile.pipeline.partition_network`, whose tensors get names
    and layouts by :func:`name_tensors`."""
    main = partitioned[MAIN]
    results = [main.ret_ty]
    if isinstance(main.ret_ty, relax.TupleType):
        results = list(main.ret_ty.fields)
    parts = parts_among(var.name_hint for var in partitioned.get_global_vars())
    heads = [part for part in parts if part.startswith(HEAD)]
    return Interface(
        tuple(_tensor(param.name, param.ty) for param in main.params),
        tuple(_tensor(f"output_{index}", kind) for index, kind in enumerate(results)),
        tuple(tensor for head in heads for tensor in _boundary(partitioned[head])),
        _head_arguments(main) if heads else (),
    )


def name_tensors(
    tensors: Sequence[NetworkTensor], names: Sequence[str], are_pictures: bool
) -> tuple[NetworkTensor, ...]:
    """Return ``tensors``, which ``are_pictures`` or not, as a network names them."""
    layout = PICTURE if are_pictures else ""
    return tuple(
        msgspec.structs.replace(tensor, name=name, layout=layout)
        for tensor, name in zip(tensors, names, strict=True)
    )


def _tensor(name: str, kind: relax.TensorType) -> NetworkTensor:
    return NetworkTensor(name, tuple(int(extent) for extent in kind.shape), str(kind.dtype))


def _boundary(head: relax.Function) -> tuple[BoundaryTensor, ...]:
    definitions = definitions_of(head)
    tensors = {}
    for value in definitions.values():
        if op_name(value) == "dequantize" and value.args[0] in list(head.params):
            quantization = quantization_of(value, definitions)
            shape = tuple(int(extent) for extent in value.args[0].ty.shape)
            tensors[value.args[0]] = BoundaryTensor(
                shape, float(quantization.scale), quantization.zero_point
            )
    return tuple(tensors[param] for param in head.params if param in tensors)


def _head_arguments(main: relax.Function) -> tuple[str | int, ...]:
    definitions = definitions_of(main)
    (call,) = (
        value
        for value in definitions.values()
        if isinstance(value, relax.Call)
        and isinstance(value.op, tvm.ir.GlobalVar)
        and value.op.name_hint == HEAD
    )
    return tuple(_origin(argument, definitions, list(main.params)) for argument in call.args)


def _origin(argument: relax.Expr, definitions: dict, params: list[relax.Var]) -> str | int:
    if argument in params:
        return INPUT
    value = definitions[argument]
    if isinstance(value, relax.TupleGetItem):
        return int(value.index)
    return _origin(value, definitions, params) if isinstance(value, relax.Var) else 0
