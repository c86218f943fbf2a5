"""Lower InstanceNorm to statistics (by rows, then merged) and a multiply-add with the ReLU.

Where the function takes scales and shifts, because they are of a picture of which it computes a
tile, only the multiply-add is left (:mod:`compile.passes.split_stages`).
"""

from __future__ import annotations

from functools import partial
from math import prod

import numpy as np
import tvm
from tvm import relax, tirx

from compile.backends.backend import Backend
from compile.graph.constants import constant_value
from compile.graph.quantized_graph import op_name
from compile.graph.rewrite_function import FunctionRewriter, rewrite_functions
from compile.graph.shapes import feature_map_shape, tensor_shape


@tvm.transform.module_pass(opt_level=0, name="LowerInstanceNorm")
class LowerInstanceNorm:
    """Replace instance_norm (NHWC, or float32 NHCW) and relu(instance_norm), or a multiply-add by
    arguments of the function in its place, in every Relax function.

    Args:
        backend: whose kernels they are.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def transform_module(self, mod: tvm.IRModule, _ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """IRModule-level transformation."""
        return rewrite_functions(mod, partial(_InstanceNormLowering, self.backend))


class _InstanceNormLowering(FunctionRewriter):
    def __init__(self, backend: Backend, mod: tvm.IRModule, function: relax.Function) -> None:
        super().__init__(mod, function)
        self._backend = backend

    def convert(self, var: relax.Var, value: relax.Expr) -> relax.Expr:
        if op_name(value) == "nn.instance_norm":
            return self._normalize(value, low=None)
        if (scaled := self._match_scaled(value)) is not None:
            return self._scale(*scaled, low=None)
        if op_name(value) == "nn.relu":
            source = self.definitions.get(value.args[0])
            if op_name(source) == "nn.instance_norm":
                return self._normalize(source, low=0.0)
            if (scaled := self._match_scaled(source)) is not None:
                return self._scale(*scaled, low=0.0)
        return self.renewed(value)

    def _normalize(self, call: relax.Call, low: float | None) -> relax.Expr:
        data = self.renewed(call.args[0])
        gamma, beta = (self._in_float32(arg) for arg in call.args[1:])
        kernels = self._backend.norm(
            feature_map_shape(data),
            str(data.ty.dtype),
            int(call.attrs.channel_axis),
            float(call.attrs.epsilon),
            low,
        )
        rows = self._call(kernels.row_statistics, "row_statistics", [data])
        rows = self.builder.emit(rows)
        scale_shift = self._call(
            kernels.statistics, "instance_norm_statistics", [rows, gamma, beta]
        )
        scale_shift = self.builder.emit(scale_shift)
        return self._call(kernels.normalize, "normalize", [data, scale_shift])

    def _match_scaled(
        self, value: relax.Expr | None
    ) -> tuple[relax.Expr, relax.Expr, relax.Expr] | None:
        """The data, scales and shifts of a multiply-add by arguments, else None."""
        if not isinstance(value, relax.Call) or op_name(value) != "add":
            return None
        product = self.definitions.get(value.args[0])
        if not isinstance(product, relax.Call) or op_name(product) != "multiply":
            return None
        (data, scale), shift = product.args, value.args[1]
        return (data, scale, shift) if all(map(self._is_given, (scale, shift))) else None

    def _is_given(self, expr: relax.Expr) -> bool:
        """Whether ``expr`` is an argument, reshaped or not, of one float32 for each channel."""
        param, definition = expr, self.definitions.get(expr)
        if isinstance(definition, relax.Call) and op_name(definition) == "reshape":
            param = definition.args[0]
        shape = tensor_shape(expr)
        is_by_channel = len(shape) == 4 and max(shape[2:]) == prod(shape)
        return param in list(self.function.params) and is_by_channel and expr.ty.dtype == "float32"

    def _scale(
        self, data: relax.Expr, scale: relax.Expr, shift: relax.Expr, low: float | None
    ) -> relax.Expr:
        data, scale, shift = map(self.renewed, (data, scale, shift))
        channel_axis = 2 if tensor_shape(scale)[3] == 1 else 3
        shape, dtype = feature_map_shape(data), str(data.ty.dtype)
        kernel = self._backend.norm(shape, dtype, channel_axis, 0.0, low).normalize
        *repeated, channels = (int(extent) for extent in kernel.params[1].ty.shape)
        rows = [relax.op.reshape(one, (1,) * len(repeated) + (channels,)) for one in (scale, shift)]
        pair = self.builder.emit(relax.op.concat([self.builder.emit(row) for row in rows], 0))
        if len(repeated) == 2:
            pair = self.builder.emit(relax.op.broadcast_to(pair, (*repeated, channels)))
        return self._call(kernel, "normalize", [data, pair])

    def _call(self, kernel: tirx.PrimFunc, name: str, args: list[relax.Expr]) -> relax.Expr:
        """A call of ``kernel``, whose last operand is its result."""
        result = kernel.params[-1].ty
        shape, dtype = [int(extent) for extent in result.shape], str(result.dtype.dtype)
        function = self.builder.add_func(kernel, name)
        return relax.op.call_tir(function, args, relax.TensorType(shape, dtype))

    def _in_float32(self, expr: relax.Expr) -> relax.Expr:
        """``expr``, or a constant of another type as float32."""
        value = constant_value(expr, self.definitions)
        return self.renewed(expr) if value is None else relax.const(value.astype(np.float32))
