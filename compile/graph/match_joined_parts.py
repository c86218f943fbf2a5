"""Recognize what a convolution reads as parts that are joined along channels. Not a pass itself.

A kernel that transforms its data anyway reads it where it is: the joined tensor need not be made,
nor the one whose pixels are repeated or come from a pixel shuffle.
"""

from __future__ import annotations

from compile.graph.constants import Definitions
from compile.graph.match_quantized_op import QuantizedOp, match_quantized_op
from compile.graph.quantized_graph import NotLowerable, QuantizedTensor, op_name
from compile.kernels.common.joined_parts import JoinedPart


def match_joined_parts(
    data: QuantizedTensor, definitions: Definitions
) -> list[tuple[QuantizedTensor, JoinedPart]]:
    """The tensors that ``data`` is made of by moving bytes, in the order of its channels; ``data``
    itself where that is all."""
    return [_moved(tensor, definitions) for tensor in find_joined_tensors(data, definitions)]


def find_joined_tensors(
    operand: QuantizedTensor, definitions: Definitions
) -> list[QuantizedTensor]:
    """What ``operand`` is joined of, also in several steps; itself where it is not."""
    quantized_op = find_quantized_op(operand, definitions)
    if quantized_op is None or quantized_op.kind != "concat":
        return [operand]
    return [
        tensor for part in quantized_op.inputs for tensor in find_joined_tensors(part, definitions)
    ]


def _moved(data: QuantizedTensor, definitions: Definitions) -> tuple[QuantizedTensor, JoinedPart]:
    """The tensor whose bytes ``data`` has in other places, or itself."""
    quantized_op = find_quantized_op(data, definitions)
    channels = int(data.tensor.ty.shape[3])
    if quantized_op is not None and quantized_op.kind == "upsample":
        assert quantized_op.factor is not None
        return quantized_op.inputs[0], JoinedPart(channels, quantized_op.factor)
    shuffle = None if quantized_op is None else quantized_op.shuffle
    if quantized_op is not None and shuffle is not None and shuffle.channels_together:
        return quantized_op.inputs[0], JoinedPart(channels, shuffle.factor, shuffled=True)
    return data, JoinedPart(channels)


def find_quantized_op(operand: QuantizedTensor, definitions: Definitions) -> QuantizedOp | None:
    """The quantized op whose result is ``operand``, if it is the result of one."""
    if op_name(definitions.get(operand.tensor)) != "quantize":
        return None
    try:
        return match_quantized_op(operand.tensor, definitions)
    except NotLowerable:
        return None
