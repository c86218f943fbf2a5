"""Lower the float ops that are neither convolutions nor elementwise: mean, upsampling, concat.

The kernels are those of the int8 backbone, on floats: pooling sums by rows, the others move runs
of channels.
"""

from __future__ import annotations

from functools import partial

import tvm
from tvm import relax, tirx

from compile.backends.backend import Backend
from compile.graph.match_quantized_op import upsampling_factor
from compile.graph.quantized_graph import NotLowerable, op_name
from compile.graph.rewrite_function import FunctionRewriter, rewrite_functions
from compile.graph.shapes import feature_map_shape, tensor_shape
from compile.kernels.cpu.plain.mean import create_float_mean


@tvm.transform.module_pass(opt_level=0, name="LowerFloatActivations")
class LowerFloatActivations:
    """Replace global average pooling, nearest upsampling and concat of two float tensors.

    Args:
        backend: whose kernels they are.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def transform_module(self, mod: tvm.IRModule, _ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """IRModule-level transformation."""
        return rewrite_functions(mod, partial(_ActivationLowering, self.backend))


class _ActivationLowering(FunctionRewriter):
    def __init__(self, backend: Backend, mod: tvm.IRModule, function: relax.Function) -> None:
        super().__init__(mod, function)
        self._backend = backend

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
        if name == "nn.adaptive_avg_pool2d" and tensor_shape(value)[1:3] == (1, 1):
            return create_float_mean(feature_map_shape(value.args[0]), dtype)
        if name == "image.resize2d":
            try:
                factor = upsampling_factor(value)
            except NotLowerable:
                return None
            return self._backend.upsample(feature_map_shape(value.args[0]), factor, dtype)
        if name == "concat" and int(value.attrs.axis) == 3 and len(value.args[0].fields) == 2:
            left, right = (feature_map_shape(field) for field in value.args[0].fields)
            return self._backend.concat(left[1], left[2], (left[3], right[3]), dtype)
        return None
