"""The reader of .onnx: float networks, and those with QuantizeLinear and DequantizeLinear."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import fx

from compile.networks.files.graph_builder import GraphBuilder, layer_path
from compile.networks.files.network_file import NetworkFile, Size, check_input_range, scheme_of
from compile.networks.files.onnx.operators import OPERATORS
from compile.networks.files.onnx.scope import Scope, Step, quantization
from compile.networks.files.restore_modules import restore_modules
from compile.support.errors import MqnetError

_DOMAINS = ("", "ai.onnx")
_BYTES = ("uint8", "int8")


def read_onnx(path: Path) -> NetworkFile:
    """Read the network at ``path``, which takes one picture [1, C, H, W], float32 in [0, 1] or the
    same quantized.

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
    inputs = [one for one in graph.input if one.name not in constants]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise MqnetError(
            f"it has {len(inputs)} inputs and {len(graph.output)} outputs, and one picture is "
            "taken and given"
        )
    (picture,) = inputs
    channels, size, dtype = _picture(onnx, picture)
    steps = [_step(onnx, node) for node in graph.node]
    builder = GraphBuilder()
    scope = Scope(builder, constants, steps, graph.output[0].name)
    if dtype in _BYTES:
        _put_quantized(scope, picture.name)
    else:
        scope.put(picture.name, builder.picture)
    for step in steps:
        _convert(scope, step)
    module = builder.finish(_result(scope, graph.output[0].name))
    return NetworkFile(restore_modules(module), channels, size, scheme_of(module.graph))


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


def _picture(onnx: Any, picture: Any) -> tuple[int, Size | None, str]:
    """Channels, height and width, unless those are left open, and type of the input."""
    kind = picture.type.tensor_type
    names = {number: name.lower() for name, number in onnx.TensorProto.DataType.items()}
    dtype: str = names[kind.elem_type]
    extents = [one.dim_value or one.dim_param or "?" for one in kind.shape.dim]
    is_open = len(extents) == 4 and all(isinstance(one, str) for one in extents[2:])
    is_fixed = len(extents) == 4 and all(isinstance(one, int) for one in extents[2:])
    fits = (is_open or is_fixed) and extents[0] in (1, "?") or isinstance(extents[0], str)
    if not fits or not isinstance(extents[1], int) or dtype not in ("float", *_BYTES):
        shape = ", ".join(map(str, extents))
        raise MqnetError(
            f"its input {picture.name} is {dtype} [{shape}]: export one that takes a picture, "
            "float [1, C, H, W] in [0, 1]"
        )
    size = (int(extents[2]), int(extents[3])) if is_fixed else None
    return int(extents[1]), size, dtype


def _put_quantized(scope: Scope, name: str) -> None:
    """The picture in bytes, by the scale of what reads it."""
    readers = scope.users.get(name, [])
    meanings = {quantization(scope, one) for one in readers if one.kind == "DequantizeLinear"}
    if len(meanings) != 1 or any(one.kind != "DequantizeLinear" for one in readers):
        raise MqnetError(f"its input {name} is in bytes, whose one scale has to be known")
    (meaning,) = meanings
    check_input_range(meaning)
    scope.put_bytes(name, scope.builder.quantize(scope.builder.picture, meaning), meaning)


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
