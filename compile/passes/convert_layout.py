"""Hold every feature map channels-last: NCHW, which PyTorch traces, becomes NHWC.

Channels are the axis that kernels vectorize and a photograph is NHWC already, so the permutations
at both ends of the traced graph vanish. Weights stay OIHW until they are packed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tvm
from tvm import relax

from compile.graph.constants import constant_value
from compile.graph.rewrite_function import FunctionRewriter, rewrite_functions

_TO_NHWC = [0, 2, 3, 1]
_TO_NCHW = [0, 3, 1, 2]

_ELEMENTWISE = {
    f"relax.{name}"
    for name in (
        *("add", "subtract", "multiply", "divide", "clip", "nn.relu", "sigmoid", "tanh"),
        *("abs", "exp", "floor", "log", "rsqrt", "ones_like"),
        *("astype", "quantize", "dequantize"),
        *("nn.leakyrelu", "nn.selu", "nn.silu", "nn.gelu", "nn.gelu_tanh", "minimum"),
    )
}


@tvm.transform.module_pass(opt_level=0, name="ConvertLayout")
class ConvertLayout:
    """Rewrite the 4-D activations of every Relax function from NCHW to NHWC."""

    def transform_module(self, mod: tvm.IRModule, _ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """IRModule-level transformation."""
        return rewrite_functions(mod, _LayoutConverter)


class _LayoutConverter(FunctionRewriter):
    """``_nhwc`` holds the original NCHW variables whose replacement is NHWC."""

    def __init__(self, mod: tvm.IRModule, function: relax.Function) -> None:
        super().__init__(mod, function)
        self._nhwc: set[relax.Var] = set()

    def convert(self, var: relax.Var, value: relax.Expr) -> relax.Expr:
        if _is_permutation(value, _TO_NCHW) and value.args[0] not in self._nhwc:
            self._nhwc.add(var)
            return self.renewed(value.args[0])
        if _is_permutation(value, _TO_NHWC) and value.args[0] in self._nhwc:
            return self.renewed(value.args[0])
        if self._reads_picture(value):
            name = value.op.name
            if name in _ELEMENTWISE:
                self._nhwc.add(var)
                args = [self._channels_last(arg) for arg in value.args]
                return relax.Call(value.op, args, value.attrs)
            if name == "relax.take" and value.args[0].ty.ndim == 1:
                self._nhwc.add(var)
                table, indices = value.args
                args = [self.renewed(table), self._channels_last(indices)]
                return relax.Call(value.op, args, value.attrs)
            if name in _CONVERTERS and _keeps_rank(value):
                self._nhwc.add(var)
                return _CONVERTERS[name](self, value)
        return (
            relax.Call(value.op, [self._as_traced(a) for a in value.args], value.attrs)
            if (isinstance(value, relax.Call))
            else self._as_traced(value)
        )

    def finish(self, output: relax.Expr) -> relax.Expr:
        return self._as_traced(output)

    def _reads_picture(self, value: relax.Expr) -> bool:
        """Whether ``value`` is an op on a converted variable, or a convolution (of an input)."""
        if not isinstance(value, relax.Call) or not isinstance(value.op, tvm.ir.Op):
            return False
        if value.op.name in _CONVERTERS or value.op.name == "relax.quantize":
            # Weights are stored quantized, so what is quantized here is an activation: permuted in
            # float, nothing comes between its dequantize and the op that makes a quantized op of
            # both.
            return getattr(value.ty, "ndim", 0) == 4
        return any(arg in self._nhwc for arg in value.args if isinstance(arg, relax.Var))

    def _channels_last(self, expr: relax.Expr) -> relax.Expr:
        """NHWC form of an original operand; a scalar is the same in both."""
        if isinstance(expr, relax.Tuple):
            return relax.Tuple([self._channels_last(field) for field in expr.fields])
        rank = getattr(expr.ty, "ndim", 0) if isinstance(expr, relax.Expr) else 0
        if rank == 0 or (isinstance(expr, relax.Var) and expr in self._nhwc):
            return self.renewed(expr)
        # PyTorch broadcasts from the right: [C,1,1] stands for [1,C,1,1].
        shape = [1] * (4 - rank) + [int(extent) for extent in expr.ty.shape]
        constant = constant_value(expr, self.definitions)
        if constant is not None:
            constant = constant.reshape(shape).transpose(_TO_NHWC)
            return relax.const(np.ascontiguousarray(constant))
        traced = self.renewed(expr)
        if rank < 4:
            traced = self.builder.emit(relax.op.reshape(traced, shape))
        return self.builder.emit(relax.op.permute_dims(traced, _TO_NHWC))

    def _as_traced(self, expr: relax.Expr) -> relax.Expr:
        """The layout of the traced graph, for what has no NHWC form (and for the result)."""
        if isinstance(expr, relax.Tuple):
            return relax.Tuple([self._as_traced(field) for field in expr.fields])
        if isinstance(expr, relax.Var) and expr in self._nhwc:
            return self.builder.emit(relax.op.permute_dims(self.renewed(expr), _TO_NCHW))
        return self.renewed(expr)

    def _conv2d(self, call: relax.Call) -> relax.Expr:
        attrs = call.attrs
        return relax.op.nn.conv2d(
            self._channels_last(call.args[0]),
            self.renewed(call.args[1]),
            strides=attrs.strides,
            padding=attrs.padding,
            dilation=attrs.dilation,
            groups=attrs.groups,
            data_layout="NHWC",
            kernel_layout="OIHW",
            out_layout="NHWC",
        )

    def _adaptive_avg_pool2d(self, call: relax.Call) -> relax.Expr:
        data = self._channels_last(call.args[0])
        return relax.op.nn.adaptive_avg_pool2d(data, call.attrs.output_size, layout="NHWC")

    def _instance_norm(self, call: relax.Call) -> relax.Expr:
        data, gamma, beta = call.args
        return relax.op.nn.instance_norm(
            self._channels_last(data),
            self.renewed(gamma),
            self.renewed(beta),
            channel_axis=3,
            axes=[1, 2],
            epsilon=call.attrs.epsilon,
        )

    def _resize2d(self, call: relax.Call) -> relax.Expr:
        data, size = call.args
        attrs = call.attrs
        return relax.op.image.resize2d(
            self._channels_last(data),
            size,
            layout="NHWC",
            method=attrs.method,
            coordinate_transformation_mode=attrs.coordinate_transformation_mode,
            rounding_method=attrs.rounding_method,
        )

    def _max_pool2d(self, call: relax.Call) -> relax.Expr:
        return relax.op.nn.max_pool2d(
            self._channels_last(call.args[0]), layout="NHWC", **_windows(call)
        )

    def _avg_pool2d(self, call: relax.Call) -> relax.Expr:
        return relax.op.nn.avg_pool2d(
            self._channels_last(call.args[0]),
            layout="NHWC",
            count_include_pad=call.attrs.count_include_pad,
            **_windows(call),
        )

    def _pad(self, call: relax.Call) -> relax.Expr:
        widths = [int(width) for width in call.attrs.pad_width]
        by_axis = [widths[2 * axis : 2 * axis + 2] for axis in _TO_NHWC]
        padded = self._channels_last(call.args[0])
        mode, value = call.attrs.pad_mode, float(call.attrs.pad_value)
        return relax.op.nn.pad(padded, [width for pair in by_axis for width in pair], mode, value)

    def _pixel_shuffle(self, call: relax.Call) -> relax.Expr:
        """Channel (c * factor + row) * factor + column to its row and column of a block."""
        data, factor = self._channels_last(call.args[0]), int(call.attrs.upscale_factor)
        _, height, width, depth = (int(extent) for extent in data.ty.shape)
        channels = depth // factor**2
        blocks = relax.op.reshape(data, (1, height, width, channels, factor, factor))
        rows = relax.op.permute_dims(self.builder.emit(blocks), [0, 1, 4, 2, 5, 3])
        shape = (1, height * factor, width * factor, channels)
        return relax.op.reshape(self.builder.emit(rows), shape)

    def _reduce(self, call: relax.Call) -> relax.Expr:
        axes = None
        if call.attrs.axis is not None:
            axes = [_TO_NCHW[int(axis)] for axis in call.attrs.axis]
        data = self._channels_last(call.args[0])
        return _REDUCTIONS[call.op.name](data, axis=axes, keepdims=True)

    def _softmax(self, call: relax.Call) -> relax.Expr:
        axis = _TO_NCHW[int(call.attrs.axis) % len(_TO_NCHW)]
        return relax.op.nn.softmax(self._channels_last(call.args[0]), axis)

    def _strided_slice(self, call: relax.Call) -> relax.Expr:
        data, axes, *limits = call.args
        moved = [_TO_NCHW[int(axis.value)] for axis in axes]
        return relax.op.strided_slice(self._channels_last(data), moved, *limits)

    def _concat(self, call: relax.Call) -> relax.Expr:
        return relax.op.concat(
            self._channels_last(call.args[0]), axis=_TO_NCHW[int(call.attrs.axis)]
        )


_REDUCTIONS = {"relax.max": relax.op.max, "relax.mean": relax.op.mean}
_CONVERTERS = {
    "relax.nn.conv2d": _LayoutConverter._conv2d,
    "relax.nn.adaptive_avg_pool2d": _LayoutConverter._adaptive_avg_pool2d,
    "relax.nn.avg_pool2d": _LayoutConverter._avg_pool2d,
    "relax.nn.instance_norm": _LayoutConverter._instance_norm,
    "relax.nn.max_pool2d": _LayoutConverter._max_pool2d,
    "relax.nn.pad": _LayoutConverter._pad,
    "relax.nn.pixel_shuffle": _LayoutConverter._pixel_shuffle,
    "relax.image.resize2d": _LayoutConverter._resize2d,
    **dict.fromkeys(_REDUCTIONS, _LayoutConverter._reduce),
    "relax.nn.softmax": _LayoutConverter._softmax,
    "relax.strided_slice": _LayoutConverter._strided_slice,
    "relax.concat": _LayoutConverter._concat,
}


def _windows(call: relax.Call) -> dict[str, Any]:
    """The attributes that both poolings have."""
    names = "pool_size", "strides", "padding", "dilation", "ceil_mode"
    return {name: getattr(call.attrs, name) for name in names}


def _keeps_rank(call: relax.Call) -> bool:
    return call.op.name not in _REDUCTIONS or bool(call.attrs.keepdims)


def _is_permutation(value: relax.Expr, axes: list[int]) -> bool:
    return (
        isinstance(value, relax.Call)
        and getattr(value.op, "name", "") == "relax.permute_dims"
        and value.attrs.axes is not None
        and [int(axis) for axis in value.attrs.axes] == axes
    )
