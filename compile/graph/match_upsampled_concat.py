"""Recognize a 1x1 convolution over concat(upsample(low), high). Not a pass itself.

Such a convolution is lowered to one kernel that makes neither the upsampled tensor nor the joined
one (:mod:`compile.kernels.cpu.int8.int8_concat_pointwise` has the proof that this is exact), and
with fewer multiplications.
"""

from __future__ import annotations

from dataclasses import dataclass

from compile.graph.constants import Definitions
from compile.graph.match_convolution import Convolution
from compile.graph.match_joined_parts import find_quantized_op
from compile.graph.match_quantized_op import QuantizedOp
from compile.graph.quantized_graph import QuantizedTensor
from compile.graph.shapes import feature_map_shape


@dataclass(frozen=True)
class UpsampledConcat:
    """What a convolution reads, of one quantization.

    Attributes:
        low: the tensor whose pixels are repeated.
        high: the tensor that it is joined with.
        factor: of the repetition.
        low_channels, high_channels: their input channels among the convolution's.
    """

    low: QuantizedTensor
    high: QuantizedTensor
    factor: int
    low_channels: slice
    high_channels: slice

    @property
    def shapes(self) -> tuple[tuple[int, int, int, int], tuple[int, int, int, int]]:
        """[1,H/factor,W/factor,A] of ``low`` and [1,H,W,B] of ``high``."""
        return feature_map_shape(self.low.tensor), feature_map_shape(self.high.tensor)


def match_upsampled_concat(
    convolution: Convolution, definitions: Definitions
) -> UpsampledConcat | None:
    """What ``convolution`` reads, where it is a 1x1 convolution over such a concat."""
    if not convolution.is_pointwise:
        return None
    if not isinstance(convolution.data, QuantizedTensor):
        return None
    concat = find_quantized_op(convolution.data, definitions)
    if concat is None or concat.kind != "concat":
        return None
    sources = [_upsampled(part, definitions) for part in concat.inputs]
    if sum(source is not None for source in sources) != 1:
        return None
    first = _channels(concat.inputs[0])
    channels = [slice(0, first), slice(first, first + _channels(concat.inputs[1]))]
    which = 0 if sources[0] is not None else 1
    low, high = sources[which], concat.inputs[1 - which]
    assert low is not None and low.factor is not None
    return UpsampledConcat(low.inputs[0], high, low.factor, channels[which], channels[1 - which])


def _upsampled(part: QuantizedTensor, definitions: Definitions) -> QuantizedOp | None:
    quantized_op = find_quantized_op(part, definitions)
    return quantized_op if quantized_op is not None and quantized_op.kind == "upsample" else None


def _channels(operand: QuantizedTensor) -> int:
    return int(operand.tensor.ty.shape[3])
