"""Dilated convolutions, in integers and in float, are the kernels of others with a wider window."""

from __future__ import annotations

import numpy as np
from backends import cpu_backend
from quantized_op_cases import BIAS_2, REQUANTIZE, SCALES_2, SPATIAL, expected_call
from tvm import relax
from tvm.ir import assert_structural_equal
from tvm.script import ir as I
from tvm.script import relax as R

from compile.kernels.common.conv_epilogue import ConvEpilogue, EpilogueKind
from compile.kernels.common.window import Window
from compile.kernels.cpu.instructions.x86_vnni import vnni
from compile.kernels.cpu.plain.spatial_conv import create_spatial_conv
from compile.passes.choose_planar_rows import ChoosePlanarRows
from compile.passes.lower_float_convolutions import LowerFloatConvolutions
from compile.passes.lower_quantized_ops import LowerQuantizedOps

WINDOW = Window((3, 3), (1, 1), (2, 2, 2, 2), (2, 2))


def test_of_int8() -> None:
    @I.ir_module
    class Before:
        @R.function
        def main(q: R.Tensor((1, 5, 7, 3), "int8")) -> R.Tensor((1, 5, 7, 2), "int8"):
            with R.dataflow():
                d = R.dequantize(q, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                w = R.dequantize(R.const(SPATIAL), R.const(SCALES_2), R.const(0, "int8"), axis=0)
                conv = R.nn.conv2d(
                    d,
                    w,
                    padding=[2, 2, 2, 2],
                    dilation=[2, 2],
                    data_layout="NHWC",
                    kernel_layout="OIHW",
                    out_layout="NHWC",
                )
                out = R.quantize(conv, R.const(0.125, "float32"), R.const(-20, "int8"), axis=-1)
                R.output(out)
            return out

    kernel = create_spatial_conv((1, 5, 7, 3), 2, WINDOW, "int8", "int8", REQUANTIZE)
    constants = (
        SPATIAL.transpose(2, 3, 1, 0),
        (-3 * SPATIAL.astype("int32").sum((1, 2, 3))).astype("int32"),
        np.array([2.0, 1.0], "float32"),
        np.array([3, -20, -128, 127], "int32"),
    )
    expected = expected_call(kernel, "conv2d_requantize", [(1, 5, 7, 3)], constants, (1, 5, 7, 2))
    assert_structural_equal(LowerQuantizedOps(cpu_backend())(Before), expected)


def test_of_float() -> None:
    weight = SPATIAL.astype("float32")
    traced_bias = BIAS_2.reshape(1, 1, 1, 2)

    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((1, 5, 7, 3), "float32")) -> R.Tensor((1, 5, 7, 2), "float32"):
            with R.dataflow():
                conv = R.nn.conv2d(
                    x,
                    R.const(weight),
                    padding=[2, 2, 2, 2],
                    dilation=[2, 2],
                    data_layout="NHWC",
                    kernel_layout="OIHW",
                    out_layout="NHWC",
                )
                out = R.add(conv, R.const(traced_bias))
                R.output(out)
            return out

    epilogue = ConvEpilogue(EpilogueKind.BIAS)
    kernel = create_spatial_conv((1, 5, 7, 3), 2, WINDOW, "float32", "float32", epilogue)
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((1, 5, 7, 3), "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            constants = np.ascontiguousarray(weight.transpose(2, 3, 1, 0)), BIAS_2.reshape(2)
            args = [x, *(relax.const(constant) for constant in constants)]
            function = builder.add_func(kernel, "conv2d_float")
            ty = relax.TensorType((1, 5, 7, 2), "float32")
            out = builder.emit_output(relax.op.call_tir(function, args, ty))
        builder.emit_func_output(out)
    assert_structural_equal(LowerFloatConvolutions(cpu_backend())(Before), builder.get())


def test_planes_are_not_dilated() -> None:
    """Few channels that a 1x1 convolution reads would become planes."""
    weight = np.ones((12, 8, 3, 3), "int8")
    scales = np.ones(12, "float32")
    last = np.ones((6, 12, 1, 1), "float32")

    def network(dilation: int) -> relax.Expr:
        builder = relax.BlockBuilder()
        q = relax.Var("q", relax.TensorType((1, 8, 16, 8), "int8"))
        layouts = {"data_layout": "NHWC", "kernel_layout": "OIHW", "out_layout": "NHWC"}
        with builder.function("main", [q]):
            with builder.dataflow():
                zero = relax.const(0, "int8")
                data = relax.op.dequantize(q, relax.const(0.5, "float32"), zero, axis=-1)
                filters = relax.op.dequantize(
                    relax.const(weight), relax.const(scales), zero, axis=0
                )
                conv = relax.op.nn.conv2d(
                    builder.emit(data),
                    builder.emit(filters),
                    padding=[dilation] * 4,
                    dilation=[dilation, dilation],
                    **layouts,
                )
                result = relax.op.nn.conv2d(builder.emit(conv), relax.const(last), **layouts)
                out = builder.emit_output(result)
            builder.emit_func_output(out)
        return builder.get()

    planar = ChoosePlanarRows(vnni(256))
    assert "NHCW" in str(planar(network(1)))
    assert_structural_equal(planar(network(2)), network(2))
