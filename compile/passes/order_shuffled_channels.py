"""Order the channels of a convolution before a pixel shuffle as the shuffle's kernel moves them.

PyTorch's pixel shuffle wants the four numbers of a channel side by side, so that a kernel would
pick every fourth byte. Where a convolution alone makes them, its filters, their scales and its bias
are constants and can be put into the order in which the channels of one pixel are side by side.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import tvm
from numpy.typing import NDArray
from tvm import relax

from compile.graph.constants import constant_value, variables_of
from compile.graph.layers import Mark, Marks, with_marks
from compile.graph.match_convolution import activation_limits
from compile.graph.match_depth_to_space import CHANNELS_TOGETHER, match_depth_to_space
from compile.graph.quantized_graph import NotLowerable, op_name
from compile.graph.rewrite_function import FunctionRewriter, rewrite_functions

#: What is computed number by number, so that it does not matter in which order.
_ORDERLESS = {"quantize", "dequantize", "nn.leakyrelu", "nn.silu", "nn.gelu", "sigmoid", "tanh"}
#: What has a constant for each channel.
_WITH_CONSTANTS = {"nn.conv2d", "add"}


@tvm.transform.module_pass(opt_level=0, name="OrderShuffledChannels")
class OrderShuffledChannels:
    """Reorder the filters of NHWC convolutions whose result is only shuffled."""

    def transform_module(self, mod: tvm.IRModule, _ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """IRModule-level transformation."""
        return rewrite_functions(mod, _ChannelOrder)


class _ChannelOrder(FunctionRewriter):
    """``_orders`` holds, by the variable of a convolution and of what is computed from it before
    the shuffle, which of the old channels each new one is; ``_shuffles`` what is shuffled, by the
    last variable."""

    def __init__(self, mod: tvm.IRModule, function: relax.Function) -> None:
        super().__init__(mod, function)
        read = (var for value in self.definitions.values() for var in variables_of(value))
        self._reads = Counter([*read, *variables_of(function.body.body)])
        self._orders: dict[relax.Var, NDArray[np.int64]] = {}
        self._shuffles: dict[relax.Var, tuple[relax.Expr, int]] = {}
        for var, value in self.definitions.items():
            if op_name(value) == "reshape":
                self._find_order(var, value)

    def _find_order(self, var: relax.Var, value: relax.Call) -> None:
        try:
            shuffle = match_depth_to_space(value, self.definitions)
        except NotLowerable:
            return
        made = self._convolution_before(shuffle.data)
        if shuffle.channels_together or made is None:
            return
        channels = int(shuffle.data.ty.shape[3]) // shuffle.factor**2
        old = np.arange(channels * shuffle.factor**2)
        order = old.reshape(channels, shuffle.factor**2).T.ravel()
        self._orders.update(dict.fromkeys(made, order))
        self._shuffles[var] = shuffle.data, shuffle.factor

    def _convolution_before(self, expr: relax.Expr) -> list[relax.Var] | None:
        """The convolution that alone makes ``expr``, which is read once, and all that is computed
        between the two."""
        made: list[relax.Var] = []
        while isinstance(expr, relax.Var) and self._reads[expr] == 1:
            call = self.definitions.get(expr)
            name = op_name(call)
            if call is None:
                return None
            if name == "nn.conv2d":
                return [*made, expr] if int(call.attrs.groups) == 1 else None
            is_bias = name == "add" and constant_value(call.args[1], self.definitions) is not None
            if not is_bias and name not in _ORDERLESS and activation_limits(call) is None:
                return None
            made.append(expr)
            expr = call.args[0]
        return None

    def convert(self, var: relax.Var, value: relax.Expr) -> relax.Expr:
        if var in self._shuffles:
            data, factor = self._shuffles[var]
            _, height, width, channels = (int(extent) for extent in var.ty.shape)
            shape = (1, height // factor, width // factor, factor, factor, channels)
            blocks = self.builder.emit(relax.op.reshape(self.renewed(data), shape))
            rows = self.builder.emit(relax.op.permute_dims(blocks, list(CHANNELS_TOGETHER)))
            return relax.op.reshape(rows, (1, height, width, channels))
        order = self._orders.get(var)
        if order is None:
            return self.renewed(value)
        if op_name(value) not in _WITH_CONSTANTS:
            return with_marks(self.renewed(value), self.marks(var, value))
        data, constant = value.args
        if op_name(value) == "add":
            return relax.op.add(self.renewed(data), self._ordered(constant, order, -1))
        return relax.Call(
            value.op, [self.renewed(data), self._filters(constant, order)], value.attrs
        )

    def marks(self, var: relax.Var, value: relax.Expr) -> Marks:
        """Without the node whose channels have another order than those of ``var``."""
        marks = super().marks(var, value)
        return tuple(Mark(one.layer) for one in marks) if var in self._orders else marks

    def _filters(self, weight: relax.Expr, order: NDArray[np.int64]) -> relax.Expr:
        dequantize = self.definitions.get(weight) if isinstance(weight, relax.Var) else None
        if dequantize is None or op_name(dequantize) != "dequantize":
            return self._ordered(weight, order, 0)
        args = [self._ordered(arg, order, 0) for arg in dequantize.args]
        return self.builder.emit(relax.Call(dequantize.op, args, dequantize.attrs))

    def _ordered(self, expr: relax.Expr, order: NDArray[np.int64], axis: int) -> relax.Expr:
        value = constant_value(expr, self.definitions)
        assert value is not None
        if value.ndim == 0 or value.shape[axis] == 1:  # One number for all channels.
            return self.renewed(expr)
        return relax.const(np.ascontiguousarray(value.take(order, axis)))
