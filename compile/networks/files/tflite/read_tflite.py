"""The reader of .tflite: LiteRT's networks in float, int8 or mixed, NHWC, at a fixed size."""

from __future__ import annotations

from pathlib import Path

from torch import fx

from compile.networks.files.graph_builder import GraphBuilder, layer_path
from compile.networks.files.network_file import NetworkFile, check_input_range, scheme_of
from compile.networks.files.restore_modules import restore_modules
from compile.networks.files.tflite.model import Operator, TensorFacts, TfliteModel, read_model
from compile.networks.files.tflite.operators import OPERATORS
from compile.networks.files.tflite.scope import Scope, nhwc
from compile.support.errors import MqnetError

_PICTURES = ("FLOAT32", "INT8", "UINT8")
_TAKEN = (*_PICTURES, "FLOAT16")


def read_tflite(path: Path) -> NetworkFile:
    """Read the network at ``path``, which takes one picture [1, H, W, C], float32 in [0, 1] or the
    same quantized.

    Raises:
        MqnetError: the file is damaged, or holds what is not taken: it names the tensor.
    """
    model = read_model(path)
    try:
        picture = _picture(model)
        module = _converted(model, picture)
    except MqnetError as error:
        raise MqnetError(f"network {path}: {error}") from None
    _, height, width, channels = picture.shape
    scheme = scheme_of(module.graph)
    return NetworkFile(restore_modules(module), channels, (height, width), scheme)


def _picture(model: TfliteModel) -> TensorFacts:
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise MqnetError(
            f"it has {len(model.inputs)} inputs and {len(model.outputs)} outputs, and one picture "
            "is taken and given"
        )
    picture = model.tensors[model.inputs[0]]
    if len(picture.shape) != 4 or picture.shape[0] != 1 or picture.dtype not in _PICTURES:
        raise MqnetError(
            f"its input is {picture.dtype} {list(picture.shape)}: convert one that takes a picture "
            "[1, H, W, C], FLOAT32, INT8 or UINT8"
        )
    if picture.dtype != "FLOAT32":
        check_input_range(picture.quantized)
    return picture


def _converted(model: TfliteModel, picture: TensorFacts) -> fx.GraphModule:
    builder = GraphBuilder()
    scope = Scope(builder, model.tensors)
    scope.put(model.inputs[0], builder.picture)
    for operator in model.operators:
        _check(operator, scope)
        output = operator.outputs[0]
        builder.named(layer_path(model.tensors[output].name))
        result = OPERATORS[operator.kind](scope, operator)
        if result is not None:
            scope.put(output, result)
    output = model.outputs[0]
    shape = model.tensors[output].shape
    if len(shape) != 4:
        raise MqnetError(f"its result is {list(shape)}: convert one that gives a picture")
    assert nhwc(shape) == shape
    return builder.finish(scope.real(output))


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
        if len(one.shape) > 4 or (len(one.shape) == 4 and one.shape[0] != 1):
            raise MqnetError(f"tensor {one.name} is {list(one.shape)}: convert for a batch of 1")
        if one.dtype == "UINT8" and operator.kind != "QUANTIZE":
            raise MqnetError(f"op {operator.kind} ({name}) has UINT8 numbers: quantize to INT8")
