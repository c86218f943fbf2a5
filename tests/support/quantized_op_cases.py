"""Constants and expected modules that the tests of the integer lowering share."""

from __future__ import annotations

import numpy as np
import tvm
from tvm import relax

from compile.kernels.common.conv_epilogue import ConvEpilogue, EpilogueKind

LOGGER = "compile.passes.lower_quantized_ops"

POINTWISE = np.array([[1, -2, 3], [127, 0, -127]], "int8").reshape(2, 3, 1, 1)
SPATIAL = np.arange(-27, 27).reshape(2, 3, 3, 3).astype("int8")
DEPTHWISE = np.arange(-13, 14).reshape(3, 1, 3, 3).astype("int8")
SCALES_2 = np.array([0.5, 0.25], "float32")
SCALES_3 = np.array([0.5, 0.25, 0.125], "float32")
BIAS_2 = np.array([1.0, -3.0], "float32").reshape(1, 1, 1, 2)

REQUANTIZE = ConvEpilogue(EpilogueKind.REQUANTIZE)


def sigmoid_table(scale: float, zero_point: int, out_scale: float, out_zero_point: int):
    """By the definition, in double precision; the values chosen are no rounding ties."""
    real = (np.arange(-128, 128) - zero_point) * scale
    steps = np.rint(1 / (1 + np.exp(-real)) / out_scale) + out_zero_point
    return np.clip(steps, -128, 127).astype("int8")


def expected_call(kernel, name, shapes, constants, out_shape) -> tvm.IRModule:
    """A module whose main calls ``kernel`` on int8 parameters of ``shapes`` and ``constants``."""
    builder = relax.BlockBuilder()
    params = [relax.Var(f"p{i}", relax.TensorType(s, "int8")) for i, s in enumerate(shapes)]
    with builder.function("main", params):
        with builder.dataflow():
            args = [relax.const(np.ascontiguousarray(constant)) for constant in constants]
            function = builder.add_func(kernel, name)
            ty = relax.TensorType(out_shape, "int8")
            call = relax.op.call_tir(function, [*params, *args], ty)
            result = builder.emit_output(call)
        builder.emit_func_output(result)
    return builder.get()


def only_call(mod: tvm.IRModule) -> relax.Call:
    (binding,) = mod["main"].body.blocks[0].bindings
    assert binding.value.op.name == "relax.call_tir"
    return binding.value
