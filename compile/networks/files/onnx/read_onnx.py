"""The reader of .onnx: float networks, and those with QuantizeLinear and DequantizeLinear."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx

from compile.networks.files.graph_builder import GraphBuilder, Quantized, layer_path
from compile.networks.files.network_file import (
    NetworkFile,
    holds_pixels,
    named_apart,
    scheme_of,
)
from compile.networks.files.onnx.operators import OPERATORS
from compile.networks.files.onnx.scope import Scope, Step, quantization
from compile.networks.files.restore_modules import restore_modules
from compile.support.errors import MqnetError

_DOMAINS = ("", "ai.onnx")
_BYTES = ("uint8", "int8")
_DTYPES = {"float": torch.float32, "uint8": torch.float32, "int8": torch.float32,
           "int32": torch.int32, "int64": torch.int64}  # fmt: skip
"""What is given and taken for tensors of the file: real numbers for bytes, which mean some."""

_PICTURE = 4
"""Axes of one."""


def read_onnx(path: Path) -> NetworkFile:
    """Read the network at ``path``. One picture [1, C, H, W], float32 in [0, 1] or the same
    in bytes, is a photograph; all else are tensors, pictures in bytes of another range too.

    Raises:
        MqnetError: the file is damaged, or holds what is not taken: it names the node; or the
            package that knows the format is missing.
    """
    onnx = _package()
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except Exception as error:  # Of protobuf, or of onnx.
        reason = next((line for line in str(error).splitlines() if line.strip()), repr(error))
        raise MqnetError(
            f"network {path} is cut off, damaged or no .onnx file ({reason.strip()}): write it "
            "again"
        ) from error
    try:
        return _read(onnx, model.graph)
    except MqnetError as error:
        raise MqnetError(f"network {path}: {error}") from None


def _package() -> Any:
    try:
        import onnx
    except ImportError:
        raise MqnetError(
            "an .onnx file is read with the package onnx, which is not installed: "
            "pip install 'mqnet-tvm[files]'"
        ) from None
    return onnx


def _read(onnx: Any, graph: Any) -> NetworkFile:
    constants = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    given = [one for one in graph.input if one.name not in constants]
    if not given or not graph.output:
        raise MqnetError(f"it has {len(given)} inputs and {len(graph.output)} outputs")
    described = [_described(onnx, one, alone=len(given) == 1) for one in given]
    steps = [_step(onnx, node) for node in graph.node]
    builder = GraphBuilder()
    names = tuple(one.name for one in graph.output)
    scope = Scope(builder, constants, steps, names)
    for one, (_, dtype, _) in zip(given, described, strict=True):
        node = builder.input()
        if dtype in _BYTES and _is_dequantized(scope, one.name):
            _put_quantized(scope, one.name, node)
        else:
            scope.put(one.name, node)
    in_pixels = all(map(holds_pixels, _meanings(scope, given[0].name)))
    for step in steps:
        _convert(scope, step)
    builder.named("")
    module = builder.finish([_result(scope, name) for name in names])
    return NetworkFile(
        restore_modules(module),
        tuple(example for example, _, _ in described),
        named_apart(one.name for one in given),
        named_apart(names),
        len(names) == 1 and len(graph.output[0].type.tensor_type.shape.dim) in (0, _PICTURE),
        scheme_of(module.graph),
        is_open=any(is_open for _, _, is_open in described),
        in_pixels=in_pixels,
    )


def _convert(scope: Scope, step: Step) -> None:
    if step.kind not in OPERATORS:
        raise MqnetError(
            f"op {step.kind} ({step.name}) is not known: write it with other operations, or add it "
            "to compile/networks/files/onnx/operators.py"
        )
    scope.builder.named(layer_path(step.name.replace(".", "/")))
    result = OPERATORS[step.kind](scope, step)
    if result is not None:
        scope.put(step.outputs[0], result)


def _described(onnx: Any, given: Any, alone: bool) -> tuple[Tensor, str, bool]:
    """An example of an input, its type in the file, and whether its height and width are open,
    which those of a picture ``alone`` may be."""
    kind = given.type.tensor_type
    names = {number: name.lower() for name, number in onnx.TensorProto.DataType.items()}
    dtype: str = names[kind.elem_type]
    extents = [one.dim_value or one.dim_param or "?" for one in kind.shape.dim]
    fixed = [1 if place == 0 and isinstance(one, str) else one for place, one in enumerate(extents)]
    is_open = alone and len(fixed) == _PICTURE and all(isinstance(one, str) for one in fixed[2:])
    if is_open:
        fixed[2:] = [1, 1]
    several = len(fixed) == _PICTURE and fixed[0] != 1
    if dtype not in _DTYPES or several or not all(isinstance(one, int) for one in fixed):
        shape = ", ".join(map(str, extents))
        raise MqnetError(
            f"its input {given.name} is {dtype} [{shape}]: export one that takes float or integers "
            "of fixed shapes and a batch of 1"
        )
    return torch.zeros(tuple(map(int, fixed)), dtype=_DTYPES[dtype]), dtype, is_open


def _is_dequantized(scope: Scope, name: str) -> bool:
    return any(one.kind == "DequantizeLinear" for one in scope.users.get(name, []))


def _meanings(scope: Scope, name: str) -> set[Quantized]:
    """What the bytes of an input mean to those that read them; nothing of an input in floats, which
    may be in [0, 1] whatever range was found for them."""
    readers = scope.users.get(name, [])
    return {quantization(scope, one) for one in readers if one.kind == "DequantizeLinear"}


def _put_quantized(scope: Scope, name: str, node: fx.Node) -> None:
    """The input in bytes, by the scale of what reads it."""
    meanings = _meanings(scope, name)
    if len(meanings) != 1 or any(one.kind != "DequantizeLinear" for one in scope.users[name]):
        raise MqnetError(f"its input {name} is in bytes, whose one scale has to be known")
    (meaning,) = meanings
    scope.put_bytes(name, scope.builder.quantize(node, meaning), meaning)


def _result(scope: Scope, name: str) -> fx.Node:
    """The output in real numbers."""
    found = scope.bytes(name)
    if found is not None:
        return scope.builder.dequantize(found.node, found.quantized)
    return scope.real(name)


def _step(onnx: Any, node: Any) -> Step:
    name = node.output[0]
    if node.domain not in _DOMAINS:
        raise MqnetError(
            f"op {node.domain}.{node.op_type} ({name}) is of a tool's own: export without it (of "
            "ONNX Runtime: in the format QDQ, and not optimized)"
        )
    attributes = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
    texts = {key: value.decode() for key, value in attributes.items() if isinstance(value, bytes)}
    if node.op_type == "Constant" and "value" in attributes:
        attributes["value"] = onnx.numpy_helper.to_array(attributes["value"])
    return Step(node.op_type, name, tuple(node.input), tuple(node.output), {**attributes, **texts})
