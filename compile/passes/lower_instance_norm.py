"""Lower InstanceNorm to statistics (by rows, then merged) and a multiply-add with the ReLU."""

from __future__ import annotations

from functools import partial

import numpy as np
import tvm
from tvm import relax, tirx

from compile.graph.constants import constant_value
from compile.graph.quantized_graph import op_name
from compile.graph.rewrite_function import FunctionRewriter, rewrite_functions
from compile.kernels.cpu.norm import planar_norm
from compile.kernels.cpu.norm.instance_norm import (
    create_normalize,
    create_statistics,
    repeated_columns,
)
from compile.kernels.cpu.norm.row_statistics import create_row_statistics
from compile.kernels.gpu import gpu_norm


@tvm.transform.module_pass(opt_level=0, name="LowerInstanceNorm")
class LowerInstanceNorm:
    """Replace instance_norm (NHWC, or float32 NHCW) and relu(instance_norm), in every Relax
    function.

    Args:
        on_gpu: by the kernels of :mod:`compile.kernels.gpu.gpu_norm`, which take NHWC.
    """

    def __init__(self, on_gpu: bool = False) -> None:
        self.on_gpu = on_gpu

    def transform_module(self, mod: tvm.IRModule, _ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """IRModule-level transformation."""
        return rewrite_functions(mod, partial(_InstanceNormLowering, self.on_gpu))


class _InstanceNormLowering(FunctionRewriter):
    def __init__(self, on_gpu: bool, mod: tvm.IRModule, function: relax.Function) -> None:
        super().__init__(mod, function)
        self._on_gpu = on_gpu

    def convert(self, var: relax.Var, value: relax.Expr) -> relax.Expr:
        if op_name(value) == "nn.instance_norm":
            return self._normalize(value, low=None)
        if op_name(value) == "nn.relu":
            source = self.definitions.get(value.args[0])
            if op_name(source) == "nn.instance_norm":
                return self._normalize(source, low=0.0)
        return self.renewed(value)

    def _normalize(self, call: relax.Call, low: float | None) -> relax.Expr:
        data = self.renewed(call.args[0])
        gamma, beta = (self._in_float32(arg) for arg in call.args[1:])
        shape, dtype = tuple(int(extent) for extent in data.ty.shape), str(data.ty.dtype)
        if int(call.attrs.channel_axis) == 2:
            return self._normalize_planes(call, data, gamma, beta, low)
        if self._on_gpu:
            return self._normalize_on_gpu(call, data, gamma, beta, low)
        _, height, width, channels = shape
        rows = self._emit_call(
            create_row_statistics(shape, dtype), "row_statistics", [data], (height, 2, channels)
        )
        statistics = create_statistics(height, width, channels, float(call.attrs.epsilon))
        scale_shift = self._emit_call(
            statistics,
            "instance_norm_statistics",
            [rows, gamma, beta],
            (2, repeated_columns(width), channels),
        )
        normalize = self.builder.add_func(create_normalize(shape, low, dtype), "normalize")
        return relax.op.call_tir(normalize, [data, scale_shift], data.ty)

    def _normalize_planes(
        self,
        call: relax.Call,
        data: relax.Expr,
        gamma: relax.Expr,
        beta: relax.Expr,
        low: float | None,
    ) -> relax.Expr:
        shape = tuple(int(extent) for extent in data.ty.shape)
        _, height, channels, width = shape
        rows = self._emit_call(
            planar_norm.create_row_statistics(shape),
            "row_statistics",
            [data],
            (height, 2, channels, planar_norm.segments(width)),
        )
        statistics = planar_norm.create_statistics(
            height, channels, width, float(call.attrs.epsilon)
        )
        scale_shift = self._emit_call(
            statistics, "instance_norm_statistics", [rows, gamma, beta], (2, channels)
        )
        kernel = planar_norm.create_normalize(shape, low)
        normalize = self.builder.add_func(kernel, "normalize")
        return relax.op.call_tir(normalize, [data, scale_shift], data.ty)

    def _normalize_on_gpu(
        self,
        call: relax.Call,
        data: relax.Expr,
        gamma: relax.Expr,
        beta: relax.Expr,
        low: float | None,
    ) -> relax.Expr:
        shape, dtype = tuple(int(extent) for extent in data.ty.shape), str(data.ty.dtype)
        _, height, width, channels = shape
        rows = self._emit_call(
            gpu_norm.create_row_statistics(shape, dtype),
            "row_statistics",
            [data],
            (2, height * gpu_norm.segments(width), channels),
        )
        statistics = gpu_norm.create_statistics(height, width, channels, float(call.attrs.epsilon))
        scale_shift = self._emit_call(
            statistics, "instance_norm_statistics", [rows, gamma, beta], (2, channels)
        )
        kernel = gpu_norm.create_normalize(shape, low, dtype)
        normalize = self.builder.add_func(kernel, "normalize")
        return relax.op.call_tir(normalize, [data, scale_shift], data.ty)

    def _emit_call(
        self, kernel: tirx.PrimFunc, name: str, args: list[relax.Expr], shape: tuple[int, ...]
    ) -> relax.Var:
        function = self.builder.add_func(kernel, name)
        call = relax.op.call_tir(function, args, relax.TensorType(shape, "float32"))
        return self.builder.emit(call)

    def _in_float32(self, expr: relax.Expr) -> relax.Expr:
        """``expr``, or a constant of another type as float32."""
        value = constant_value(expr, self.definitions)
        return self.renewed(expr) if value is None else relax.const(value.astype(np.float32))
