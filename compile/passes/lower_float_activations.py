"""Lower the float ops that are neither convolutions nor elementwise: mean, upsampling, concat.

The kernels are those of the int8 backbone, on floats: pooling sums by rows, the others move runs
of channels.
"""

from __future__ import annotations

from functools import partial

import tvm
from tvm import relax, tirx

from compile.graph.match_quantized_op import upsampling_factor
from compile.graph.quantized_graph import NotLowerable, op_name
from compile.graph.rewrite_function import FunctionRewriter, rewrite_functions
from compile.kernels.cpu.plain import move
from compile.kernels.cpu.plain.mean import create_float_mean
from compile.kernels.gpu import gpu_move


@tvm.transform.module_pass(opt_level=0, name="LowerFloatActivations")
class LowerFloatActivations:
    """Replace global average pooling, nearest upsampling and concat of two float tensors.

    Args:
        on_gpu: move by the kernels of :mod:`compile.kernels.gpu.gpu_move`.
    """

    def __init__(self, on_gpu: bool = False) -> None:
        self.on_gpu = on_gpu

    def transform_module(self, mod: tvm.IRModule, _ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """IRModule-level transformation."""
        return rewrite_functions(mod, partial(_PictureLowering, self.on_gpu))


class _PictureLowering(FunctionRewriter):
    def __init__(self, on_gpu: bool, mod: tvm.IRModule, function: relax.Function) -> None:
        super().__init__(mod, function)
        self._move = gpu_move if on_gpu else move

    def convert(self, var: relax.Var, value: relax.Expr) -> relax.Expr:
        kernel = self._kernel(value)
        if kernel is None:
            return self.renewed(value)
        args = value.args[0].fields if op_name(value) == "concat" else value.args[:1]
        name = op_name(value).rsplit(".", 1)[-1]
        function = self.builder.add_func(kernel, name)
        return relax.op.call_tir(function, [self.renewed(arg) for arg in args], value.ty)

    def _kernel(self, value: relax.Expr) -> tirx.PrimFunc | None:
        name = op_name(value)
        if not name or str(value.ty.dtype) not in ("float32", "float16"):
            return None
        dtype = str(value.ty.dtype)
        if name == "nn.adaptive_avg_pool2d" and _shape(value)[1:3] == (1, 1):
            return create_float_mean(_shape(value.args[0]), dtype)
        if name == "image.resize2d":
            try:
                factor = upsampling_factor(value)
            except NotLowerable:
                return None
            return self._move.create_upsample(_shape(value.args[0]), factor, dtype)
        if name == "concat" and int(value.attrs.axis) == 3 and len(value.args[0].fields) == 2:
            left, right = (_shape(field) for field in value.args[0].fields)
            return self._move.create_concat(left[1], left[2], (left[3], right[3]), dtype)
        return None


def _shape(expr: relax.Expr) -> tuple[int, ...]:
    return tuple(int(extent) for extent in expr.ty.shape)
