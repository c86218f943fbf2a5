"""What LiteRT computes of each byte by an operator of one tensor.

Its int8 kernels of such operators differ in their rounding: some are tables, some in fixed point
of 8, 15 or 31 bits. So none is written down here: a file of the operator alone is run on all bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from compile.networks.files.tflite.model import Operator, TensorFacts, schema

_BYTES = np.arange(-128, 128, dtype=np.int8)
_TYPES = {"INT8": 9, "INT32": 2}


def ask_litert(
    operator: Operator, inputs: list[TensorFacts], output: TensorFacts, channels: int
) -> NDArray[np.int8]:
    """int8 [channels, 256]: what ``operator`` makes of the bytes from -128 on, in each of so many
    channels.

    Args:
        operator: of int8 tensors.
        inputs: what it reads, all constants but one, whose bytes are tried.
        output: what it gives.
    """
    from ai_edge_litert.interpreter import Interpreter

    shape = (1, len(_BYTES), 1, channels)
    tensors = [
        _tensor(one, shape if one.constant is None else one.shape, place + 1)
        for place, one in enumerate((*inputs, output))
    ]
    place = next(place for place, one in enumerate(inputs) if one.constant is None)
    contents = [one.constant for one in (*inputs, output)]
    interpreter = Interpreter(
        model_content=_file(operator, tensors, contents, place), num_threads=1
    )
    interpreter.allocate_tensors()
    data = np.broadcast_to(_BYTES[None, :, None, None], shape)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], data)
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return np.ascontiguousarray(found.reshape(len(_BYTES), channels).T)


def _tensor(facts: TensorFacts, shape: tuple[int, ...], buffer: int) -> Any:
    tensor, q = schema().TensorT(), schema().QuantizationParametersT()
    tensor.name, tensor.buffer = facts.name.encode(), buffer
    tensor.shape, tensor.type = np.array(shape, np.int32), _TYPES[facts.dtype]
    q.scale, q.zeroPoint, q.quantizedDimension = facts.scales, facts.zero_points, facts.axis
    tensor.quantization = q
    return tensor


def _file(
    operator: Operator, tensors: list[Any], contents: list[NDArray | None], place: int
) -> bytes:
    """A model of ``operator`` alone, which reads all ``tensors`` but the last one: constants with
    ``contents``, and its input at ``place``."""
    import flatbuffers

    parts = schema()
    model, graph, own = parts.ModelT(), parts.SubGraphT(), parts.OperatorT()
    own.opcodeIndex, last = 0, len(tensors) - 1
    own.inputs, own.outputs = np.arange(last, dtype=np.int32), np.array([last], np.int32)
    own.builtinOptionsType, own.builtinOptions = operator.options_type, operator.options
    graph.tensors, graph.operators = tensors, [own]
    graph.inputs, graph.outputs = np.array([place], np.int32), np.array([last], np.int32)
    model.version, model.subgraphs, model.operatorCodes = 3, [graph], [operator.code]
    model.buffers = [parts.BufferT() for _ in range(len(tensors) + 1)]
    for buffer, content in zip(model.buffers[1:], contents, strict=True):
        if content is not None:
            buffer.data = np.frombuffer(np.ascontiguousarray(content).tobytes(), np.uint8)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
