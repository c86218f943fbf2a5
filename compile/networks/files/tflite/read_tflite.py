"""The reader of .tflite: LiteRT's networks in float, int8 or mixed, NHWC, at a fixed size."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, fx

from compile.networks.files.graph_builder import GraphBuilder, layer_path
from compile.networks.files.network_file import (
    NetworkFile,
    holds_pixels,
    named_apart,
    scheme_of,
)
from compile.networks.files.restore_modules import restore_modules
from compile.networks.files.tflite.model import Operator, TensorFacts, TfliteModel, read_model
from compile.networks.files.tflite.operators import OPERATORS
from compile.networks.files.tflite.scope import Scope, nhwc
from compile.networks.user_module import is_picture
from compile.support.errors import MqnetError

aten = torch.ops.aten

_DTYPES = {"FLOAT32": torch.float32, "INT8": torch.float32, "UINT8": torch.float32,
           "INT32": torch.int32, "INT64": torch.int64}  # fmt: skip
"""What is given and taken for tensors of the file: real numbers for those that mean some."""

_TAKEN = (*_DTYPES, "FLOAT16", "BOOL")
_MOST_AXES = 4


def read_tflite(path: Path) -> NetworkFile:
    """Read the network at ``path``. One picture [1, H, W, C], float32 in [0, 1] or the same
    quantized, is a photograph; all else are tensors in the file's order of axes, pictures that are
    quantized for another range too.

    Raises:
        MqnetError: the file is damaged, or holds what is not taken: it names the tensor.
    """
    model = read_model(path)
    try:
        return _read(model)
    except MqnetError as error:
        raise MqnetError(f"network {path}: {error}") from None


def _read(model: TfliteModel) -> NetworkFile:
    given = [model.tensors[index] for index in model.inputs]
    made = [model.tensors[index] for index in model.outputs]
    if not given or not made:
        raise MqnetError(f"it has {len(given)} inputs and {len(made)} outputs")
    inputs = tuple(map(_example, given))
    is_photograph = in_pixels = len(inputs) == 1 and len(given[0].shape) == _MOST_AXES
    if is_photograph:
        picture = inputs[0].permute(0, 3, 1, 2)
        in_pixels = given[0].dtype == "FLOAT32" or holds_pixels(given[0].quantized)
        is_photograph = is_picture(picture) and in_pixels
        inputs = (picture,) if is_photograph else inputs
    module = _converted(model, is_photograph)
    return NetworkFile(
        restore_modules(module),
        inputs,
        named_apart(model.names_of(model.inputs)),
        named_apart(model.names_of(model.outputs)),
        _is_picture(made),
        scheme_of(module.graph),
        in_pixels=in_pixels,
    )


def _is_picture(made: list[TensorFacts]) -> bool:
    """Whether outputs are one picture."""
    return len(made) == 1 and len(made[0].shape) == _MOST_AXES


def _example(tensor: TensorFacts) -> Tensor:
    """Zeros for an input of the file."""
    shape = tensor.shape
    several = len(shape) == _MOST_AXES and shape[0] != 1
    if tensor.dtype not in _DTYPES or len(shape) > _MOST_AXES or several or 0 in shape:
        raise MqnetError(
            f"its input {tensor.name} is {tensor.dtype} {list(shape)}: convert one that takes "
            "FLOAT32, INT8, UINT8, INT32 or INT64 of at most 4 axes and a batch of 1"
        )
    return torch.zeros(shape, dtype=_DTYPES[tensor.dtype])


def _converted(model: TfliteModel, is_photograph: bool) -> fx.GraphModule:
    builder = GraphBuilder()
    scope = Scope(builder, model.tensors)
    for index in model.inputs:
        node, shape = builder.input(), model.tensors[index].shape
        scope.put(index, node if is_photograph else _channels_first(builder, node, shape))
    for operator in model.operators:
        _check(operator, scope)
        output = operator.outputs[0]
        builder.named(layer_path(model.tensors[output].name))
        result = OPERATORS[operator.kind](scope, operator)
        if result is not None:
            scope.put(output, result)
    builder.named("")
    results = [scope.real(index) for index in model.outputs]
    if not (is_photograph and _is_picture([model.tensors[index] for index in model.outputs])):
        results = [
            _as_in_file(builder, node, model.tensors[index].shape)
            for node, index in zip(results, model.outputs, strict=True)
        ]
    return builder.finish(results)


def _channels_first(builder: GraphBuilder, node: fx.Node, shape: tuple[int, ...]) -> fx.Node:
    if len(shape) < _MOST_AXES:
        node = builder.call(aten.reshape.default, node, list(nhwc(shape)))
    return builder.call(aten.permute.default, node, [0, 3, 1, 2])


def _as_in_file(builder: GraphBuilder, node: fx.Node, shape: tuple[int, ...]) -> fx.Node:
    node = builder.call(aten.permute.default, node, [0, 2, 3, 1])
    if len(shape) < _MOST_AXES:
        node = builder.call(aten.reshape.default, node, list(shape))
    return node


def _check(operator: Operator, scope: Scope) -> None:
    """Raise where ``operator`` or a tensor of it is not taken."""
    tensors = [scope.tensors[index] for index in operator.outputs]
    name = tensors[0].name
    if operator.kind not in OPERATORS:
        raise MqnetError(
            f"op {operator.kind} ({name}) is not known: write it with other operations, or add it "
            "to compile/networks/files/tflite/operators.py"
        )
    if operator.kind == "DEQUANTIZE" and scope.constant(operator.inputs[0]) is not None:
        return
    for index in (*operator.inputs, *operator.outputs):
        if index < 0 or scope.constant(index) is not None:
            continue
        one = scope.tensors[index]
        if one.dtype not in _TAKEN:
            raise MqnetError(
                f"tensor {one.name} is {one.dtype}: quantize to INT8, or leave it in FLOAT32"
            )
        if len(one.shape) > _MOST_AXES or (len(one.shape) == _MOST_AXES and one.shape[0] != 1):
            raise MqnetError(f"tensor {one.name} is {list(one.shape)}: convert for a batch of 1")
        if one.dtype == "UINT8" and operator.kind != "QUANTIZE":
            raise MqnetError(f"op {operator.kind} ({name}) has UINT8 numbers: quantize to INT8")
