"""Multiply by channel attention's scales in the kernel that reads the product.

For 1x1 convolutions over concat(upsample(product), high) that no inverted residual block has taken
in; :mod:`compile.passes.fuse_inverted_residuals` folds the scales of its blocks itself.
"""

from __future__ import annotations

import tvm
from tvm import relax

from compile.graph.match_channel_scale import match_channel_scale
from compile.graph.rewrite_function import rewrite_functions
from compile.graph.rewrite_kernel_calls import KernelCallRewriter
from compile.graph.shapes import feature_map_shape
from compile.kernels.common.conv_epilogue import ConvEpilogue, EpilogueKind
from compile.kernels.cpu.instructions.dot_product import DotProduct
from compile.kernels.cpu.int8 import int8_concat_pointwise
from compile.kernels.cpu.int8.int8_concat_pointwise import create_int8_concat_pointwise


@tvm.transform.module_pass(opt_level=0, name="FoldChannelScales")
class FoldChannelScales:
    """Fold channel scales into 1x1 convolutions, in every Relax function.

    Args:
        dot: the dot product instruction that the kernels use, if the target has one.
    """

    def __init__(self, dot: DotProduct | None) -> None:
        self.dot = dot

    def transform_module(self, mod: tvm.IRModule, _ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """IRModule-level transformation."""
        return rewrite_functions(mod, lambda mod, f: _ScaleFolding(mod, f, self.dot))


class _ScaleFolding(KernelCallRewriter):
    def __init__(self, mod: tvm.IRModule, function: relax.Function, dot: DotProduct | None) -> None:
        super().__init__(mod, function)
        self._dot = dot

    def convert(self, var: relax.Var, value: relax.Expr) -> relax.Expr:
        is_reader = self.family(var) == int8_concat_pointwise.FAMILY.name and var.ty.dtype == "int8"
        scaled = match_channel_scale(self.operands(var)[0], self, [var]) if is_reader else None
        if scaled is None:
            return self.renewed(value)
        assert self._dot is not None  # The kernel that was found is made of it.
        _, high, *constants = self.operands(var)
        shape, low_shape, high_shape = (
            feature_map_shape(tensor) for tensor in (var, scaled.feature_map, high)
        )
        kernel = create_int8_concat_pointwise(
            low_shape,
            high_shape[3],
            high_shape[2] // low_shape[2],
            shape[3],
            self._dot,
            ConvEpilogue(EpilogueKind.REQUANTIZE),
            has_channel_scale=True,
        )
        operands = [scaled.feature_map, high, *constants, *scaled.operands]
        call = relax.op.call_tir(
            self.builder.add_func(kernel, "conv2d_gated_requantize"),
            [self.renewed(operand) for operand in operands],
            relax.TensorType(shape, "int8"),
        )
        return self.with_layers_of(call, [scaled.product, var])
