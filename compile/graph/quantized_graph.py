"""What the quantize and dequantize ops of a graph say. Not a pass itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tvm
from tvm import relax

from compile.graph.constants import Definitions, constant_value


class NotLowerable(Exception):
    """The reason why a tensor has no integer kernel."""


class FloatOperand(NotLowerable):
    """It is computed from floats."""


@dataclass(frozen=True)
class Quantization:
    """``real = scale * (q - zero_point)``, int8, per tensor."""

    scale: np.float32
    zero_point: int

    def quantized(self, real: float) -> int:
        """The int8 number nearest to ``real``, ties to even, saturated.

        PyTorch quantizes by multiplying with the float32 reciprocal of the scale; so do we.
        """
        steps = np.rint(np.float32(real) * (np.float32(1) / self.scale))
        return int(np.clip(steps + self.zero_point, -128, 127))


@dataclass(frozen=True)
class QuantizedTensor:
    """An int8 variable of the original graph and what its numbers mean."""

    tensor: relax.Var
    quantization: Quantization


def op_name(expr: relax.Expr | None) -> str:
    """Name of the operator that ``expr`` calls, without "relax.", or an empty string."""
    if isinstance(expr, relax.Call) and isinstance(expr.op, tvm.ir.Op):
        return expr.op.name.removeprefix("relax.")
    return ""


def quantization_of(call: relax.Call, definitions: Definitions) -> Quantization:
    """The per-tensor parameters of a quantize or dequantize ``call``."""
    scale, zero_point = (constant_value(arg, definitions) for arg in call.args[1:3])
    if scale is None or zero_point is None or scale.size != 1:
        raise NotLowerable(f"{op_name(call)} is not per tensor with constant parameters")
    return Quantization(np.float32(scale.item()), int(zero_point.item()))


def dequantized(expr: relax.Expr, definitions: Definitions) -> QuantizedTensor:
    """The int8 tensor behind ``expr``, which a dequantize defines.

    Raises:
        NotLowerable: it is something else.
    """
    definition = definitions.get(expr) if isinstance(expr, relax.Var) else None
    if (
        definition is None
        or op_name(definition) != "dequantize"
        or not isinstance(definition.args[0], relax.Var)
    ):
        raise FloatOperand(f"operand {expr} is not a quantized tensor")
    return QuantizedTensor(definition.args[0], quantization_of(definition, definitions))
