"""What every convolution does with its accumulator before the store, and the operands it needs.

Three epilogues serve all schemes:

=============  ===========  ======================================================================
epilogue       accumulator  result
=============  ===========  ======================================================================
``requantize`` int32        int8, see :mod:`compile.kernels.common.requantize`
``scale``      int32 or     float: ``f32(acc + offset[c]) * multiplier[c] + bias[c]``; the offset
               float32      (-z_x * sum of the weights) exists for int32 accumulators only
``bias``       float32      float: ``acc + bias[c]``
=============  ===========  ======================================================================

``scale`` and ``bias`` end in the activation (none, ReLU or a clip); for ``requantize`` it is part
of the clamp limits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from tvm import te, tirx

from compile.kernels.common.requantize import CLAMP_LOW, OUTPUT_ZERO_POINT, requantize


class EpilogueKind(Enum):
    """The rows of the module's table."""

    REQUANTIZE = "requantize"
    SCALE = "scale"
    BIAS = "bias"


@dataclass(frozen=True)
class ConvEpilogue:
    """The end of a convolution kernel.

    Attributes:
        kind: see the module's table.
        low: lower limit of a float result (0.0 for ReLU), or None. Of ``requantize``: 0.0 where the
            lower limit is known to be the zero point, for kernels that are started; else None.
        high: upper limit of a float result (6.0 for ReLU6), or None.
        dtype: of a float result; it is computed in float32.
    """

    kind: EpilogueKind
    low: float | None = None
    high: float | None = None
    dtype: str = "float32"

    def operands(self, channels: int, accumulator_dtype: str) -> list[te.Tensor]:
        """Placeholders behind data and weights, in the order in which the kernel takes them."""
        if self.kind is EpilogueKind.REQUANTIZE:
            return [
                te.placeholder((channels,), "int32", name="bias"),
                te.placeholder((channels,), "float32", name="multiplier"),
                te.placeholder((4,), "int32", name="quant"),
            ]
        operands = [te.placeholder((channels,), "float32", name="bias")]
        if self.kind is EpilogueKind.SCALE:
            operands.append(te.placeholder((channels,), "float32", name="multiplier"))
            if accumulator_dtype == "int32":
                operands.append(te.placeholder((channels,), "int32", name="offset"))
                operands.append(te.placeholder((4,), "int32", name="quant"))
        return operands

    def start(self, operands: list[te.Tensor]) -> te.Tensor | None:
        """What is added to the int32 accumulator of each channel, so that it may as well begin
        there; None for an accumulator of floats."""
        name = "bias" if self.kind is EpilogueKind.REQUANTIZE else "offset"
        return next((operand for operand in operands if operand.op.name == name), None)

    def apply(
        self, operands: list[te.Tensor], is_started: bool = False
    ) -> Callable[[tirx.Expr, tirx.Expr], tirx.Expr]:
        """A function (accumulator, channel) -> result over the given ``operands``. An accumulator
        that ``is_started`` has begun at :meth:`start`."""
        by_name = {operand.op.name: operand for operand in operands}

        def added(acc: tirx.Expr, name: str, channel: tirx.Expr) -> tirx.Expr:
            return acc if is_started else acc + by_name[name][channel]

        def requantized(acc: tirx.Expr, channel: tirx.Expr) -> tirx.Expr:
            biased = added(acc, "bias", channel)
            low = CLAMP_LOW if self.low is None else OUTPUT_ZERO_POINT
            return requantize(biased, by_name["multiplier"][channel], by_name["quant"], low)

        def floating(acc: tirx.Expr, channel: tirx.Expr) -> tirx.Expr:
            if "offset" in by_name:
                acc = added(acc, "offset", channel).astype("float32")
            if "multiplier" in by_name:
                acc = acc * by_name["multiplier"][channel]
            result = acc + by_name["bias"][channel]
            if self.low is not None:
                result = tirx.max(result, tirx.const(self.low, "float32"))
            if self.high is not None:
                result = tirx.min(result, tirx.const(self.high, "float32"))
            return result.astype(self.dtype)

        return requantized if self.kind is EpilogueKind.REQUANTIZE else floating


def accumulator_dtype(data_dtype: str, weight_dtype: str) -> str:
    """int32 where data and weights are int8, float32 as soon as the data is float."""
    return "int32" if data_dtype == weight_dtype == "int8" else "float32"


def padding_value(data_dtype: str, operands: list[te.Tensor]) -> tirx.Expr:
    """What stands beyond the feature map's edge: zero, which for int8 data is its zero point."""
    if data_dtype == "int8":
        quant = next(operand for operand in operands if operand.op.name == "quant")
        return quant[0].astype("int8")
    return tirx.const(0.0, data_dtype)
